"""What a session and a view say to each other: a snapshot one way, commands the other."""

from __future__ import annotations

import sys
from contextlib import suppress
from enum import Enum
from typing import Protocol

from mien.errors import DeviceError
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


def open_view(name: str) -> View:
    """Return the view of that name; ``auto`` takes a window where there is a screen, else the terminal, else nothing.

    Raises:
        DeviceError: a window was asked for by name and cannot be had.
    """
    if name == "none":
        return NoView()
    from mien.live.terminal import TerminalView
    from mien.live.window import Window, screen_available

    if name == "window":
        return Window()
    if name == "auto":
        if screen_available():
            with suppress(DeviceError):  # no pygame, or a screen that refuses: the terminal does as well
                return Window()
        if not sys.stdout.isatty():
            return NoView()
    return TerminalView()
