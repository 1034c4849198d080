"""Does confidence mean what it says, and where should an answer not be given?

The two questions belong together: a model whose confidence means something may be asked to
keep silent below some confidence (selective prediction, El-Yaniv and Wiener 2010; for
networks Geifman and El-Yaniv 2017, arXiv:1705.08500).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics

BINS: Final = 15
ACCEPTED_ERROR: Final = 0.15
"""The share of wrong answers, among those shown as certain, that is accepted live."""


def reliability_bins(probabilities: NDArray[np.floating], labels: NDArray[np.int64], bins: int = BINS) -> list[dict[str, Any]]:
    """Return the reliability diagram's points, lowest confidence first: bins of equal mass, as the calibration error's.

    Each has ``n``, mean ``confidence``, ``accuracy`` and its 95 % Wilson interval ``low`` and ``high``.
    """
    confidence, correct = _answers(probabilities, labels)
    found = []
    for part in np.array_split(np.argsort(confidence, kind="stable"), bins):
        if len(part):
            hits = int(correct[part].sum())
            low, high = metrics.wilson_interval(hits, len(part))
            mean = float(confidence[part].mean())
            found.append({"n": len(part), "confidence": mean, "accuracy": hits / len(part), "low": low, "high": high})
    return found


def risk_coverage(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (thresholds, coverage, risk), each (T,), from the highest confidence that occurs to the lowest.

    At a threshold the answers with at least that confidence are given: ``coverage`` is their
    share of all, ``risk`` the share of them that is wrong.
    """
    confidence, correct = _answers(probabilities, labels)
    order = np.argsort(-confidence, kind="stable")
    last = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))  # equal confidences stand or fall together
    given = last + 1
    wrong = np.cumsum(~correct[order])[last]
    return confidence[order][last], given / len(labels), wrong / given


def confidence_for_error(probabilities: NDArray[np.floating], labels: NDArray[np.int64], error: float = ACCEPTED_ERROR) -> float:
    """Return the lowest confidence from which on at most ``error`` of the answers are wrong.

    0 where that holds for all answers, 1 where it holds for no threshold.
    """
    thresholds, _, risk = risk_coverage(probabilities, labels)
    fine = np.flatnonzero(risk <= error)
    if not len(fine):
        return 1.0
    return 0.0 if fine[-1] == len(thresholds) - 1 else float(thresholds[fine[-1]])


def summarise(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], card_threshold: float, error: float = ACCEPTED_ERROR
) -> dict[str, Any]:
    """Return the numbers of selective prediction as plain values.

    Args:
        probabilities: (N, K) answers.
        labels: (N,) truths.
        card_threshold: what the bundle's card names as the confidence to be certain from, found on PublicTest.
        error: the accepted share of wrong answers.
    """
    _, coverage, risk = risk_coverage(probabilities, labels)
    steps = np.diff(coverage, prepend=0.0)
    return {
        "accepted_error": error,
        "threshold": confidence_for_error(probabilities, labels, error),
        "area_under_risk_coverage": float((risk * steps).sum()),
        "at_threshold": _at(probabilities, labels, confidence_for_error(probabilities, labels, error)),
        "card_threshold": card_threshold,
        "at_card_threshold": _at(probabilities, labels, card_threshold),
        "error_at_coverage": {
            f"{share:.1f}": float(risk[min(len(risk) - 1, int(np.searchsorted(coverage, share)))]) for share in _COVERAGES
        },
    }


_COVERAGES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def _at(probabilities: NDArray[np.floating], labels: NDArray[np.int64], threshold: float) -> dict[str, float]:
    """Return coverage and error where answers below ``threshold`` are held back."""
    confidence, correct = _answers(probabilities, labels)
    given = confidence >= threshold
    return {"coverage": float(given.mean()), "error": float((~correct[given]).mean()) if given.any() else 0.0}


def _answers(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidence (N,) and whether it is right (N,)."""
    return probabilities.max(1).astype(np.float64), np.asarray(probabilities.argmax(1) == labels)
