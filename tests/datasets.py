"""Small labelled data sets made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.fer2013 import fingerprints
from mien.emotions import EMOTIONS
from mien.training.settings import AugmentSettings, TrainSettings

# stripes tell the classes apart, and turning or mirroring them would not
GENTLE = AugmentSettings(rotation_deg=3, scale=0.03, shift=0.02, erase_probability=0.1)
TINY = TrainSettings(
    epochs=4, batch_size=30, peak_lr=0.05, muon_lr=0.05, augment=GENTLE, ema_decay=0.8, widths=(16, 16, 32), blocks=(1, 1, 1)
)
"""A recipe that learns the patterns in seconds."""


def pattern(label: int, variant: int) -> NDArray[np.uint8]:
    """Return a (48, 48) picture that tells its class by its stripes; ``variant`` adds seeded noise."""
    stripes = 127 + 90 * np.sin(np.arange(48) * (label + 1) * 0.35)
    noise = np.random.default_rng(1000 * label + variant).normal(0, 12, (48, 48))
    return np.clip(np.tile(stripes, (48, 1)) + noise, 0, 255).astype(np.uint8)


def make_dataset(per_class: tuple[int, int, int] = (30, 6, 6)) -> FaceDataset:
    """Return a small data set of patterns with that many images a class in each split."""
    images, labels, splits, names = [], [], [], []
    for split, count in enumerate(per_class):
        for label, name in enumerate(EMOTIONS):
            for k in range(count):
                images.append(pattern(label, 1000 * split + k))
                labels.append(label)
                splits.append(split)
                names.append(f"{name}-{split}-{k}")
    return FaceDataset(np.stack(images), np.array(labels, np.int64), np.array(splits, np.int64), tuple(names))


def varied(images: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
    """Return (N, 48, 48) images, each under a random landscape of its own, so that no two are near copies."""
    random = np.random.default_rng(seed)
    land = np.stack([cv2.resize(random.normal(0, 45, (9, 9)), (48, 48), interpolation=cv2.INTER_CUBIC) for _ in images])
    return np.clip(128 + 0.5 * (images.astype(float) - 128) + land, 0, 255).astype(np.uint8)


def take_for_fer2013(dataset: FaceDataset, patch: pytest.MonkeyPatch) -> None:
    """Make the images of a data set, with their labels, those of FER2013."""
    known = np.unique(fingerprints(dataset.images, dataset.labels))
    patch.setattr("mien.data.fer2013.known_fingerprints", lambda: known)


@contextmanager
def no_bars(heading: str) -> Iterator[Callable[[int, int], None]]:
    """Open a progress bar that shows nothing."""
    yield lambda done, total: None
