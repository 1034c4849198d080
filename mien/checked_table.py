"""Validation of TOML files written by users: all faults are reported at once, with line, key, value and rule.

Used for rules, declarations and recipes. This module knows keys, types, ranges and line numbers, but not
the meaning of the values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mien.documents import parse_toml, read_limited
from mien.errors import DataError, nearest
from mien.files import refuse_large
from mien.visible import visible

_LONGEST_TEXT: Final = 2000
_HEADER: Final = re.compile(r"\s*\[")
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotation marks",
}


def read_toml(path: Path, what: str, max_bytes: int, hint: str = "") -> str:
    """Return the text of a TOML file.

    Args:
        path: the file.
        what: name of the file in errors, such as ``the rules file``.
        max_bytes: maximum size of the file.
        hint: advice to add if the file cannot be read.

    Raises:
        DataError: the file cannot be read, is too large, or is not UTF-8.
    """
    refuse_large(path, max_bytes, what)
    try:
        return read_limited(path, max_bytes).decode("utf-8-sig")  # refuses pipes, which would block
    except OSError as error:
        raise DataError(f"cannot read {what} {path} ({error.strerror}). {hint}".rstrip(" .")) from error
    except ValueError as error:
        raise DataError(f"{what} {path} is not TOML: {error}") from error


def parse_checked(text: str, name: str, faults: list[str]) -> CheckedTable:
    """Return a TOML document as a table.

    Args:
        text: the document.
        name: name of the document in errors.
        faults: list to which faults are appended.

    Raises:
        DataError: the text is not TOML.
    """
    try:
        document = parse_toml(text, finite=False)
    except ValueError as error:
        raise DataError(f"{name} is not TOML: {error}") from error
    return CheckedTable(document, "", faults, text.splitlines())


def fault_message(name: str, faults: Sequence[str]) -> str:
    """Return an error message with all faults of a document, one per line if there are several."""
    name, *lines = map(visible, (name, *faults))
    return f"{name}: {lines[0]}" if len(lines) == 1 else f"{name}:" + "".join(f"\n  {line}" for line in lines)


class CheckedTable:
    """A TOML table with validated access.

    Args:
        values: the values by key.
        place: name of the table in errors, such as ``rule 'away'``.
        faults: list to which faults are appended, shared by all tables of a file.
        lines: lines of the file, to report line numbers.
        span: first line of the table, and the line after its last sub-table, from 0.
    """

    def __init__(
        self, values: Mapping[str, Any], place: str, faults: list[str], lines: Sequence[str], span: tuple[int, int] | None = None
    ) -> None:
        self._values, self._faults, self._lines = values, faults, lines
        self._span = (0, len(lines)) if span is None else span
        self._known: list[str] = []
        self.place = place

    @property
    def faulty(self) -> bool:
        """Whether any table of the file has faults."""
        return bool(self._faults)

    def has(self, key: str) -> bool:
        """Return whether a key is set."""
        return key in self._values

    def note(self, key: str, fault: str) -> None:
        """Append a fault of a key."""
        start, stop = self._span
        own = next((n for n in range(start + 1, stop) if _HEADER.match(self._lines[n])), stop)
        pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""")
        header = re.compile(rf"""\s*\[\[?\s*["']?{re.escape(key)}["']?\s*[\].]""")
        lines = [n for n in range(start, own) if pattern.match(self._lines[n])]
        lines += [n for n in range(start, stop) if header.match(self._lines[n])]
        line = f"line {lines[0] + 1}: " if lines else ""
        place = f"{self.place}, " if self.place else ""
        self._faults.append(f"{line}{place}{key} {fault}")

    def text(self, key: str, needed: bool = True) -> str:
        """Return a string with whitespace collapsed, "" if missing or invalid."""
        value = self._string(key, needed)
        if value is None:
            return ""
        line = " ".join(value.split())
        if (needed and not line) or len(line) > _LONGEST_TEXT or not line.isprintable():
            self.note(key, f"must be 1 to {_LONGEST_TEXT} printable characters")
            return ""
        return line

    def line(self, key: str, longest: int, needed: bool = True) -> str:
        """Return a string of one line unchanged, "" if missing or invalid."""
        value = self._string(key, needed)
        if value is None:
            return ""
        if (needed and not value.strip()) or len(value) > longest or not value.isprintable():
            self.note(key, f"must be one line of {1 if needed else 0} to {longest} printable characters")
            return ""
        return value

    def _string(self, key: str, needed: bool) -> str | None:
        """Return a string, None if missing or of another type."""
        value = self._take(key, needed)
        if value is None or isinstance(value, str):
            return value
        self.note(key, f"is {value!r}; it must be {_KINDS[str]}")
        return None

    def choice(self, key: str, choices: Collection[str], needed: bool = True) -> str:
        """Return one of ``choices``, "" if missing or invalid."""
        value = self.text(key, needed)
        if value and value not in choices:
            self.note(key, f"is {value!r}; it must be one of {', '.join(choices)}.{nearest(value, choices)}")
            return ""
        return value

    def number(self, key: str, low: float, high: float, needed: bool = True) -> float | None:
        """Return a number from ``low`` to ``high``, None if missing or invalid."""
        value = self._take(key, needed)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            self.note(key, f"is {value!r}; it must be a number")
            return None
        if not low <= value <= high:
            self.note(key, f"is {value:g}; it must be {low:g} to {high:g}")
            return None
        return float(value)

    def whole(self, key: str, low: int, high: int, needed: bool = True) -> int | None:
        """Return an integer from ``low`` to ``high``, None if missing or invalid."""
        value = self._take(key, needed)
        if value is None:
            return None
        if type(value) is not int or not low <= value <= high:  # True is an int too
            self.note(key, f"is {value!r}; it must be a whole number from {low} to {high}")
            return None
        return value

    def flag(self, key: str, needed: bool = True) -> bool | None:
        """Return a boolean, None if missing or invalid."""
        value = self._take(key, needed)
        if value is not None and not isinstance(value, bool):
            self.note(key, f"is {value!r}; it must be {_KINDS[bool]}")
            return None
        return value

    def like(self, key: str, default: Any) -> Any:
        """Return a value of the type of ``default``, or ``default`` if missing or invalid.

        An integer is accepted for a float, and a list of any length for a tuple.
        """
        value = self._take(key, needed=False)
        if value is None:
            return default
        if isinstance(default, tuple):
            kind = type(default[0])
            if isinstance(value, list) and value and all(_fits(entry, kind) for entry in value):
                return tuple(kind(entry) for entry in value)
            self.note(key, f"is {value!r}; it must be a list like {list(default)}")
            return default
        kind = type(default)
        if not _fits(value, kind):
            self.note(key, f"is {value!r}; it must be {_KINDS[kind]}")
            return default
        return kind(value)

    def texts(self, key: str) -> list[str]:
        """Return a list of strings, empty if missing or invalid."""
        value = self._take(key, needed=False)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            self.note(key, f'is {value!r}; it must be a list of strings, as in ["one", "two"]')
            return []
        return value

    def table(self, key: str, place: str = "", needed: bool = False) -> CheckedTable | None:
        """Return a sub-table, None if missing or not a table."""
        value = self._take(key, needed)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.note(key, f"is {value!r}; it must be a table, [{key}]")
            return None
        return self._child(value, key, 0, place or f"{self.place}, {key}".strip(", "))

    def tables(self, key: str, thing: str) -> list[CheckedTable]:
        """Return the tables of an array of tables, named by ``thing`` and number; empty if missing or invalid."""
        value = self._take(key, needed=False)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self.note(key, f"must be tables, each under [[{key}]]")
            return []
        before = f"{self.place}, " if self.place else ""
        return [self._child(entry, key, number, f"{before}{thing} {number + 1}") for number, entry in enumerate(value)]

    def named_tables(self) -> dict[str, CheckedTable]:
        """Return all sub-tables by name, of a table that must contain nothing else."""
        found = {name: self.table(name) for name in list(self._values)}
        return {name: table for name, table in found.items() if table is not None}

    def close(self) -> None:
        """Append a fault for every unknown key, i.e. every key that was not accessed."""
        for key in self._values:
            if key not in self._known:
                self.note(key, f"is not a key here; the keys are {', '.join(self._known)}.{nearest(key, self._known)}")

    def _take(self, key: str, needed: bool) -> Any:
        self._known.append(key)
        if key not in self._values and needed:
            self.note(key, "is missing")
        return self._values.get(key)

    def _child(self, values: Mapping[str, Any], key: str, number: int, place: str) -> CheckedTable:
        """Return a sub-table with its lines, from its header to the next one of the same key."""
        start, stop = self._span
        header = re.compile(rf"""\s*\[\[?\s*([^\[\]]*\.)?\s*["']?{re.escape(key)}["']?\s*\]""")
        heads = [n for n in range(start, stop) if header.match(self._lines[n])]
        if number >= len(heads):  # an inline table, or only its sub-tables have headers
            return CheckedTable(values, place, self._faults, self._lines, self._span)
        end = heads[number + 1] if number + 1 < len(heads) else stop
        return CheckedTable(values, place, self._faults, self._lines, (heads[number], end))


def _fits(value: Any, kind: type) -> bool:
    """Return whether a value has a type; an integer counts as a float, a boolean does not count as a number."""
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return type(value) is kind
