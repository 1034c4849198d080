"""Reading FER2013 as originally published: one CSV row per image.

There are two such files: ``fer2013.csv`` (emotion, pixels, Usage) and ``icml_face_data.csv``
(the same columns in another order, with blanks in the heads). Their integer classes have
another order than ours and are translated here. Files that a spreadsheet or pandas saved
again are read as well: byte-order marks, semicolons or tabs, codes such as ``3.0``, class
names, other words for the splits.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Final

import numpy as np

from mien.data.containers import BROKEN, OpenTable, open_table
from mien.data.dataset import SPLITS, FaceDataset
from mien.data.fer_folders import Progress, ReadResult
from mien.data.layouts import split_named
from mien.emotions import EMOTIONS, FER2013_CODES, canonical_name
from mien.errors import DataError
from mien.files import refuse_large
from mien.preprocess import INPUT_SIZE

_MAX_BYTES: Final = 4 * 1024**3
"""Half a million images; FER2013's own file has 0.3 GB."""
_MAX_LINE: Final = 1 << 20
_COLUMNS: Final = {"emotion": ("emotion", "label"), "pixels": ("pixels",), "usage": ("usage", "split")}


def read_csv(path: Path, progress: Progress | None = None) -> ReadResult:
    """Return the data set in an original FER2013 CSV; source names are ``FILE:LINE``.

    Rows that are not an image with a class and a split are left out and named. A file without the
    column Usage has no splits: all of it is Training.

    Args:
        path: the CSV, also compressed, or in a zip or tar archive.
        progress: called now and then with (bytes read, bytes in all).

    Raises:
        DataError: the file is no such CSV, or more than 1% of its rows are broken.
    """
    refuse_large(path, _MAX_BYTES, "the data set")
    try:
        with open_table(path) as table:
            return _read(path, table, progress)
    except OSError as error:
        raise DataError(
            f"cannot read {path} ({error.strerror or error}). Check that it is complete, and its permissions"
        ) from error
    except BROKEN as error:
        raise DataError(f"{path} is cut short or damaged ({error}). Fetch it again, or unpack it yourself") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a text CSV ({error}). Save it as 'CSV UTF-8'") from error


def _read(path: Path, table: OpenTable, progress: Progress | None) -> ReadResult:
    """Return the rows of an open CSV as a data set."""
    images: list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]] = []
    labels: list[int] = []
    splits: list[int] = []
    names: list[str] = []
    unreadable: list[str] = []
    reason = ""
    size = path.stat().st_size
    lines = _lines(path, table.text)
    head, delimiter = _head(next(lines, ""))
    at = {what: next((head.index(name) for name in known if name in head), None) for what, known in _COLUMNS.items()}
    emotion_at, pixels_at, usage_at = at.values()
    if emotion_at is None or pixels_at is None:
        raise DataError(f"{path} has the columns {head[:6]}, not emotion, pixels and Usage: not FER2013's CSV")
    for line, row in enumerate(csv.reader(lines, delimiter=delimiter), start=2):
        if not any(row):
            continue
        name = f"{table.name}:{line}"
        try:
            image = _pixels(row[pixels_at])
            label = _label(row[emotion_at])
            split = 0 if usage_at is None else _split(row[usage_at])
        except (ValueError, IndexError, OverflowError) as error:
            unreadable.append(name)
            reason = reason or str(error)
            continue
        images.append(image)
        labels.append(label)
        splits.append(split)
        names.append(name)
        if progress is not None and line % 500 == 0:
            progress(min(table.done(), size), size)
    if progress is not None:
        progress(size, size)
    if not images or len(unreadable) > 0.01 * (len(images) + len(unreadable)):
        first = f", {unreadable[0]} the first ({reason})" if unreadable else ""
        raise DataError(
            f"{path}: {len(unreadable)} rows cannot be read{first}; {len(images)} can. Repair the file or fetch it again"
        )
    dataset = FaceDataset(
        np.stack(images), np.array(labels, np.int64), np.array(splits, np.int64), tuple(names), unsplit=usage_at is None
    )
    return ReadResult(dataset, tuple(unreadable), {(INPUT_SIZE, INPUT_SIZE): len(dataset)})


def _lines(path: Path, text: IO[str]) -> Iterator[str]:
    """Yield the lines of a text; what a compressed file unpacks to is limited as well.

    A line longer than a million characters comes in pieces, which the CSV reader refuses.
    """
    characters = 0
    for line in iter(partial(text.readline, _MAX_LINE), ""):
        characters += len(line)
        if characters > _MAX_BYTES:
            raise DataError(f"{path} unpacks to more than {_MAX_BYTES:,} characters. Is it the right file?")
        yield line


def _head(line: str) -> tuple[list[str], str]:
    """Return the column names in lower case and the delimiter: tab, semicolon or comma."""
    delimiter = next((mark for mark in "\t;" if mark in line), ",")
    return [column.strip().lower() for column in next(csv.reader([line], delimiter=delimiter), [])], delimiter


def _pixels(text: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    values = text.split()
    if len(values) != INPUT_SIZE**2:
        raise ValueError(f"{len(values)} pixels, not {INPUT_SIZE} x {INPUT_SIZE}")
    return np.array(values, np.uint8).reshape(INPUT_SIZE, INPUT_SIZE)


def _label(text: str) -> int:
    """Return the class of a code 0 to 6, also written ``3.0``, or of a name."""
    named = canonical_name(text)
    if named is None:
        code = float(text)
        if not code.is_integer() or not 0 <= code < len(FER2013_CODES):  # Python's negative indices must not pass
            raise ValueError(f"{text[:20]!r} is not a class from 0 to {len(FER2013_CODES) - 1}")
        named = FER2013_CODES[int(code)]
    return EMOTIONS.index(named)


def _split(text: str) -> int:
    split = split_named(text)
    if split is None:
        raise ValueError(f"the usage {text[:20]!r} is none of {', '.join(SPLITS)}")
    return SPLITS.index(split)
