"""Confidence intervals and significance tests: seeded bootstraps and exact tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics

DRAWS: Final = 1000
"""Resamples per bootstrap."""


def bootstrap_macro_f1(matrix: NDArray[np.int64], draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of macro-F1 (Efron 1979) for a (K, K) confusion matrix.

    Resampling images is equivalent to drawing the cells of the matrix from a multinomial distribution.
    """
    n = int(matrix.sum())
    if n == 0:
        return math.nan, math.nan
    cells = np.random.default_rng(seed).multinomial(n, matrix.ravel() / n, draws)
    return _percentiles(metrics.macro_f1(cell.reshape(matrix.shape)) for cell in cells)


def bootstrap_ratio(
    parts: NDArray[np.float64], value: Callable[[NDArray[np.float64]], float], draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of a function of column sums.

    Args:
        parts: (N, K) contributions of each image to K sums.
        value: maps (K,) sums to a number.
        draws: number of resamples.
        seed: of the resampling.
    """
    n = len(parts)
    random = np.random.default_rng(seed)
    # counts of each image, one row per resample; in batches, since there are draws x N numbers
    counts = (random.multinomial(n, np.full(n, 1 / n), 100) for _ in range(math.ceil(draws / 100)))
    return _percentiles(value(sums) for batch in counts for sums in batch @ parts)


def bootstrap_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of the paired difference of two accuracies, first minus second.

    Args:
        first: (N,) bool, whether the first model is correct.
        second: (N,) bool, the same for the second model on the same images.
        draws: number of resamples.
        seed: of the resampling.
    """
    n = len(first)
    shares = np.array([(first & ~second).sum(), (~first & second).sum(), (first == second).sum()]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, draws)
    return _percentiles((row[0] - row[1]) / n for row in drawn)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of the exact McNemar test for equal error rates (McNemar 1947, binomial form).

    Args:
        only_first: number of images that only the first model classifies correctly.
        only_second: the same for the second model.

    >>> round(mcnemar_exact(10, 2), 4)
    0.0386
    """
    n = only_first + only_second
    tail = sum(math.comb(n, k) for k in range(min(only_first, only_second) + 1))
    return float(min(1.0, 2 * tail / 2**n))


def proportions_differ(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """Return the two-sided p-value of the pooled z-test for equality of two independent proportions; for n of at least 30."""
    pooled = (hits + other_hits) / (n + other_n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    if error == 0:
        return 1.0
    return 2 * (1 - NormalDist().cdf(abs(hits / n - other_hits / other_n) / error))


def difference_interval(hits: int, n: int, other_hits: int, other_n: int) -> tuple[float, float]:
    """Return the 95% interval of the difference of two independent proportions (Newcombe 1998, based on Wilson's).

    >>> [round(end, 4) for end in difference_interval(56, 70, 48, 80)]
    [0.0524, 0.3339]
    """
    p, q = hits / n, other_hits / other_n
    (low, high), (other_low, other_high) = metrics.wilson_interval(hits, n), metrics.wilson_interval(other_hits, other_n)
    return p - q - math.hypot(p - low, other_high - q), p - q + math.hypot(high - p, q - other_low)


def _percentiles(values: Iterable[float]) -> tuple[float, float]:
    low, high = np.percentile(np.fromiter(values, np.float64), (2.5, 97.5))
    return float(low), float(high)
