"""Scoring a bundle on labelled faces: the numbers, and the text people know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.data.dataset import FaceDataset
from mien.data.fer_folders import Progress
from mien.emotions import EMOTIONS
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
            "ece": metrics.expected_calibration_error(self.probabilities, self.labels),
            "ece_floor": metrics.calibration_error_floor(self.probabilities),
            "nll": metrics.negative_log_likelihood(self.probabilities, self.labels),
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
    parts = []
    for start in range(0, len(dataset), _BATCH):
        part = dataset.images[start : start + _BATCH][:, None]
        parts.append(predictor.predict(part).probabilities)
        if progress is not None:
            progress(min(len(dataset), start + _BATCH), len(dataset))
    return Scores(dataset.labels, np.concatenate(parts))


def score_mirrored(predictor: Predictor, dataset: FaceDataset, plain: Scores, progress: Progress | None = None) -> Scores:
    """Return the scores where each answer is the mean of ``plain``'s and that to the mirror image."""
    turned = FaceDataset(np.ascontiguousarray(dataset.images[:, :, ::-1]), dataset.labels, dataset.splits, dataset.names)
    mirrored = score(predictor, turned, progress)
    return Scores(plain.labels, np.float32(0.5) * (plain.probabilities + mirrored.probabilities))


def classification_report(numbers: dict[str, Any]) -> str:
    """Return the table of precision, recall, F1 and support by class, for a terminal."""
    lines = [f"{'':>10} {'precision':>10} {'recall':>10} {'f1-score':>10} {'support':>10}"]
    for name, row in numbers["classes"].items():
        lines.append(f"{name:>10} {row['precision']:10.3f} {row['recall']:10.3f} {row['f1']:10.3f} {row['support']:10d}")
    low, high = numbers["accuracy_ci"]
    lines.append("")
    lines.append(f"{'accuracy':>10} {numbers['accuracy']:10.3f}   95 % interval {low:.3f} to {high:.3f}, n = {numbers['n']}")
    lines.append(f"{'macro F1':>10} {numbers['macro_f1']:10.3f}")
    lines.append(
        f"{'ECE':>10} {numbers['ece']:10.3f}   expected calibration error, 15 equal-mass bins; "
        f"chance alone makes {numbers['ece_floor']:.3f} of it"
    )
    return "\n".join(lines)
