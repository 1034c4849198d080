"""The data set record: pixels, labels, splits and source names.

It is independent of files: readers create it, training and evaluation use it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import UsageError

SPLITS: Final[tuple[str, ...]] = ("Training", "PublicTest", "PrivateTest")
"""FER2013's splits by code: for training, for choices, and for the final score."""
WHOLE: Final = "all"
"""Names all images of a data set without splits."""


@dataclass(frozen=True, slots=True)
class FaceDataset:
    """Labelled grey face crops, in a fixed order.

    Attributes:
        images: (N, 48, 48) uint8 grey, 0 black to 255 white.
        labels: (N,) int64, index into ``EMOTIONS``.
        splits: (N,) int64, index into ``SPLITS``.
        names: N source names, such as ``test/happy/PublicTest_123.jpg``.
        weights: (N,) float32, weight of each image in training, above 0 and at most 1; 1 by default.
        unsplit: the data set has no splits of its own; every image counts as Training.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    splits: NDArray[np.int64]
    names: tuple[str, ...]
    weights: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    unsplit: bool = False

    def __post_init__(self) -> None:
        n = len(self.images)
        if not len(self.weights):
            object.__setattr__(self, "weights", np.ones(n, np.float32))
        if not (len(self.labels) == len(self.splits) == len(self.names) == len(self.weights) == n):
            raise ValueError("images, labels, splits, names and weights differ in length")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def training(self) -> NDArray[np.bool_]:
        """(N,) bool: the image is in Training."""
        return np.asarray(self.splits == SPLITS.index("Training"))

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> FaceDataset:
        """Return the images at ``index`` (positions or a mask), in that order."""
        positions = np.flatnonzero(index) if index.dtype == np.bool_ else index
        return replace(
            self,
            images=self.images[positions],
            labels=self.labels[positions],
            splits=self.splits[positions],
            names=tuple(self.names[int(i)] for i in positions),
            weights=self.weights[positions],
        )

    def split(self, name: str) -> FaceDataset:
        """Return the images of one split; ``all`` is every image of a data set without splits.

        Raises:
            UsageError: no such split, or it is empty in this data set.
        """
        if name == WHOLE and self.unsplit:
            return self
        if name not in SPLITS:
            raise UsageError(f"unknown split {name!r}; use one of {', '.join(SPLITS)}")
        part = self.take(self.splits == SPLITS.index(name))
        if len(part) == 0:
            held = ", ".join(f"{split} {n:,}" for split, n in self.split_counts().items() if n) or "no image"
            raise UsageError(f"the split {name} is empty in this data set, which holds {held}. {self._advice(name)}")
        return part

    def _advice(self, name: str) -> str:
        """Return what a user can do about an empty split."""
        if name == "PublicTest" and self.training.any():
            return (
                "Hold out a part of Training for validation (mien prepare --validation 0.1, or mien train --validation 0.1), "
                "put images in val/CLASS, or choose another split with --split"
            )
        return "Put images in train/CLASS, val/CLASS and test/CLASS, or choose another split with --split"

    def usual_test_split(self) -> str:
        """Return the default test split: PublicTest; PrivateTest if it is the only split; ``all`` without splits.

        Raises:
            UsageError: there are training images only, which a model may have learnt.
        """
        held = [name for name, n in self.split_counts().items() if n]
        if self.unsplit:
            return WHOLE
        if held == ["Training"]:
            raise UsageError(
                "this data set contains only Training images, on which the model may have been trained. "
                "Put images in val/CLASS or test/CLASS, or pass --split Training to score them anyway"
            )
        return held[0] if len(held) == 1 else "PublicTest"

    def split_counts(self) -> dict[str, int]:
        """Return the number of images by split, empty splits included."""
        counts = np.bincount(self.splits, minlength=len(SPLITS))
        return {name: int(counts[i]) for i, name in enumerate(SPLITS)}

    def class_counts(self) -> dict[str, int]:
        """Return the number of images by class, empty classes included."""
        counts = np.bincount(self.labels, minlength=len(EMOTIONS))
        return {name: int(counts[i]) for i, name in enumerate(EMOTIONS)}

    def content_hash(self) -> str:
        """Return a SHA-256 over the pixels, label and split of every image.

        It does not depend on file names and order, so the same data from a folder, a zip or a
        CSV has the same hash. One changed pixel changes it.
        """
        digests = sorted(
            hashlib.sha256(image.tobytes() + bytes((int(label), int(split)))).digest()
            for image, label, split in zip(self.images, self.labels, self.splits, strict=True)
        )
        return hashlib.sha256(b"".join(digests)).hexdigest()
