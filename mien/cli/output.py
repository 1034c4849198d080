"""What commands print at their end, and output to streams whose encoding lacks some characters."""

from __future__ import annotations

import codecs
import io
import json
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from mien.stops import STOPPED

if TYPE_CHECKING:
    from mien.sessions.eraser import Erased

_LEAST_WIDTH: Final = 24
_PLAIN: Final = {"█": "#", "─": "-", "·": "-", "…": "...", "–": "-", "—": "-", "→": "->", "●": "*", "’": "'", "“": '"', "”": '"'}
"""Replacements for characters that Mien itself prints; any other character is escaped."""


def print_json_line(document: Any, asked: bool) -> None:
    """Print a document as the last line, for programs: if asked for, or where standard output is no terminal."""
    if asked or not sys.stdout.isatty():
        print(json.dumps(document))


def report_ready(page: Path, open_page: bool) -> None:
    """Print the address of a page that was written; open it in a browser if asked for."""
    address = page.resolve().as_uri()
    print(f"Report: {address}")
    if open_page:
        import webbrowser

        if not webbrowser.open(address):
            print("No browser could be started; open the address yourself", file=sys.stderr)


def raise_faults(erased: Erased) -> None:
    """Raise an error if an erasure is not complete or not logged; call it after all output.

    Raises:
        MienError: of the type of the first fault; it names all faults.
        StorageError: only the audit log could not be written.
    """
    from mien.errors import StorageError

    unlogged = [f"this was not written to the audit log: {erased.audit_error}"] if erased.audit_error else []
    if erased.faults:
        raise type(erased.faults[0])("; ".join([*map(str, erased.faults), *unlogged]))
    if unlogged:
        raise StorageError(unlogged[0])


def stop_text(checkpoint: Path) -> str:
    """Return the message after training was interrupted: how to continue, if the run's checkpoint exists."""
    if checkpoint.is_file():
        return f"stopped; the run is saved in {checkpoint.parent}. Resume it with the same command and --resume"
    return "stopped before the first checkpoint; nothing was saved. Start again with the same command"


@contextmanager
def reported_stop(state: Callable[[], str]) -> Iterator[None]:
    """Exit with code 130 if the block is stopped by Ctrl-C, and print what is left; ``state`` returns it and is called then."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nstopped; {state()}", file=sys.stderr)
        raise typer.Exit(STOPPED) from None


def command_line(verb: str, options: dict[str, object]) -> str:
    """Return a command as it is typed in a shell; options that are None are left out.

    >>> command_line("train", {"--data": "my faces", "--votes": None})
    "mien train --data 'my faces'"
    """
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return shlex.join(["mien", verb, *given])


def whole_words(text: str, label: str = "") -> str:
    """Return a label and a text in lines that fit the terminal, the text indented by the label's width.

    Where the label leaves too little room, the text goes below it. Output that is no terminal is left in one line.
    """
    if not sys.stdout.isatty():
        return label + text
    width = shutil.get_terminal_size((100, 24)).columns - 1
    if not text:
        return label.rstrip()
    if width - len(label) >= _LEAST_WIDTH:
        return textwrap.fill(text, width, initial_indent=label, subsequent_indent=" " * len(label), break_long_words=False)
    below = textwrap.fill(text, width, initial_indent="      ", subsequent_indent="      ", break_long_words=False)
    return f"{label.rstrip()}\n{below}"


def open_closed_streams() -> None:
    """Redirect standard streams that the caller has closed (``mien live >&-``) to the null device.

    Otherwise the next file that is opened would get the stream's descriptor, and libraries would
    print into that file.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def speak_any_encoding() -> None:
    """Make standard output replace characters its encoding lacks (Windows pipes use cp1252)."""
    codecs.register_error("mien", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it may be missing, or somebody's own
            stream.reconfigure(errors="mien")


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    escaped = (char.encode("ascii", "backslashreplace").decode() for char in error.object[error.start : error.end])
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char, escape) for char, escape in zip(lacking, escaped, strict=True)), error.end
