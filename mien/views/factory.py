"""Opens the view that a user names: a window, the terminal, or none."""

from __future__ import annotations

import sys
from contextlib import suppress

from mien.errors import DeviceError
from mien.views.terminal import TerminalView
from mien.views.view import NoView, View
from mien.views.window import Window, screen_available


def open_view(name: str) -> View:
    """Return the view of that name; ``auto`` chooses a window if there is a screen, else the terminal, else none.

    Raises:
        DeviceError: ``window`` was requested and cannot be opened.
    """
    if name == "none":
        return NoView()
    if name == "window":
        return Window()
    if name == "auto":
        if screen_available():
            with suppress(DeviceError):  # without pygame or a usable screen, use the terminal
                return Window()
        if not sys.stdout.isatty():
            return NoView()
    return TerminalView()
