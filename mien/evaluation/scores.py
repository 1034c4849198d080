"""Predictions of a bundle on labelled faces, and their scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.data.dataset import FaceDataset
from mien.data.fer_folders import Progress
from mien.emotions import EMOTIONS
from mien.evaluation.significance import bootstrap_macro_f1
from mien.evaluation.truths import Truth
from mien.vision.predictor import Predictor

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Scores:
    """Predictions and ground truth of N faces.

    Attributes:
        labels: (N,) int64 class indices.
        probabilities: (N, 7) float32.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def part(self, chosen: NDArray[np.bool_]) -> Scores:
        """Return the scores of the faces selected by a mask (N,) bool."""
        return Scores(self.labels[chosen], self.probabilities[chosen])

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(7, 7) int64 confusion matrix: rows are labels, columns predictions."""
        return metrics.confusion_matrix(self.labels, self.probabilities.argmax(1), len(EMOTIONS))

    def as_dict(self) -> dict[str, Any]:
        """Return all metrics as a JSON-compatible dict."""
        n = len(self.labels)
        matrix = self.matrix
        precision, recall, f1 = metrics.precision_recall_f1(matrix)
        low, high = metrics.wilson_interval(int(np.trace(matrix)), n)
        return {
            "n": n,
            "accuracy": metrics.accuracy(self.labels, self.probabilities.argmax(1)),
            "accuracy_ci": [low, high],
            "macro_f1": metrics.macro_f1(matrix),
            "macro_f1_ci": list(bootstrap_macro_f1(matrix)),
            "ece": metrics.expected_calibration_error(self.probabilities, self.labels),
            "ece_floor": metrics.calibration_error_floor(self.probabilities),
            "nll": metrics.negative_log_likelihood(self.probabilities, self.labels),
            "brier": metrics.brier_score(self.probabilities, self.labels),
            "classes": {
                name: {
                    "precision": float(precision[i]),
                    "recall": float(recall[i]),
                    "f1": float(f1[i]),
                    "support": int(matrix[i].sum()),
                }
                for i, name in enumerate(EMOTIONS)
            },
            "confusion_matrix": matrix.tolist(),
        }


def macro_f1_note(numbers: dict[str, Any]) -> str:
    """Return which classes macro-F1 is the mean over, from the numbers of ``Scores.as_dict``.

    >>> macro_f1_note({"classes": {"happy": {"support": 3}, "sad": {"support": 2}, "fear": {"support": 0}}})
    'over the 2 of 3 classes that occur'
    """
    supports = [row["support"] for row in numbers["classes"].values()]
    present = sum(support > 0 for support in supports)
    return "over all classes" if present == len(supports) else f"over the {present} of {len(supports)} classes that occur"


def score(predictor: Predictor, dataset: FaceDataset, progress: Progress | None = None) -> Scores:
    """Return the scores of ``predictor`` on ``dataset``; ``progress`` is called with (done, total)."""
    parts = [predictor.predict(faces).probabilities for faces in _batches(dataset, progress)]
    return Scores(dataset.labels, np.concatenate(parts))


@dataclass(frozen=True, slots=True)
class HeadPredictions:
    """Predictions of all heads of a bundle for N faces.

    Attributes:
        probabilities: (N, 7) float32 by head.
        maps: (N, 7, h, w) float32 activation maps of the first head; None if the bundle has none.
    """

    probabilities: dict[str, NDArray[np.float32]]
    maps: NDArray[np.float32] | None

    def of(self, head: str) -> NDArray[np.float32]:
        """Return the (N, 7) probabilities of a head."""
        return self.probabilities[head]

    def scores(self, truth: Truth) -> Scores:
        """Return the scores of the head that predicts ``truth``, on the images with a known truth."""
        return Scores(truth.labels, self.probabilities[truth.head]).part(truth.known)

    def averaged_with(self, other: HeadPredictions) -> HeadPredictions:
        """Return the mean of these probabilities and those of ``other``, without maps."""
        half = np.float32(0.5)
        return HeadPredictions({head: half * (own + other.probabilities[head]) for head, own in self.probabilities.items()}, None)


def predict_heads(
    predictor: Predictor, dataset: FaceDataset, progress: Progress | None = None, maps: bool = False
) -> HeadPredictions:
    """Return the predictions of every head on ``dataset``.

    Args:
        predictor: predictor of the bundle.
        dataset: the faces.
        progress: called with (done, total).
        maps: whether to return activation maps, if the bundle has them.
    """
    parts = [predictor.predict_heads(faces, maps) for faces in _batches(dataset, progress)]
    probabilities = {head: np.concatenate([part[head] for part, _ in parts]) for head in predictor.card.heads}
    return HeadPredictions(probabilities, np.concatenate([found for _, found in parts]) if maps and predictor.has_maps else None)


def predict_mirrored(
    predictor: Predictor, dataset: FaceDataset, plain: HeadPredictions, progress: Progress | None = None
) -> HeadPredictions:
    """Return the mean of the predictions ``plain`` and those on the mirror images."""
    mirrored = FaceDataset(np.ascontiguousarray(dataset.images[:, :, ::-1]), dataset.labels, dataset.splits, dataset.names)
    return plain.averaged_with(predict_heads(predictor, mirrored, progress))


def _batches(dataset: FaceDataset, progress: Progress | None) -> Iterator[NDArray[np.uint8]]:
    """Yield all faces in batches (B, 1, 48, 48) uint8, and report progress."""
    for start in range(0, len(dataset), _BATCH):
        yield dataset.images[start : start + _BATCH][:, None]
        if progress is not None:
            progress(min(len(dataset), start + _BATCH), len(dataset))
