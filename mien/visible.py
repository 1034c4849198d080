"""Escaping of control characters in untrusted text, such as file and camera names, server responses and database rows.

Terminals execute control characters. Escaped, they can neither move the cursor nor change or hide
other output.
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast
from urllib.parse import quote

# C0, DEL and C1; Unicode marks and separators that reorder or split a line; lone surrogates, which file names may contain
_HIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_HIDDEN_BUT_LAYOUT: Final = re.compile(f"(?![\t\n]){_HIDDEN.pattern}")


def visible(text: str) -> str:
    r"""Return text on one line, with control characters escaped as in JSON.

    >>> print(visible("a\x1b[31m\nb"))
    a\u001b[31m\u000ab
    """
    return _HIDDEN.sub(_written_out, text)


def visible_lines(text: str) -> str:
    """Return text with control characters escaped, except line breaks and tabs."""
    return _HIDDEN_BUT_LAYOUT.sub(_written_out, text)


def repeats(text: str, secrets: Iterable[str]) -> bool:
    """Return whether text contains any of ``secrets``, literally or as encoded in URLs, JSON and HTML; "" is ignored."""
    forms = {form for each in secrets for form in (each, quote(each, safe=""), json.dumps(each)[1:-1], html.escape(each))}
    return any(form and form in text for form in forms)


@contextmanager
def visible_output() -> Iterator[None]:
    """Escape control characters in everything that is printed within the block."""
    before = sys.stdout, sys.stderr
    guard_output()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def guard_output() -> None:
    """Make the standard streams escape control characters, if they do not already."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _VisibleStream):
            setattr(sys, name, cast(TextIO, _VisibleStream(stream)))


def unguarded(stream: TextIO) -> TextIO:
    """Return the underlying stream, which does not escape control characters."""
    return stream.stream if isinstance(stream, _VisibleStream) else stream


class _VisibleStream:
    """A text stream that escapes control characters.

    Args:
        stream: the underlying stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(visible_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _written_out(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
