"""Holding out a part of Training for validation, where a data set has no validation split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.split_file import COLUMNS, SplitFile
from mien.data.tables import read_rows, short_name
from mien.emotions import EMOTIONS
from mien.errors import UsageError


def held_out(labels: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Return (N,) bool: the same share of every class, at least one image and never all of a class of two or more.

    Args:
        labels: (N,) classes, as positions in ``EMOTIONS``.
        groups: (N,) which images belong together, such as copies; they stay on one side. Images count by group.
        share: 0 to 1.
        seed: of the draw.

    >>> held_out(np.zeros(10, np.int64), np.arange(10), 0.3, seed=1).sum()
    np.int64(3)
    """
    random = np.random.default_rng(seed)
    ids, first = np.unique(groups, return_index=True)
    chosen = np.zeros(len(ids), np.bool_)
    for label in range(len(EMOTIONS)):
        places = random.permutation(np.flatnonzero(labels[first] == label))
        count = round(share * len(places))
        chosen[places[: min(max(count, 1), len(places) - 1) if len(places) > 1 else 0]] = True
    return np.isin(groups, ids[chosen])


def hold_out(dataset: FaceDataset, groups: NDArray[np.int64], share: float, seed: int) -> FaceDataset:
    """Return the data set with a share of Training moved to PublicTest, by class.

    Args:
        dataset: without a validation split.
        groups: (N,) which images belong together and stay on one side.
        share: of Training, 0.01 to 0.5.
        seed: of the draw.

    Raises:
        UsageError: another share, PublicTest is not empty, or Training has too few images.
    """
    if not 0.01 <= share <= 0.5:
        raise UsageError(f"--validation is {share:g}; use a share of Training from 0.01 to 0.5, such as 0.1")
    there = dataset.split_counts()["PublicTest"]
    if there:
        raise UsageError(f"--validation is for data without a validation split; this data set has {there:,} images of PublicTest")
    training = np.flatnonzero(dataset.training)
    moved = training[held_out(dataset.labels[training], groups[training], share, seed)]
    if not len(moved):
        raise UsageError(f"no part of {len(training)} training images can be held out. Add images, at least two a class")
    splits = dataset.splits.copy()
    splits[moved] = SPLITS.index("PublicTest")
    return replace(dataset, splits=splits, unsplit=False)


def apply_held_out(path: Path, dataset: FaceDataset) -> FaceDataset:
    """Return the data set with those Training images in PublicTest that a split file holds out; without any, itself.

    Raises:
        DataError: not a CSV. That the file fits the data is checked by ``read_split_file``.
    """
    rows = read_rows(path, "the split file", ". Make one with: mien prepare")
    if not rows or not set(COLUMNS) <= set(rows[0]) or dataset.split_counts()["PublicTest"]:
        return dataset
    named = {short_name(row["name"] or "") for row in rows if row["split"] == "PublicTest"}
    moved = dataset.training & np.array([short_name(name) in named for name in dataset.names], np.bool_)
    if not moved.any():
        return dataset
    return replace(dataset, splits=np.where(moved, SPLITS.index("PublicTest"), dataset.splits), unsplit=False)


def nothing_decided(dataset: FaceDataset) -> SplitFile:
    """Return decisions that keep every image as it is, to write down a split alone."""
    actions = tuple("keep" if training else "clean" for training in dataset.training)
    return SplitFile(actions, np.ones(len(dataset), np.float32), ("",) * len(dataset))
