"""What the runner and a view say to each other: a snapshot one way, commands the other."""

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
    HELP = "h"


class View(Protocol):
    """Something that shows a session while it runs."""

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        """Show the newest state; return what the user has asked for since the last call, help excepted: the view gives it."""

    def close(self) -> None:
        """Give the screen back. Safe to call twice."""


class NoView:
    """The headless view: shows nothing and is never asked for anything."""

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        return ()

    def close(self) -> None:
        return None
