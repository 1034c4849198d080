"""Reading FER2013 as it was first published: one CSV row an image.

Two files are about: ``fer2013.csv`` (emotion, pixels, Usage) and ``icml_face_data.csv``
(the same columns in another order, with blanks in the heads). Their integer classes have
another order than ours and are translated here.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.fer_folders import Progress, ReadResult
from mien.emotions import EMOTIONS, FER2013_CODES
from mien.errors import DataError
from mien.files import refuse_large
from mien.preprocess import INPUT_SIZE

_MAX_BYTES: Final = 4 * 1024**3
"""Half a million images; FER2013's own file has 0.3 GB."""


def read_csv(path: Path, progress: Progress | None = None) -> ReadResult:
    """Return the data set in an original FER2013 CSV; source names are ``FILE:LINE``.

    Rows that are not an image with a class and a split are left out and named.

    Raises:
        DataError: the file is no such CSV, or more than 1 % of its rows are broken.
    """
    images: list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]] = []
    labels: list[int] = []
    splits: list[int] = []
    names: list[str] = []
    unreadable: list[str] = []
    refuse_large(path, _MAX_BYTES, "the data set")
    try:
        size = path.stat().st_size
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.reader(handle)
            head = [column.strip().lower() for column in next(reader, [])]
            if not {"emotion", "pixels", "usage"} <= set(head):
                raise DataError(f"{path} has the columns {head[:6]}, not emotion, pixels and Usage: not FER2013's CSV")
            emotion_at, pixels_at, usage_at = (head.index(c) for c in ("emotion", "pixels", "usage"))
            read_bytes = 0
            for line, row in enumerate(reader, start=2):
                name = f"{path.name}:{line}"
                read_bytes += sum(map(len, row)) + len(row)
                try:
                    pixels = np.array(row[pixels_at].split(), np.uint8).reshape(INPUT_SIZE, INPUT_SIZE)
                    label = EMOTIONS.index(FER2013_CODES[_code(row[emotion_at])])
                    split = SPLITS.index(row[usage_at].strip())
                except (ValueError, IndexError, OverflowError):
                    unreadable.append(name)
                    continue
                images.append(pixels)
                labels.append(label)
                splits.append(split)
                names.append(name)
                if progress is not None and line % 500 == 0:
                    progress(min(read_bytes, size), size)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}). Check its permissions") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a text CSV ({error})") from error
    if progress is not None:
        progress(size, size)
    if not images or len(unreadable) > 0.01 * (len(images) + len(unreadable)):
        first = f", {unreadable[0]} the first" if unreadable else ""
        raise DataError(f"{path}: {len(unreadable)} rows cannot be read{first}; {len(images)} can. Fetch the file again")
    dataset = FaceDataset(np.stack(images), np.array(labels, np.int64), np.array(splits, np.int64), tuple(names))
    return ReadResult(dataset, tuple(unreadable), {(INPUT_SIZE, INPUT_SIZE): len(dataset)})


def _code(text: str) -> int:
    """Return a class code 0..6; Python's negative indices must not pass."""
    code = int(text)
    if code < 0:
        raise ValueError(text)
    return code
