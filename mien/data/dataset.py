"""The one record in which face data travels: pixels, labels, splits and source names.

It knows nothing of files; readers build it, training and evaluation take it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import UsageError

SPLITS: Final[tuple[str, ...]] = ("Training", "PublicTest", "PrivateTest")
"""FER2013's splits by code: learn on the first, choose on the second, score once on the third."""


@dataclass(frozen=True, slots=True)
class FaceDataset:
    """Labelled grey face crops, in a fixed order.

    Attributes:
        images: (N, 48, 48) uint8 grey, 0 black to 255 white.
        labels: (N,) int64, index into ``EMOTIONS``.
        splits: (N,) int64, index into ``SPLITS``.
        names: N source names, such as ``test/happy/PublicTest_123.jpg``.
        weights: (N,) float32, how much an image counts in training, above 0, at most 1; all 1 if not given.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    splits: NDArray[np.int64]
    names: tuple[str, ...]
    weights: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

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
        names = tuple(self.names[int(i)] for i in positions)
        return FaceDataset(self.images[positions], self.labels[positions], self.splits[positions], names, self.weights[positions])

    def split(self, name: str) -> FaceDataset:
        """Return the images of one split.

        Raises:
            UsageError: no such split, or it is empty in this data set.
        """
        if name not in SPLITS:
            raise UsageError(f"unknown split {name!r}; use one of {', '.join(SPLITS)}")
        part = self.take(self.splits == SPLITS.index(name))
        if len(part) == 0:
            raise UsageError(f"the split {name} is empty in this data set; it holds {self.split_counts()}")
        return part

    def usual_test_split(self) -> str:
        """Return the split that is tested on unless somebody says another: PublicTest, or the only one there is."""
        held = [name for name, n in self.split_counts().items() if n]
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
        """Return a SHA-256 over what the data *is*: pixels, label and split of every image.

        File names and order do not enter, so the same data read from a folder, a zip or a
        CSV has the same hash; one changed pixel gives another.
        """
        digests = sorted(
            hashlib.sha256(image.tobytes() + bytes((int(label), int(split)))).digest()
            for image, label, split in zip(self.images, self.labels, self.splits, strict=True)
        )
        return hashlib.sha256(b"".join(digests)).hexdigest()
