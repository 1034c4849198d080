"""A file of lines that can only grow, each bound to all before it by a hash.

Every line is a JSON object with its number (``n``), the hash of the line before (``prev``)
and its own (``hash``, SHA-256 over the rest). Beside the file stands its *head*: how many
lines there are, and the hash of the last. Changing, removing or reordering a line breaks the
chain; cutting lines off the end breaks the head.

Whoever can write both files can also write a whole new chain. Against that only a head that
is kept elsewhere helps: ``verify`` takes one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, DeviceError
from mien.files import write_text
from mien.locks import one_writer

START: Final = "0" * 64
"""What stands in place of a hash before the first line."""
MAX_LINE_BYTES: Final = 64 * 1024
_OWN_KEYS: Final = frozenset({"n", "prev", "hash"})


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends.

    Attributes:
        lines: how many lines it has.
        hash: the hash of the last one.
    """

    lines: int = 0
    hash: str = START

    def __str__(self) -> str:
        return f"{self.lines}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking a chain found.

    Attributes:
        head: where the whole part of the chain ends.
        fault: what is wrong with the line after that, "" where all is well.
        note: what is worth knowing and no fault, or "".
    """

    head: Head
    fault: str = ""
    note: str = ""


def head_from(text: str) -> Head:
    """Return the head that ``text`` (``LINES:HASH``) stands for.

    Raises:
        DataError: it stands for none.
    """
    lines, _, digest = text.strip().partition(":")
    if not lines.isdecimal() or len(lines) > 18 or len(digest) != len(START) or set(digest) - set("0123456789abcdef"):
        raise DataError(f"{text.strip()[:100]!r} is no head of a log; it looks like 12:9f2c… (a number, a colon, 64 digits)")
    return Head(int(lines), digest)


class Chain:
    """The chain in a file; the file need not be there yet.

    Args:
        path: the file; ``NAME.head`` and ``NAME.lock`` stand beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head_path = path.with_name(path.name + ".head")

    def append(self, fields: Mapping[str, Any]) -> Head:
        """Add a line with ``fields`` and return the new head; it is on the disk when this returns.

        Several threads and processes may append at once. What a kill left behind of a line
        that nobody was told of is taken off first.

        Raises:
            DataError: the file does not end where its head says.
            DeviceError: the disk refuses.
        """
        if _OWN_KEYS & set(fields):
            raise ValueError(f"a line's own keys are {sorted(_OWN_KEYS)}")
        with one_writer(self.path):
            head, size = self._end()
            body = {"n": head.lines + 1, **fields, "prev": head.hash}
            new = Head(head.lines + 1, _digest(body))
            line = _text({**body, "hash": new.hash}) + b"\n"
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"a line has at most {MAX_LINE_BYTES} bytes, this one {len(line)}")
            try:
                with self.path.open("ab") as handle:
                    handle.write(line)
                    handle.flush()
                    os.fsync(handle.fileno())
            except OSError as error:
                raise DeviceError(
                    f"cannot write {self.path} ({error.strerror}). Free some space, or check permissions"
                ) from error
            write_text(self.head_path, f"{new} {size + len(line)}\n")
        return new

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the lines in order, without their hashes.

        Raises:
            DataError: the chain is broken; rows before the fault were yielded.
        """
        head = Head()
        for raw in self._lines():
            head, row, fault = _next(head, raw)
            if fault:
                raise DataError(f"{self.path}, line {head.lines + 1}: {fault}. Check it with: mien audit verify")
            yield {key: value for key, value in row.items() if key not in ("prev", "hash")}

    def verify(self, kept: Head | None = None) -> Verdict:
        """Return whether the chain is whole, ends where its head says, and still holds a head that was ``kept`` elsewhere.

        Raises:
            DataError: the file or its head cannot be read.
        """
        recorded, _ = self._recorded()
        head, fault, note = Head(), "", ""
        heads = {head}
        lines = self._lines()
        for raw in lines:
            following, _, fault = _next(head, raw)
            if fault:
                if head.lines >= recorded.lines and not raw.endswith(b"\n") and next(lines, None) is None:
                    fault, note = "", "its last line was cut short while it was written; nobody was told that it was there"
                break
            head = following
            if head in (recorded, kept):
                heads.add(head)
        if head.lines > recorded.lines and self._recorded()[0] != recorded:
            return self.verify(kept)  # somebody wrote meanwhile
        if not fault and recorded not in heads:
            fault = f"the file ends after {head.lines} lines, its head says {recorded.lines}: lines are missing or were replaced"
        if not fault and kept is not None and kept not in heads:
            fault = f"the head you kept, {kept}, is not in it: the file was cut or written anew"
        if not fault and recorded == Head() and head.lines > 1:
            fault = f"its head {self.head_path.name} is missing, so lines cut off its end would not be missed"
        if not fault and not note and head.lines > recorded.lines:
            note = (
                f"{head.lines - recorded.lines} of its lines stand after the head: added by hand, or the program was killed there"
            )
        return Verdict(head, fault, note)

    def _recorded(self) -> tuple[Head, int]:
        """Return the head that stands beside the file, and the file's size then; a chain without any has no lines."""
        try:
            text, _, size = self.head_path.read_text(encoding="utf-8").strip().partition(" ")
            return head_from(text), int(size)
        except FileNotFoundError:
            return Head(), 0
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {self.head_path} ({error}). Put a copy of it back, or check its permissions") from error

    def _end(self) -> tuple[Head, int]:
        """Return where the next line goes and the file's size; a line that was not finished is taken off."""
        recorded, size = self._recorded()
        found = self.path.stat().st_size if self.path.exists() else 0
        if found == size:
            return recorded, size
        verdict = self.verify()
        if verdict.fault:
            raise DataError(
                f"{self.path}, line {verdict.head.lines + 1}: {verdict.fault}. Nothing was added. Move the file and "
                f"{self.head_path.name} away together, keep them, and start again"
            )
        whole = sum(len(raw) for raw in islice(self._lines(), verdict.head.lines))
        if found > whole:
            with self.path.open("r+b") as handle:
                handle.truncate(whole)
        return verdict.head, whole

    def _lines(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as handle:
                while raw := handle.readline(MAX_LINE_BYTES):
                    yield raw
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(f"cannot read {self.path} ({error.strerror}). Check its permissions") from error


def _next(head: Head, raw: bytes) -> tuple[Head, dict[str, Any], str]:
    """Return the head after the line ``raw``, the line, and what is wrong with it; with a fault the head stays."""
    try:
        row = json.loads(raw)
        number, before, digest = row["n"], row["prev"], row["hash"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return head, {}, "not a line of this log"
    if not raw.endswith(b"\n"):
        return head, {}, "cut short"
    if number != head.lines + 1:
        return head, row, f"its number is {number}, expected is {head.lines + 1}: lines were removed, added or reordered"
    if before != head.hash:
        return head, row, "it does not follow the line before it: that one was changed, removed or reordered"
    if digest != _digest({key: value for key, value in row.items() if key != "hash"}) or raw != _text(row) + b"\n":
        return head, row, "it was changed: its hash does not fit"
    return Head(number, digest), row, ""


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(body)).hexdigest()


def _text(body: Mapping[str, Any]) -> bytes:
    """Return the one way to write a line, so that equal content has equal bytes."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
