"""A table of a TOML file taken key by key: whatever is wrong with it is noted with its place, and all of it is said at once.

Knows nothing of rules: only keys, kinds of values, bounds, and where in the text they stand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from mien.errors import nearest

_LONGEST_TEXT: Final = 2000
_HEADER: Final = re.compile(r"\s*\[")


class CheckedTable:
    """One table.

    Args:
        values: its keys.
        place: how people call it, as in ``rule 'away'``.
        faults: where faults are noted, shared by all tables of a file.
        lines: the file's lines, for the numbers in front of faults.
        span: the first of its lines, and the one behind its last sub-table, from 0.
    """

    def __init__(
        self, values: Mapping[str, Any], place: str, faults: list[str], lines: Sequence[str], span: tuple[int, int] | None = None
    ) -> None:
        self._values, self._faults, self._lines = values, faults, lines
        self._span = (0, len(lines)) if span is None else span
        self._known: list[str] = []
        self.place = place

    def has(self, key: str) -> bool:
        """Return whether a key is set."""
        return key in self._values

    def note(self, key: str, fault: str) -> None:
        """Note what is wrong with a key."""
        start, stop = self._span
        own = next((n for n in range(start + 1, stop) if _HEADER.match(self._lines[n])), stop)
        pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""")
        line = next((f"line {n + 1}: " for n in range(start, own) if pattern.match(self._lines[n])), "")
        place = f"{self.place}, " if self.place else ""
        self._faults.append(f"{line}{place}{key} {fault}")

    def text(self, key: str, needed: bool = True) -> str:
        """Return a text on one line, "" where it is missing or wrong."""
        value = self._take(key, needed)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.note(key, f"is {value!r}; it must be text in quotation marks")
            return ""
        line = " ".join(value.split())
        if (needed and not line) or len(line) > _LONGEST_TEXT or not line.isprintable():
            self.note(key, f"must be 1 to {_LONGEST_TEXT} printable characters")
            return ""
        return line

    def choice(self, key: str, choices: Collection[str]) -> str:
        """Return one of ``choices``, "" where it is missing or none of them."""
        value = self.text(key)
        if value and value not in choices:
            self.note(key, f"is {value!r}; it must be one of {', '.join(choices)}.{nearest(value, choices)}")
            return ""
        return value

    def number(self, key: str, low: float, high: float, needed: bool = True) -> float | None:
        """Return a number from ``low`` to ``high``, None where it is missing or wrong."""
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

    def texts(self, key: str) -> list[str]:
        """Return a list of texts, none where it is missing or wrong."""
        value = self._take(key, needed=False)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            self.note(key, f'is {value!r}; it must be a list of texts, as in ["one", "two"]')
            return []
        return value

    def table(self, key: str, place: str = "") -> CheckedTable | None:
        """Return a sub-table, None where it is missing or no table."""
        value = self._take(key, needed=False)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.note(key, f"is {value!r}; it must be a table, [{key}]")
            return None
        return self._child(value, key, 0, place or f"{self.place}, {key}".strip(", "))

    def tables(self, key: str, thing: str) -> list[CheckedTable]:
        """Return the tables of a list, called by ``thing`` and their number; none where there are none."""
        value = self._take(key, needed=False)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self.note(key, f"must be tables, each under [[{key}]]")
            return []
        before = f"{self.place}, " if self.place else ""
        return [self._child(entry, key, number, f"{before}{thing} {number + 1}") for number, entry in enumerate(value)]

    def named_tables(self) -> dict[str, CheckedTable]:
        """Return all sub-tables of a table that holds nothing else, by their names."""
        found = {name: self.table(name) for name in list(self._values)}
        return {name: table for name, table in found.items() if table is not None}

    def close(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                self.note(key, f"is not a key here; the keys are {', '.join(self._known)}.{nearest(key, self._known)}")

    def _take(self, key: str, needed: bool) -> Any:
        self._known.append(key)
        if key not in self._values and needed:
            self.note(key, "is missing")
        return self._values.get(key)

    def _child(self, values: Mapping[str, Any], key: str, number: int, place: str) -> CheckedTable:
        """Return a sub-table with its lines: from its own header to the next like it."""
        start, stop = self._span
        header = re.compile(rf"""\s*\[\[?\s*([^\[\]]*\.)?\s*["']?{re.escape(key)}["']?\s*\]""")
        heads = [n for n in range(start, stop) if header.match(self._lines[n])]
        if number >= len(heads):  # written in a line of its parent, or only its own sub-tables have headers
            return CheckedTable(values, place, self._faults, self._lines, self._span)
        end = heads[number + 1] if number + 1 < len(heads) else stop
        return CheckedTable(values, place, self._faults, self._lines, (heads[number], end))
