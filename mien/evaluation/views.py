"""Subsets of a test split without leaked images, scored separately."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, WHOLE, FaceDataset
from mien.data.split_file import read_split_file

VIEWS: Final[dict[str, str]] = {
    "clean": "without images whose pixels also occur in an earlier split",
    "strict": "also without near copies of images in an earlier split",
}
"""The views and their descriptions; ``strict`` needs a split file."""


def views(dataset: FaceDataset, split: str, split_file: Path | None = None) -> dict[str, NDArray[np.bool_]]:
    """Return (N,) bool masks over the images of ``split`` by view, in the order of ``VIEWS``.

    Training and sets without splits have no earlier split and so no clean view; views without images are omitted.

    Args:
        dataset: the whole data set.
        split: one of ``SPLITS``, or ``all``.
        split_file: the audit's split file.

    Raises:
        DataError: the split file is invalid or belongs to other data.
    """
    if split == WHOLE:
        return {}
    code = SPLITS.index(split)
    here = dataset.splits == code
    found: dict[str, NDArray[np.bool_]] = {}
    if code > 0:
        earlier = {image.tobytes() for image in dataset.images[dataset.splits < code]}
        found["clean"] = np.array([image.tobytes() not in earlier for image in dataset.images[here]])
        if split_file is not None:
            found["strict"] = read_split_file(split_file, dataset).clean[here]
    return {name: mask for name, mask in found.items() if mask.any()}
