"""Calibration and selective prediction.

A calibrated model may reject predictions below a confidence threshold (El-Yaniv and Wiener 2010; for
neural networks Geifman and El-Yaniv 2017, arXiv:1705.08500).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.emotions import EMOTIONS

BINS: Final = 15
ACCEPTED_ERROR: Final = 0.10
"""Accepted share of errors among the certain predictions of a class in ``mien live``, 0 to 1."""
MIN_PREDICTIONS: Final = 30
"""Fewest predictions of a class for a threshold of its own."""


def reliability_bins(probabilities: NDArray[np.floating], labels: NDArray[np.int64], bins: int = BINS) -> list[dict[str, Any]]:
    """Return the points of a reliability diagram, lowest confidence first, for the equal-mass bins of the calibration error.

    Each point has ``n``, mean ``confidence``, ``accuracy`` and its 95% Wilson interval ``low`` and ``high``.
    """
    confidence, correct = _confidence_and_correct(probabilities, labels)
    points = []
    for part in np.array_split(np.argsort(confidence, kind="stable"), bins):
        if len(part):
            hits = int(correct[part].sum())
            low, high = metrics.wilson_interval(hits, len(part))
            mean = float(confidence[part].mean())
            points.append({"n": len(part), "confidence": mean, "accuracy": hits / len(part), "low": low, "high": high})
    return points


def risk_coverage(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (thresholds, coverage, risk), each (T,) float64, for the T distinct confidences in descending order.

    Predictions with at least the threshold's confidence are accepted: ``coverage`` is their share of all,
    ``risk`` the share of errors among them.
    """
    confidence, correct = _confidence_and_correct(probabilities, labels)
    order = np.argsort(-confidence, kind="stable")
    last = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))  # equal confidences are accepted together
    accepted = last + 1
    wrong = np.cumsum(~correct[order])[last]
    return confidence[order][last], accepted / len(labels), wrong / accepted


def confidence_for_error(probabilities: NDArray[np.floating], labels: NDArray[np.int64], error: float = ACCEPTED_ERROR) -> float:
    """Return the lowest confidence threshold with a share of errors of at most ``error``.

    0 if that holds for all predictions, 1 if it holds for no threshold.
    """
    thresholds, _, risk = risk_coverage(probabilities, labels)
    valid = np.flatnonzero(risk <= error)
    if not len(valid):
        return 1.0
    return 0.0 if valid[-1] == len(thresholds) - 1 else float(thresholds[valid[-1]])


MIN_THRESHOLD: Final = 0.5
"""Lowest threshold of any class."""


def thresholds_by_class(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], error: float = ACCEPTED_ERROR
) -> dict[str, float]:
    """Return the lowest confidence threshold by class with a share of errors of at most ``error``.

    The threshold over all classes is the lower bound, and applies to classes with fewer than ``MIN_PREDICTIONS``
    predictions. ``MIN_THRESHOLD`` is another lower bound: on images with agreeing raters nearly all predictions of a class
    may be correct, but on camera images a prediction with a probability below one half is never certain.

    Args:
        probabilities: (N, 7) predictions.
        labels: (N,) class indices; -1 if every prediction is wrong.
        error: accepted share of errors, 0 to 1.
    """
    predicted = probabilities.argmax(1)
    over_all = confidence_for_error(probabilities, labels, error)
    found = {}
    for k, name in enumerate(EMOTIONS):
        of_class = predicted == k
        enough = int(of_class.sum()) >= MIN_PREDICTIONS
        own = confidence_for_error(probabilities[of_class], labels[of_class], error) if enough else 0.0
        found[name] = round(max(own, over_all, MIN_THRESHOLD), 4)
    return found


def summarise(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.int64],
    card_thresholds: Mapping[str, float],
    error: float = ACCEPTED_ERROR,
) -> dict[str, Any]:
    """Return the results of selective prediction as a JSON-compatible dict.

    Args:
        probabilities: (N, 7) predictions.
        labels: (N,) class indices.
        card_thresholds: confidence thresholds by class on the bundle's card, chosen on PublicTest.
        error: accepted share of errors, 0 to 1.
    """
    _, coverage, risk = risk_coverage(probabilities, labels)
    steps = np.diff(coverage, prepend=0.0)
    return {
        "accepted_error": error,
        "threshold": confidence_for_error(probabilities, labels, error),
        "area_under_risk_coverage": float((risk * steps).sum()),
        "at_threshold": _at(probabilities, labels, confidence_for_error(probabilities, labels, error)),
        "card_thresholds": dict(card_thresholds),
        "at_card_thresholds": _at_card(probabilities, labels, card_thresholds),
        "error_at_coverage": {
            f"{share:.1f}": float(risk[min(len(risk) - 1, int(np.searchsorted(coverage, share)))]) for share in _COVERAGES
        },
    }


_COVERAGES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def _at(probabilities: NDArray[np.floating], labels: NDArray[np.int64], threshold: float) -> dict[str, float]:
    """Return coverage and error of the predictions from ``threshold`` on."""
    confidence, correct = _confidence_and_correct(probabilities, labels)
    accepted = confidence >= threshold
    return {"coverage": float(accepted.mean()), "error": float((~correct[accepted]).mean()) if accepted.any() else 0.0}


def _at_card(probabilities: NDArray[np.floating], labels: NDArray[np.int64], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Return coverage and error of the predictions above their class threshold, over all and by predicted class."""
    confidence, correct = _confidence_and_correct(probabilities, labels)
    predicted = probabilities.argmax(1)
    accepted = confidence >= np.array([thresholds[name] for name in EMOTIONS])[predicted]

    def of(part: NDArray[np.bool_]) -> dict[str, Any]:
        shown = part & accepted
        return {
            "answers": int(part.sum()),
            "coverage": float(accepted[part].mean()) if part.any() else 0.0,
            "error": float((~correct[shown]).mean()) if shown.any() else 0.0,
        }

    return {**of(np.ones(len(labels), np.bool_)), "classes": {name: of(predicted == k) for k, name in enumerate(EMOTIONS)}}


def _confidence_and_correct(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the confidence (N,) float64 and whether the prediction is correct (N,) bool."""
    return probabilities.max(1).astype(np.float64), np.asarray(probabilities.argmax(1) == labels)
