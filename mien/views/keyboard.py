"""Reads single keys from a terminal, without blocking and without Enter."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any

from mien.views.view import Command

try:  # POSIX only; on other systems the terminal view has no keys and ends with Ctrl-C
    import select
    import termios
    import tty
except ImportError:  # pragma: no cover
    termios = None  # type: ignore[assignment]  # Windows has none


class Keyboard:
    """The keys pressed in the terminal on standard input; none if standard input is not a terminal.

    Ctrl-C still interrupts the program. The terminal's settings are restored by ``close``, or when the
    program exits.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._before: list[Any] = []
        if termios is not None and sys.stdin is not None and sys.stdin.isatty():
            self._file = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._file)
            tty.setcbreak(self._file)
            atexit.register(self.close)

    def commands(self) -> tuple[Command, ...]:
        """Return the commands of the keys pressed since the last call."""
        found = []
        while self._file is not None and select.select([self._file], [], [], 0)[0]:
            pressed = os.read(self._file, 64).decode(errors="ignore")
            if not pressed:  # end of file
                break
            found += [command for key in pressed for command in Command if command.value == key]
        return tuple(found)

    def close(self) -> None:
        """Restore the terminal's settings. Safe to call twice."""
        if self._file is not None:
            termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
            self._file = None
            atexit.unregister(self.close)
