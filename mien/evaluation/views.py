"""The parts of a test split that are scored apart, because the whole flatters or blames unduly."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.split_file import read_split_file
from mien.data.votes import read_votes
from mien.emotions import EMOTIONS

VIEWS: Final[dict[str, str]] = {
    "clean": "without images that stand in an earlier split, pixel by pixel",
    "strict": "without near copies of images of an earlier split as well",
    "consensus": "where more than half of ten people agree on one of the seven expressions",
}
"""The views and what they are; ``strict`` takes a split file, ``consensus`` takes votes."""


def views(
    dataset: FaceDataset, split: str, split_file: Path | None = None, votes: Path | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Return masks (N,) over the images of ``split``, by the name of the view, in the order of ``VIEWS``.

    Training has no earlier split, so it has no clean view; a view without images is left out.

    Args:
        dataset: the whole data set.
        split: one of ``SPLITS``.
        split_file: the audit's decisions.
        votes: the FER+ votes.

    Raises:
        DataError: a file is not what it should be, or is for other data.
    """
    code = SPLITS.index(split)
    here = dataset.splits == code
    found: dict[str, NDArray[np.bool_]] = {}
    if code > 0:
        earlier = {image.tobytes() for image in dataset.images[dataset.splits < code]}
        found["clean"] = np.array([image.tobytes() not in earlier for image in dataset.images[here]])
        if split_file is not None:
            found["strict"] = read_split_file(split_file, dataset).clean[here]
    if votes is not None:
        counted = read_votes(votes, dataset)
        found["consensus"] = (counted.clear & (counted.winner < len(EMOTIONS)))[here]
    return {name: mask for name, mask in found.items() if mask.any()}
