"""What kind of file a data set comes in, told by its first bytes, and the CSV inside an archive.

Names mislead: a tar archive unpacked halfway is often called ``fer2013.csv``.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast

from mien.errors import DataError

CSV_NAMES: Final = ("fer2013.csv", "icml_face_data.csv")
"""What FER2013's CSV is called, the preferred one first."""
_FOREIGN: Final = {b"Rar!": "a RAR archive", b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive"}
_COMPRESSED: Final[dict[bytes, Callable[..., Any]]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_TEXT_ENDINGS: Final = (".csv", ".tsv", ".txt")
BROKEN: Final = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error),
    *(NotImplementedError, RuntimeError),
)
"""What archives that are cut short, damaged, encrypted or exotic make the standard library raise, beside ``OSError``."""


class Kind(Enum):
    """Kinds of files that can hold a data set."""

    ZIP = "zip"
    TAR = "tar"
    COMPRESSED = "compressed text"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A CSV that is open for reading.

    Attributes:
        text: its text.
        name: its own name, without that of an archive around it.
        done: returns how many bytes of the file on the disk were read.
    """

    text: IO[str]
    name: str
    done: Callable[[], int]


def kind_of(path: Path) -> Kind:
    """Return the kind of a file, by its content.

    Raises:
        DataError: it cannot be opened, or it is an archive of a kind that is not read.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(512)
        for magic, what in _FOREIGN.items():
            if head.startswith(magic):
                raise DataError(f"{path} is {what}, which is not supported. Unpack it and pass the folder with --data")
        if head.startswith(b"PK\x03\x04") or zipfile.is_zipfile(path):
            return Kind.ZIP
        if head[257:262] == b"ustar":
            return Kind.TAR
        if any(head.startswith(magic) for magic in _COMPRESSED):
            return Kind.TAR if _holds_tar(path) else Kind.COMPRESSED
    except OSError as error:
        raise DataError(f"cannot open {path} ({error.strerror}). Check its permissions") from error
    return Kind.TEXT if path.suffix.lower() in _TEXT_ENDINGS else Kind.ZIP  # one cut short, or none: its reader says so


def table_among(names: Sequence[str]) -> str | None:
    """Return the CSV to read among an archive's file names: FER2013's, else the only one; None if there is none.

    >>> table_among(["a/train.csv", "a/icml_face_data.csv"]), table_among(["x.csv", "y.csv"])
    ('a/icml_face_data.csv', None)
    """
    tables = [name for name in names if name.lower().endswith(".csv")]
    for wanted in CSV_NAMES:
        named = [name for name in tables if PurePosixPath(name).name.lower() == wanted]
        if named:
            return named[0]
    return tables[0] if len(tables) == 1 else None


@contextmanager
def open_table(path: Path) -> Iterator[OpenTable]:
    """Yield the CSV in a file of any kind; a byte-order mark is left out.

    Raises:
        DataError: an archive without a CSV, or with several.
    """
    kind = kind_of(path)
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        name = path.name
        content: IO[bytes] = raw
        if kind is Kind.ZIP:
            archive = stack.enter_context(zipfile.ZipFile(raw))
            member = _table_in(path, "zip", [each.filename for each in archive.infolist()])
            name, content = PurePosixPath(member).name, stack.enter_context(archive.open(member))
        elif kind is Kind.TAR:
            tar = stack.enter_context(tarfile.open(fileobj=raw))
            files = {each.name: each for each in tar if each.isfile()}
            member = _table_in(path, "tar", list(files))
            found = tar.extractfile(files[member])
            assert found is not None
            name, content = PurePosixPath(member).name, stack.enter_context(found)
        elif kind is Kind.COMPRESSED:
            start = raw.read(8)
            raw.seek(0)
            unpack = next(opener for magic, opener in _COMPRESSED.items() if start.startswith(magic))
            name, content = path.stem, stack.enter_context(unpack(raw, "rb"))
        buffered = io.BufferedReader(cast(io.RawIOBase, content))  # what archives open lacks peek
        encoding = "utf-16" if buffered.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        yield OpenTable(io.TextIOWrapper(buffered, encoding=encoding, newline=""), name, raw.tell)


def _table_in(path: Path, kind: str, names: Sequence[str]) -> str:
    """Return the CSV among the names in an archive, or raise the error that says what the archive holds."""
    member = table_among(names)
    if member is None:
        held = ", ".join(names[:4]) + (" and more" if len(names) > 4 else "") or "nothing"
        raise DataError(
            f"{path} is a {kind} archive without FER2013's CSV; it holds {held}. Unpack it and name the folder with --data"
        )
    return member


def _holds_tar(path: Path) -> bool:
    """Tell whether a compressed file holds a tar archive."""
    try:
        with tarfile.open(path) as archive:
            archive.next()
    except (*BROKEN, OSError):
        return False
    return True
