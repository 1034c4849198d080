"""Classification metrics in NumPy: accuracy, F1, calibration error, and confidence intervals.

Labels are (N,) integers below the number of classes K. Probabilities are (N, K); rows sum to 1.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def accuracy(labels: Labels, predicted: Labels) -> float:
    """Return the share of correct predictions, 0 to 1; NaN without samples."""
    return float(np.mean(labels == predicted)) if len(labels) else math.nan


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927), 0 to 1.

    >>> low, high = wilson_interval(81, 263)
    >>> round(low, 4), round(high, 4)
    (0.2553, 0.3662)
    """
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_matrix(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Return (K, K) counts; rows are true classes, columns predicted ones."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def precision_recall_f1(
    matrix: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return precision, recall and F1 of a confusion matrix (K, K), each (K,) by class, 0 where undefined."""
    hits = np.diag(matrix).astype(np.float64)
    precision = _ratio(hits, matrix.sum(0))
    recall = _ratio(hits, matrix.sum(1))
    return precision, recall, _ratio(2 * precision * recall, precision + recall)


def macro_f1(matrix: NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes that occur among the labels, 0 to 1; NaN if there are none.

    >>> round(macro_f1(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])), 3)  # the third class does not occur
    0.873
    """
    present = matrix.sum(1) > 0
    f1 = precision_recall_f1(matrix)[2]
    return float(f1[present].mean()) if present.any() else math.nan


def expected_calibration_error(probabilities: NDArray[np.floating], labels: Labels, bins: int = 15) -> float:
    """Return the expected calibration error with equal-mass bins, 0 to 1; NaN without samples.

    Samples are binned by the rank of the top probability, so that every bin has about N / bins
    samples (Nguyen and O'Connor 2015). The error is the mean gap between confidence and accuracy.
    """
    if len(labels) == 0:
        return math.nan
    confidence = probabilities.max(1).astype(np.float64)
    correct = (probabilities.argmax(1) == labels).astype(np.float64)
    order = np.argsort(confidence, kind="stable")
    gaps = [len(part) * abs(confidence[part].mean() - correct[part].mean()) for part in np.array_split(order, bins) if len(part)]
    return float(sum(gaps) / len(labels))


def calibration_error_floor(probabilities: NDArray[np.floating], bins: int = 15, draws: int = 100) -> float:
    """Return the expected calibration error of a perfectly calibrated model with these probabilities, 0 to 1.

    The error is a sum of absolute gaps, so chance alone keeps it above 0. Labels are drawn ``draws``
    times from ``probabilities`` (N, K) and scored (consistency resampling, Bröcker and Smith 2007,
    doi:10.1175/WAF993.1). The draws are seeded.
    """
    if len(probabilities) == 0:
        return math.nan
    random = np.random.default_rng(0)
    upto = probabilities.astype(np.float64).cumsum(1)
    upto /= upto[:, -1:]
    labels = ((random.random((len(upto), 1)) > upto).sum(1) for _ in range(draws))
    return float(np.mean([expected_calibration_error(probabilities, drawn, bins) for drawn in labels]))


def negative_log_likelihood(probabilities: NDArray[np.floating], labels: Labels) -> float:
    """Return the mean negative log-likelihood of the labels in nats."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-12, None)).mean())


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, K) probabilities for logits (N, K)."""
    exact = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(exact / exact.sum(1, keepdims=True))


def cross_entropy(probabilities: NDArray[np.floating], shares: NDArray[np.floating]) -> float:
    """Return the mean cross-entropy of probabilities (N, K) against distributions ``shares`` (N, K) in nats."""
    return float(-(shares * np.log(np.clip(probabilities.astype(np.float64), 1e-12, None))).sum(1).mean())


def brier_score(probabilities: NDArray[np.floating], labels: Labels) -> float:
    """Return the mean squared distance of probabilities and one-hot labels, 0 to 2 (Brier 1950); NaN without samples."""
    wanted = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities.astype(np.float64) - wanted) ** 2).sum(1).mean()) if len(labels) else math.nan


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``top / bottom``, 0 where ``bottom`` is 0."""
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def area_under_curve(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, 0 to 1; NaN without positives or negatives.

    It is the probability that a positive scores above a negative, with ties counted half
    (Hanley and McNeil 1982).

    >>> area_under_curve(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return math.nan
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # mean rank of equal scores, from 1
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for multiple comparisons (Holm 1979), in the given order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    worst = 0.0
    for rank, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        worst = max(worst, min(1.0, p_values[k] * (len(p_values) - rank)))
        corrected[k] = worst
    return corrected
