"""Accuracy of a model on corrupted images."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.fer_folders import Progress
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.evaluation.scores import predict_heads
from mien.preprocess import CANONICAL_LANDMARKS
from mien.vision.predictor import Predictor

IMAGES: Final = 1000
"""Images used, evenly spaced over the split; each is predicted sixty times."""


def robustness(
    predictor: Predictor,
    dataset: FaceDataset,
    head: str,
    landmarks: NDArray[np.float32] | None = None,
    seed: int = 0,
    images: int = IMAGES,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the accuracy under each corruption as a JSON-compatible dict.

    Args:
        predictor: predictor of the bundle.
        dataset: N faces with ground-truth labels.
        head: the head to score.
        landmarks: (N, 5, 2) pixels of the crop; NaN rows, or None, are replaced by the mean landmarks
            of FER2013.
        seed: of the random generator.
        images: largest number of images to use.
        progress: called with (corruptions done, total).

    Returns:
        ``n``; ``accuracy`` on the original images; ``corruptions`` by name: ``accuracy`` and
        ``relative`` accuracy at the five severities, and ``mean_relative``; ``mean_relative`` over all.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(images, len(dataset))).astype(np.int64))
    sample = dataset.take(chosen)
    points = np.tile(CANONICAL_LANDMARKS, (len(sample), 1, 1))
    if landmarks is not None:
        known = np.isfinite(landmarks[chosen]).all((1, 2))
        points[known] = landmarks[chosen][known]

    def accuracy_of(pictures: NDArray[np.uint8]) -> float:
        corrupted = FaceDataset(pictures, sample.labels, sample.splits, sample.names)
        return float((predict_heads(predictor, corrupted).of(head).argmax(1) == sample.labels).mean())

    original = accuracy_of(sample.images)
    found: dict[str, Any] = {}
    steps = len(CORRUPTIONS) * len(SEVERITIES)
    for number, (name, corruption) in enumerate(CORRUPTIONS.items()):
        accuracies = []
        for severity in SEVERITIES:
            accuracies.append(accuracy_of(corrupt(sample.images, name, severity, points, seed)))
            if progress is not None:
                progress(number * len(SEVERITIES) + severity, steps)
        relative = [value / original if original else 0.0 for value in accuracies]
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
        "landmarks": "detected in each image" if landmarks is not None else "mean landmarks",
        "accuracy": original,
        "mean_relative": float(np.mean([row["mean_relative"] for row in found.values()])),
        "corruptions": found,
    }
