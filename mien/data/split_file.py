"""``clean_split.csv``: an action and reasons per image, written by the audit for train and evaluate."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.tables import read_rows, short_name
from mien.emotions import EMOTIONS
from mien.errors import DataError

TRAIN_ACTIONS: Final[tuple[str, ...]] = ("keep", "down-weight", "drop")
TEST_ACTIONS: Final[tuple[str, ...]] = ("clean", "leaked")
COLUMNS: Final[tuple[str, ...]] = ("name", "split", "label", "action", "weight", "reasons")


@dataclass(frozen=True, slots=True)
class SplitFile:
    """Decisions about N images, in the order of a data set.

    Attributes:
        actions: N of ``TRAIN_ACTIONS`` (Training) or ``TEST_ACTIONS`` (the other splits).
        weights: (N,) float32, 0 (dropped) to 1; test images have 1.
        reasons: N texts, reasons joined by ``; ``, empty for none.
    """

    actions: tuple[str, ...]
    weights: NDArray[np.float32]
    reasons: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Return the number of images by action, every action named."""
        return {action: self.actions.count(action) for action in TRAIN_ACTIONS + TEST_ACTIONS}

    @property
    def clean(self) -> NDArray[np.bool_]:
        """(N,) bool: test images that do not occur in an earlier split."""
        return np.array([action == "clean" for action in self.actions], np.bool_)

    def apply(self, dataset: FaceDataset) -> FaceDataset:
        """Return ``dataset`` without dropped images and with weights; test images are unchanged."""
        weighted = replace(dataset, weights=self.weights)
        return weighted.take(np.array([action != "drop" for action in self.actions], np.bool_))


def split_text(dataset: FaceDataset, decisions: SplitFile) -> str:
    """Return the text of the file, one line per image."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i, name in enumerate(dataset.names):
        writer.writerow(
            (
                name,
                SPLITS[dataset.splits[i]],
                EMOTIONS[dataset.labels[i]],
                decisions.actions[i],
                f"{decisions.weights[i]:g}",
                decisions.reasons[i],
            )
        )
    return buffer.getvalue()


def read_split_file(path: Path, dataset: FaceDataset) -> SplitFile:
    """Return the decisions in ``path``, in the order of ``dataset``.

    Raises:
        DataError: the file is missing, invalid, or made for other data.
    """
    rows = read_rows(path, "the split file", ". Make one with: mien prepare")
    if not rows or not set(COLUMNS) <= set(rows[0]):
        raise DataError(f"{path} is not a split file: its first line must name {', '.join(COLUMNS)}")
    by_name: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in enumerate(rows, start=2):
        before, _ = by_name.setdefault(short_name(row["name"] or ""), (line, row))
        if before != line:
            raise DataError(f"the split file {path} names {row['name']} twice, in lines {before} and {line}: keep one")
    missing = [name for name in dataset.names if short_name(name) not in by_name]
    if missing:
        raise DataError(
            f"the split file {path} was made for other data: it does not name {len(missing)} of {len(dataset)} images, "
            f"{missing[0]} is the first. Make one with: mien prepare"
        )
    chosen = [by_name[short_name(name)] for name in dataset.names]
    return SplitFile(
        tuple(row["action"] or "" for _, row in chosen),
        np.array([_weight(path, line, row, dataset, i) for i, (line, row) in enumerate(chosen)], np.float32),
        tuple(row["reasons"] or "" for _, row in chosen),
    )


def _weight(path: Path, line: int, row: dict[str, str], dataset: FaceDataset, i: int) -> float:
    """Return the weight of a row that was checked against image ``i``."""

    def refuse(what: str, rule: str) -> DataError:
        return DataError(f"the split file {path}, line {line}: {what}; {rule}")

    split, label = SPLITS[dataset.splits[i]], EMOTIONS[dataset.labels[i]]
    if (row["split"], row["label"]) != (split, label):
        raise refuse(f"{row['name']} is {row['split']} {row['label']}", f"the data set says {split} {label}")
    allowed: Sequence[str] = TRAIN_ACTIONS if split == SPLITS[0] else TEST_ACTIONS
    if row["action"] not in allowed:
        raise refuse(f"action {row['action']!r}", f"an image of {split} takes one of {', '.join(allowed)}")
    try:
        weight = float(row["weight"])
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 <= weight <= 1 or (weight == 0) != (row["action"] == "drop"):
        raise refuse(f"weight {row['weight']!r}", "a number above 0 and at most 1; 0 only for dropped images")
    if split != SPLITS[0] and weight != 1:
        raise refuse(f"weight {row['weight']!r}", f"an image of {split} has 1")
    return weight
