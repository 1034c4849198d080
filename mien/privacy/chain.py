"""An append-only file whose lines form a hash chain.

Every line is a JSON object with its number (``n``), the hash of the previous line (``prev``) and
its own hash (``hash``, SHA-256 over the rest). The *head*, a file beside it, holds the number of
lines and the hash of the last one. Changing, removing or reordering a line breaks the chain;
removing lines from the end contradicts the head.

Anyone who can write both files can also write a new chain. To detect this, ``verify`` takes a
head that was stored elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mien.documents import conform, parse_json, read_limited
from mien.errors import DataError, write_error
from mien.files import open_private, write_text
from mien.locks import one_writer

STATE_NAME: Final = "privacy"
START: Final = "0" * 64
"""The ``prev`` hash of the first line."""
MAX_LINE_BYTES: Final = 64 * 1024
_MAX_HEAD_BYTES: Final = 1024
_OWN_KEYS: Final = frozenset({"n", "prev", "hash"})


def state_folder(root: Path) -> Path:
    """Return the folder below a sessions folder that holds the consent ledger, the audit log and the group ledger."""
    return root / STATE_NAME


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain.

    Attributes:
        lines: number of lines.
        hash: hash of the last line.
    """

    lines: int = 0
    hash: str = START

    def __str__(self) -> str:
        return f"{self.lines}:{self.hash}"


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Result of verifying a chain.

    Attributes:
        head: end of the intact part.
        fault: what is wrong after that, "" if the chain is intact.
        note: a remark that is not a fault, or "".
    """

    head: Head
    fault: str = ""
    note: str = ""


def head_from(text: str) -> Head:
    """Parse a head written as ``LINES:HASH``.

    Raises:
        DataError: the text is not a head.
    """
    lines, _, digest = text.strip().partition(":")
    if not lines.isdecimal() or len(lines) > 18 or len(digest) != len(START) or set(digest) - set("0123456789abcdef"):
        raise DataError(f"{text.strip()[:100]!r} is not the head of a log; it must look like 12:9f2c… (number, colon, 64 digits)")
    return Head(int(lines), digest)


class Chain:
    """A chain in a file.

    Args:
        path: the file, which need not exist; ``NAME.head`` and ``NAME.lock`` are beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head_path = path.with_name(path.name + ".head")

    def append(self, fields: Mapping[str, Any]) -> Head:
        """Append a line with ``fields`` and return the new head; the line is on disk when this returns.

        Several threads and processes may append concurrently. An incomplete line, left by a kill,
        is removed first. If this raises an error, nothing was appended.

        Raises:
            DataError: the file does not match its head.
            DeviceError: the file cannot be written.
        """
        if _OWN_KEYS & set(fields):
            raise ValueError(f"the keys {sorted(_OWN_KEYS)} are reserved")
        with one_writer(self.path):
            head, size = self._end()
            body = {"n": head.lines + 1, **fields, "prev": head.hash}
            new = Head(head.lines + 1, _digest(body))
            line = _text({**body, "hash": new.hash}) + b"\n"
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"a line has at most {MAX_LINE_BYTES} bytes, this one {len(line)}")
            recorded = f"{new} {size + len(line)}\n"
            try:
                with os.fdopen(open_private(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as handle:
                    handle.write(line)
                    handle.flush()
                    os.fsync(handle.fileno())
                write_text(self.head_path, recorded, private=True)
            except BaseException as error:  # an append that raises an error leaves no line behind
                if not self._is_recorded(recorded):  # Ctrl-C may come when the line is already in the head
                    with suppress(OSError):  # if this fails too, a complete line stays; the next append puts it into the head
                        os.truncate(self.path, size)
                if not isinstance(error, OSError):
                    raise
                message = f"cannot write {self.path} ({error.strerror}). Free some space, or check permissions"
                raise write_error(message, error) from error
        return new

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the lines in order, without their hashes.

        Raises:
            DataError: the chain is broken; the lines before the fault were yielded.
        """
        head = Head()
        for raw in self._lines():
            head, row, fault = _next(head, raw)
            if fault and self._is_unfinished(head, raw):
                return
            if fault:
                raise DataError(f"{self.path}, line {head.lines + 1}: {fault}. Check it with: mien privacy log verify")
            yield {key: value for key, value in row.items() if key not in ("prev", "hash")}

    def verify(self, kept: Head | None = None) -> ChainReport:
        """Verify that the chain is intact, matches its head, and contains a head that was ``kept`` elsewhere.

        Raises:
            DataError: the file or its head cannot be read.
        """
        recorded, _ = self._recorded()
        head, fault, note = Head(), "", ""
        heads = {head}
        for raw in self._lines():
            following, _, fault = _next(head, raw)
            if fault:
                if self._is_unfinished(head, raw):
                    fault, note = "", "its last line is incomplete: the program was killed while writing it"
                break
            head = following
            if head in (recorded, kept):
                heads.add(head)
        if head.lines > recorded.lines and self._recorded()[0] != recorded:
            return self.verify(kept)  # another process appended a line meanwhile
        if not fault and recorded not in heads:
            fault = f"the file has {head.lines} lines, its head {recorded.lines}: lines are missing or were replaced"
        if not fault and kept is not None and kept not in heads:
            fault = f"it does not contain the given head {kept}: the file was truncated or rewritten"
        if not fault and recorded == Head() and head.lines > 1:
            fault = f"its head {self.head_path.name} is missing, so removed lines cannot be detected"
        if not fault and not note and head.lines > recorded.lines:
            note = (
                f"{head.lines - recorded.lines} of its lines are not in the head: they were added by hand, or the program was "
                "killed"
            )
        return ChainReport(head, fault, note)

    def _is_unfinished(self, head: Head, raw: bytes) -> bool:
        """Return whether ``raw``, which follows ``head``, is a last line that was being written when the program was killed."""
        if raw.endswith(b"\n") or len(raw) == MAX_LINE_BYTES:
            return False
        return head.lines >= self._recorded()[0].lines

    def _is_recorded(self, text: str) -> bool:
        """Return whether the head's file has this content."""
        try:
            return read_limited(self.head_path, _MAX_HEAD_BYTES) == text.encode()
        except (OSError, ValueError):
            return False

    def _recorded(self) -> tuple[Head, int]:
        """Return the recorded head and file size; an empty head if there is none."""
        try:
            text, _, size = read_limited(self.head_path, _MAX_HEAD_BYTES).decode().strip().partition(" ")
            return head_from(text), int(size)
        except FileNotFoundError:
            return Head(), 0
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {self.head_path} ({error}). Restore a copy of it, or check its permissions") from error

    def _end(self) -> tuple[Head, int]:
        """Return the head and the file's size, after removing an incomplete last line."""
        if self.path.is_symlink():
            raise DataError(f"{self.path} is a symbolic link and is not written to. Replace it with the file itself")
        recorded, size = self._recorded()
        found = self.path.stat().st_size if self.path.exists() else 0
        if found == size:
            return recorded, size
        verdict = self.verify()
        if verdict.fault:
            raise DataError(
                f"{self.path}, line {verdict.head.lines + 1}: {verdict.fault}. Nothing was appended. Move the file and "
                f"{self.head_path.name} to another folder and keep them; a new log is then started"
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
    """Return the head after the line ``raw``, the line, and its fault or ""; with a fault, the head is unchanged."""
    try:
        row = conform(parse_json(raw), dict[str, Any], "the line")
        number, before, digest = row["n"], row["prev"], row["hash"]
    except (ValueError, KeyError):
        return head, {}, "not a line of this log"
    if not raw.endswith(b"\n"):
        return head, {}, "incomplete"
    if number != head.lines + 1:
        return head, row, f"its number is {number}, expected {head.lines + 1}: lines were removed, added or reordered"
    if before != head.hash:
        return head, row, "it does not follow the previous line, which was changed, removed or reordered"
    if digest != _digest({key: value for key, value in row.items() if key != "hash"}) or raw != _text(row) + b"\n":
        return head, row, "it was changed: its hash does not match"
    return Head(number, digest), row, ""


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(body)).hexdigest()


def _text(body: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of a line, so that equal content has equal bytes."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
