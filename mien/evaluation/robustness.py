"""What is left of a model's accuracy when the picture gets worse."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.fer_folders import Progress
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.evaluation.scores import score
from mien.preprocess import CANONICAL_LANDMARKS
from mien.vision.predictor import Predictor

IMAGES: Final = 1000
"""Images the suite is run on, drawn evenly from the split: each is read sixty times."""


def robustness(
    predictor: Predictor,
    dataset: FaceDataset,
    landmarks: NDArray[np.float32] | None = None,
    seed: int = 0,
    images: int = IMAGES,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return accuracy under each corruption of the suite, as plain values.

    Args:
        predictor: the bundle.
        dataset: the split.
        landmarks: (N, 5, 2) where the faces' landmarks are, NaN where unknown; those, and all
            without it, are taken to be where FER2013 has them on average.
        seed: of everything random.
        images: how many images to use at most.
        progress: called with (corruptions done, in all).

    Returns:
        ``n``; ``accuracy`` of the unspoilt images; ``corruptions`` by name: ``accuracy`` and
        ``relative`` (to the unspoilt) at the five severities, and ``mean_relative``; over all,
        ``mean_relative``.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(images, len(dataset))).astype(np.int64))
    sample = dataset.take(chosen)
    points = np.tile(CANONICAL_LANDMARKS, (len(sample), 1, 1))
    if landmarks is not None:
        known = np.isfinite(landmarks[chosen]).all((1, 2))
        points[known] = landmarks[chosen][known]

    def accuracy_of(pictures: NDArray[np.uint8]) -> float:
        spoilt = FaceDataset(pictures, sample.labels, sample.splits, sample.names)
        return float((score(predictor, spoilt).probabilities.argmax(1) == sample.labels).mean())

    plain = accuracy_of(sample.images)
    found: dict[str, Any] = {}
    steps = len(CORRUPTIONS) * len(SEVERITIES)
    for number, (name, corruption) in enumerate(CORRUPTIONS.items()):
        accuracies = []
        for severity in SEVERITIES:
            accuracies.append(accuracy_of(corrupt(sample.images, name, severity, points, seed)))
            if progress is not None:
                progress(number * len(SEVERITIES) + severity, steps)
        relative = [value / plain if plain else 0.0 for value in accuracies]
        found[name] = {
            "meaning": corruption.meaning,
            "strengths": list(corruption.strengths),
            "accuracy": accuracies,
            "relative": relative,
            "mean_relative": float(np.mean(relative)),
        }
    return {
        "n": len(sample),
        "seed": seed,
        "landmarks": "found in each image" if landmarks is not None else "mean places",
        "accuracy": plain,
        "mean_relative": float(np.mean([row["mean_relative"] for row in found.values()])),
        "corruptions": found,
    }
