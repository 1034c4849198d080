"""Scoring a bundle on labelled faces: the numbers, and the text people know."""

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
from mien.vision.predictor import Predictor

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Scores:
    """How a bundle does on one set of faces.

    Attributes:
        labels: (N,) int64, the truth.
        probabilities: (N, 7) float32, the answers.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def part(self, chosen: NDArray[np.bool_]) -> Scores:
        """Return the scores of some of the faces, by a mask (N,)."""
        return Scores(self.labels[chosen], self.probabilities[chosen])

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(7, 7) counts: row is the truth, column the answer."""
        return metrics.confusion_matrix(self.labels, self.probabilities.argmax(1), len(EMOTIONS))

    def as_dict(self) -> dict[str, Any]:
        """Return every number as plain values."""
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


def score(predictor: Predictor, dataset: FaceDataset, progress: Progress | None = None) -> Scores:
    """Return how ``predictor`` does on ``dataset``; ``progress`` is called with (done, total)."""
    parts = [predictor.predict(faces).probabilities for faces in _batches(dataset, progress)]
    return Scores(dataset.labels, np.concatenate(parts))


def score_with_maps(
    predictor: Predictor, dataset: FaceDataset, progress: Progress | None = None
) -> tuple[Scores, NDArray[np.float32] | None]:
    """Return the same, and the activation maps (N, 7, h, w); None from a bundle that has none."""
    if not predictor.has_maps:
        return score(predictor, dataset, progress), None
    parts = [predictor.explain(faces) for faces in _batches(dataset, progress)]
    probabilities = np.concatenate([prediction.probabilities for prediction, _ in parts])
    return Scores(dataset.labels, probabilities), np.concatenate([maps for _, maps in parts])


def score_mirrored(predictor: Predictor, dataset: FaceDataset, plain: Scores, progress: Progress | None = None) -> Scores:
    """Return the scores where each answer is the mean of ``plain``'s and that to the mirror image."""
    turned = FaceDataset(np.ascontiguousarray(dataset.images[:, :, ::-1]), dataset.labels, dataset.splits, dataset.names)
    mirrored = score(predictor, turned, progress)
    return Scores(plain.labels, np.float32(0.5) * (plain.probabilities + mirrored.probabilities))


def _batches(dataset: FaceDataset, progress: Progress | None) -> Iterator[NDArray[np.uint8]]:
    """Yield all faces in batches (N, 1, 48, 48), and count them."""
    for start in range(0, len(dataset), _BATCH):
        yield dataset.images[start : start + _BATCH][:, None]
        if progress is not None:
            progress(min(len(dataset), start + _BATCH), len(dataset))
