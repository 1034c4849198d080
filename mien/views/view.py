"""The interface between a session and its view: the view receives snapshots and returns commands."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from mien.records import Frame, Snapshot


class Command(Enum):
    """Commands of the user, by key."""

    QUIT = "q"
    SCREENSHOT = "s"
    EXPORT = "e"
    RESET = "r"
    PAUSE = " "
    WITHDRAW = "w"
    HELP = "h"


class View(Protocol):
    """Shows a running session.

    Attributes:
        stays: whether it stays open at the end of a recording until the user closes it.
    """

    stays: bool

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        """Show the newest state; return the user's commands since the last call, except help, which the view handles."""

    def close(self) -> None:
        """Close the view. Safe to call twice."""


class NoView:
    """The view of a headless session: shows nothing and returns no commands."""

    stays = False

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        return ()

    def close(self) -> None:
        return None
