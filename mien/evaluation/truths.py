"""Ground truths that predictions are compared with. FER2013 has two, which are never mixed.

FER2013's labels come from search words. The majority of ten FER+ raters disagrees with them on more
than a quarter of the images with a majority. Each truth belongs to the head that was trained on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.votes import Votes
from mien.errors import UsageError
from mien.modelcard import FER2013, PEOPLE

OWN: Final = "own"
TRUTHS: Final[dict[str, str]] = {
    PEOPLE: "agreement with people",
    OWN: "labels of this data",
    FER2013: "FER2013 labels",
}
"""Display names of the truths, most important first."""
MEANINGS: Final[dict[str, str]] = {
    PEOPLE: "the majority vote of ten raters (FER+), on images with a majority for one of the seven expressions",
    OWN: "the labels that came with the images",
    FER2013: "the labels of the benchmark, derived from search terms",
}
HEADS_IN_WORDS: Final[dict[str, str]] = {PEOPLE: "people head", FER2013: "label head"}


def heading_of(truth: str) -> str:
    """Return the display name of a truth, capitalised."""
    return TRUTHS[truth][0].upper() + TRUTHS[truth][1:]


@dataclass(frozen=True, slots=True)
class Truth:
    """One ground truth of N images, and the head that is compared with it.

    Attributes:
        name: a key of ``TRUTHS``.
        head: ``PEOPLE`` or ``FER2013``.
        labels: (N,) int64, index into ``EMOTIONS``; -1 if unknown.
    """

    name: str
    head: str
    labels: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) bool: whether the truth of the image is known."""
        return np.asarray(self.labels >= 0)

    def views(self, masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, Truth]:
        """Return this truth restricted to each view ((N,) bool masks); views without known images are omitted."""
        parts = {name: replace(self, labels=np.where(mask, self.labels, -1)) for name, mask in masks.items()}
        return {name: part for name, part in parts.items() if part.known.any()}


def available_truths(data: FaceDataset, votes: Votes | None, heads: Sequence[str], fer2013_labels: bool) -> list[Truth]:
    """Return the truths that the heads of a bundle can be compared with, most important first; empty if there are none.

    Args:
        data: the images.
        votes: FER+ votes of the images, None without votes.
        heads: heads of the bundle; ``mien live`` shows the first.
        fer2013_labels: whether the labels of ``data`` are FER2013's.
    """
    found = []
    if votes is not None and (votes.majority >= 0).any():
        found.append(Truth(PEOPLE, heads[0], votes.majority))
    if not fer2013_labels:
        found.append(Truth(OWN, heads[0], data.labels))
    elif FER2013 in heads:
        found.append(Truth(FER2013, FER2013, data.labels))
    return found


def labelled(data: FaceDataset, truth: Truth) -> FaceDataset:
    """Return the images with a known ``truth``, labelled with it."""
    return replace(data.take(truth.known), labels=truth.labels[truth.known])


def truths_about(data: FaceDataset, votes: Votes | None, heads: Sequence[str], fer2013_labels: bool) -> list[Truth]:
    """Return ``available_truths``, at least one.

    Raises:
        UsageError: there is no ground truth for any head.
    """
    found = available_truths(data, votes, heads, fer2013_labels)
    if not found:
        raise UsageError(
            "this model predicts the raters' votes and cannot be scored against FER2013's labels. Pass the votes with --votes"
        )
    return found
