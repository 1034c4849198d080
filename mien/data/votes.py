"""FER+ votes of ten human raters, matched to images.

FER+ (Barsoum et al. 2016, doi:10.1145/2993148.2993165) asked ten people about every FER2013
image. Its original file, ``fer2013new.csv``, has no image names but the order of the original
``fer2013.csv``. A file with a ``path`` column is matched by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.fer2013 import is_fer2013_name
from mien.data.tables import read_rows, short_name
from mien.emotions import EMOTIONS, canonical_name
from mien.errors import DataError

OTHER_ANSWERS: Final[tuple[str, ...]] = ("contempt", "unknown", "NF")
"""Answers in addition to the seven classes; NF is "not a face"."""
NOT_A_FACE_VOTES: Final = 5
MAJORITY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Votes:
    """Votes for N images.

    Attributes:
        counts: (N, 10) float32: votes for each of ``EMOTIONS``, then ``OTHER_ANSWERS``; zeros
            if the file has no votes for the image.
        unnamed: (N,) bool: an image of FER2013 that FER+ does not name. FER+ marks images without a face so.
    """

    counts: NDArray[np.float32]
    unnamed: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) bool: the image has votes."""
        return np.asarray(self.counts.sum(1) > 0)

    @property
    def winner(self) -> NDArray[np.int64]:
        """(N,) int64: index of the answer with most votes, into ``EMOTIONS + OTHER_ANSWERS``."""
        return np.asarray(self.counts.argmax(1), np.int64)

    @property
    def clear(self) -> NDArray[np.bool_]:
        """(N,) bool: one answer has more than half of the votes."""
        return np.asarray(self.counts.max(1, initial=0) > MAJORITY * np.maximum(self.counts.sum(1), 1))

    @property
    def shares(self) -> NDArray[np.float32]:
        """(N, 8) float32: share of the votes for each of ``EMOTIONS``, then for none of them; zeros without votes."""
        count = len(EMOTIONS)
        eight = np.column_stack((self.counts[:, :count], self.counts[:, count:].sum(1)))
        return np.asarray(eight / np.maximum(eight.sum(1, keepdims=True), 1), np.float32)

    @property
    def majority(self) -> NDArray[np.int64]:
        """(N,) int64: the expression with more than half of all votes, as an index into ``EMOTIONS``; -1 if none."""
        agreed = self.clear & (self.winner < len(EMOTIONS))
        return np.where(agreed, self.winner, -1)

    @property
    def not_a_face(self) -> NDArray[np.bool_]:
        """(N,) bool: at least five votes for "not a face", or an image of FER2013 that FER+ does not name."""
        return (self.counts[:, -1] >= NOT_A_FACE_VOTES) | self.unnamed


def read_votes(path: Path, dataset: FaceDataset) -> Votes:
    """Return the votes in ``path`` for the images of ``dataset``.

    Raises:
        DataError: not a votes file, or one for other data.
    """
    rows = read_rows(path, "the votes")
    if not rows:
        raise DataError(f"the votes {path} are empty")
    columns = {column: _answer(column) for column in rows[0] if column}
    used = {column: at for column, at in columns.items() if at is not None}
    if set(used.values()) != set(range(len(EMOTIONS) + len(OTHER_ANSWERS))):
        raise DataError(f"the votes {path} have the columns {list(rows[0])[:12]}; expected FER+'s ten answers")
    counts = np.zeros((len(rows), len(EMOTIONS) + len(OTHER_ANSWERS)), np.float32)
    for i, row in enumerate(rows):
        try:
            for column, at in used.items():
                counts[i, at] = float(row[column])
        except (TypeError, ValueError) as error:
            raise DataError(f"the votes {path}, line {i + 2}: {error}") from error
    if not np.isfinite(counts).all():
        raise DataError(f"the votes {path} contain a value that is not a number")
    np.maximum(counts, 0, out=counts)
    if "path" in columns:
        for i, row in enumerate(rows):
            if not row["path"]:
                raise DataError(f"the votes {path}, line {i + 2}: no path")
        return _by_name(path, [row["path"] for row in rows], counts, dataset)
    return _by_order(path, [row.get("Usage") for row in rows], counts, dataset)


def _answer(column: str) -> int | None:
    """Return the index of a column among the answers, None for other columns."""
    text = column.strip()
    if text in OTHER_ANSWERS:
        return len(EMOTIONS) + OTHER_ANSWERS.index(text)
    emotion = canonical_name(text)
    return EMOTIONS.index(emotion) if emotion else None


def _by_name(path: Path, names: list[str], counts: NDArray[np.float32], dataset: FaceDataset) -> Votes:
    """Match by the last three parts of the name."""
    place = {short_name(name): i for i, name in enumerate(names)}
    found = np.array([place.get(short_name(name), -1) for name in dataset.names], np.int64)
    if (found < 0).mean() > 0.5:
        raise DataError(
            f"the votes {path} name images such as {names[0]!r}, the data set has {dataset.names[0]!r}: "
            f"only {(found >= 0).sum()} of {len(dataset)} match. Use the votes of this data set"
        )
    matched = np.where(found[:, None] >= 0, counts[found], 0).astype(np.float32)
    of_fer2013 = np.array([is_fer2013_name(name) for name in dataset.names], np.bool_)
    return Votes(matched, (matched.sum(1) == 0) & of_fer2013)


def _by_order(path: Path, usages: list[str | None], counts: NDArray[np.float32], dataset: FaceDataset) -> Votes:
    """Match by the line of the original CSV; the split of every line must agree."""
    try:
        lines = np.array([int(name.rsplit(":", 1)[1]) - 2 for name in dataset.names], np.int64)
    except (IndexError, ValueError) as error:
        raise DataError(
            f"the votes {path} have no image names, only the order of the original CSV. Pass it with --data fer2013.csv, "
            "or use votes with a path column"
        ) from error
    if lines.max(initial=-1) >= len(usages):
        raise DataError(
            f"the votes {path} have {len(usages)} lines, the data set has {int(lines.max()) + 1}. Use the votes of this data set"
        )
    wrong = [int(line) + 2 for line, split in zip(lines, dataset.splits, strict=True) if usages[line] != SPLITS[split]]
    if wrong:
        raise DataError(
            f"the votes {path} are not in the order of this CSV: line {wrong[0]} is {usages[wrong[0] - 2]!r} there and "
            f"another split here ({len(wrong)} such lines)"
        )
    return Votes(counts[lines], counts[lines].sum(1) == 0)
