"""Error analysis: most confident mistakes, confused pairs, accuracy by image quality."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.emotions import EMOTIONS

PAIRS_SHOWN: Final = 6
BINS: Final = 5
MEASURES: Final[dict[str, str]] = {
    "sharpness": "fine detail: log10 of the Laplacian's variance over the image's variance",
    "brightness": "mean grey level, 0 to 255",
    "contrast": "standard deviation of grey levels",
    "turn": "yaw: absolute offset of the nose between the eyes, 0 centred, 1 at an eye",
    "nod": "pitch: position of the nose between eyes and mouth, 0 as in the mean face",
    "tilt_deg": "roll: rotation of the line between the eyes, degrees",
    "zoom": "size of the face relative to the mean face",
}
"""Measures of image quality and their descriptions."""


def worst_mistakes(labels: NDArray[np.int64], probabilities: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the indices of at most ``count`` wrong predictions, most confident first."""
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    return np.asarray(wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:count], np.int64)


def confused_pairs(matrix: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return the ``PAIRS_SHOWN`` pairs of classes with most confusions; ``share`` is relative to the images of both classes."""
    found: list[dict[str, Any]] = []
    for i in range(len(matrix)):
        for j in range(i + 1, len(matrix)):
            images = int(matrix[i].sum() + matrix[j].sum())
            errors = int(matrix[i, j] + matrix[j, i])
            if errors:
                found.append(
                    {
                        "pair": [EMOTIONS[i], EMOTIONS[j]],
                        "errors": errors,
                        "share": errors / images,
                        "first_as_second": int(matrix[i, j]),
                        "second_as_first": int(matrix[j, i]),
                    }
                )
    return sorted(found, key=lambda pair: -pair["errors"])[:PAIRS_SHOWN]


def examples_of(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], label: int, predicted: int, count: int
) -> NDArray[np.int64]:
    """Return the indices of at most ``count`` images of class ``label`` predicted as ``predicted``, most confident first."""
    hits = np.flatnonzero((labels == label) & (probabilities.argmax(1) == predicted))
    return np.asarray(hits[np.argsort(-probabilities[hits, predicted], kind="stable")][:count], np.int64)


def accuracy_by_bin(values: NDArray[np.float32], correct: NDArray[np.bool_], bins: int = BINS) -> list[dict[str, Any]]:
    """Return accuracy in equal-mass bins of a measure, lowest values first.

    Each bin has ``n``, the range ``from`` and ``to``, ``accuracy`` and its Wilson interval
    ``low`` and ``high``. NaN values (no face found) are ignored; equal values share a bin.
    """
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return []
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, values[known], side="right") - 1, 0, max(0, len(edges) - 2))
    found = []
    for k in np.unique(place):
        part = known[place == k]
        hits = int(correct[part].sum())
        low, high = metrics.wilson_interval(hits, len(part))
        found.append(
            {
                "n": len(part),
                "from": float(values[part].min()),
                "to": float(values[part].max()),
                "accuracy": hits / len(part),
                "low": low,
                "high": high,
            }
        )
    return found
