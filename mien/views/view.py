"""The interface between a session and its view: snapshots go in, commands come out."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from mien.records import Frame, Snapshot


class Command(Enum):
    """What a user can ask for, by the key that asks for it."""

    QUIT = "q"
    SCREENSHOT = "s"
    EXPORT = "e"
    RESET = "r"
    PAUSE = " "
    WITHDRAW = "w"
    HELP = "h"


class View(Protocol):
    """Something that shows a session while it runs.

    Attributes:
        stays: whether it is kept open at the end of a recording until the user closes it.
    """

    stays: bool

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        """Show the newest state; return what the user has asked for since the last call, help excepted: the view gives it."""

    def close(self) -> None:
        """Give the screen back. Safe to call twice."""


class NoView:
    """The headless view: shows nothing and is never asked for anything."""

    stays = False

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        return ()

    def close(self) -> None:
        return None
