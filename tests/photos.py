"""Pictures like photographs, and small data sets and copies made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from hypothesis import settings
from numpy.typing import NDArray

from mien.audit.copies import Copies, join_copies
from mien.audit.near import NearPairs
from mien.data.dataset import FaceDataset
from mien.data.votes import OTHER_ANSWERS, Votes
from mien.emotions import EMOTIONS

few = settings(derandomize=True, deadline=None, max_examples=8)
Grey = NDArray[np.uint8]


def photo(seed: int) -> Grey:
    """Return a smooth random picture that looks like a photograph: light from a side, blobs, a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48].astype(float)
    picture = 110 + random.normal() * (x - 24) + random.normal() * (y - 24)
    for _ in range(40):
        (cx, cy), width = random.uniform(0, 48, 2), random.uniform(1.5, 8)
        picture += random.normal(0, 35) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
    return np.clip(picture + random.normal(0, 2, (48, 48)), 0, 255).astype(np.uint8)


def moved(image: Grey, dx: float, dy: float, scale: float = 1.0) -> Grey:
    middle = 23.5 * (1 - scale)
    transform = np.array([[scale, 0, middle + dx], [0, scale, middle + dy]])
    return cv2.warpAffine(image, transform, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def encoded(image: Grey) -> Grey:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)


CHANGES: dict[str, Callable[[Grey], Grey]] = {
    "one pixel to the right": lambda image: moved(image, 1, 0),
    "two pixels up": lambda image: moved(image, 0, -2),
    "half a pixel and one": lambda image: moved(image, 0.5, -1),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=30),
    "less contrast": lambda image: cv2.convertScaleAbs(image, alpha=0.5, beta=60),
    "re-encoded": encoded,
    "larger": lambda image: moved(image, 0, 0, 1.05),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "mirrored and moved": lambda image: moved(np.ascontiguousarray(image[:, ::-1]), 1, -1),
}


def data_of(labels: list[int], splits: list[int] | None = None) -> FaceDataset:
    """Return different pictures with these labels, in Training if not said otherwise."""
    n = len(labels)
    images = np.stack([photo(i) for i in range(n)])
    names = tuple(f"train/{EMOTIONS[label]}/{i}.png" for i, label in enumerate(labels))
    return FaceDataset(images, np.array(labels, np.int64), np.array(splits or [0] * n, np.int64), names)


def near(*pairs: tuple[int, int]) -> NearPairs:
    first, second = np.array([*pairs], np.int64).reshape(-1, 2).T
    return NearPairs(first, second, np.ones(len(pairs), np.float32), np.zeros(len(pairs), np.bool_))


def copies_of(exact: list[int], *pairs: tuple[int, int]) -> Copies:
    return join_copies(np.array(exact, np.int64), near(*pairs))


def relabelled_tests(dataset: FaceDataset, seed: int = 9) -> FaceDataset:
    """Return the data set with the labels of the test splits exchanged among them."""
    labels, tests = dataset.labels.copy(), dataset.splits != 0
    labels[tests] = np.random.default_rng(seed).permutation(labels[tests])
    return replace(dataset, labels=labels)


def votes_of(*rows: dict[str, int]) -> Votes:
    answers = EMOTIONS + OTHER_ANSWERS
    counts = np.array([[row.get(answer, 0) for answer in answers] for row in rows], np.float32)
    return Votes(counts, counts.sum(1) == 0)
