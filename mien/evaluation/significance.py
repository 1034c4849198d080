"""How sure a number or a difference is: bootstrap intervals and exact tests, all seeded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics

DRAWS: Final = 1000
"""Resamples of a bootstrap."""


def bootstrap_macro_f1(matrix: NDArray[np.int64], draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of macro-F1 (Efron 1979) for a (K, K) confusion matrix.

    Drawing images with replacement is drawing cells of the matrix from a multinomial.
    """
    n = int(matrix.sum())
    if n == 0:
        return math.nan, math.nan
    cells = np.random.default_rng(seed).multinomial(n, matrix.ravel() / n, draws)
    return _percentiles(metrics.macro_f1(cell.reshape(matrix.shape)) for cell in cells)


def bootstrap_ratio(
    parts: NDArray[np.float64], value: Callable[[NDArray[np.float64]], float], draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of ``value`` of the column sums.

    Args:
        parts: (N, K), what each image adds to each of K sums.
        value: from K sums to a number.
        draws: resamples.
        seed: of the resampling.
    """
    n = len(parts)
    random = np.random.default_rng(seed)
    # how often each image is drawn, in one row a resample; in portions, since it is draws x N numbers
    counts = (random.multinomial(n, np.full(n, 1 / n), 100) for _ in range(math.ceil(draws / 100)))
    return _percentiles(value(sums) for portion in counts for sums in portion @ parts)


def bootstrap_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the paired difference of two accuracies, first less second.

    Args:
        first: (N,) bool, where the first model is right.
        second: the same for the second model on the same images.
        draws: resamples.
        seed: of the resampling.
    """
    n = len(first)
    shares = np.array([(first & ~second).sum(), (~first & second).sum(), (first == second).sum()]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, draws)
    return _percentiles((row[0] - row[1]) / n for row in drawn)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p-value that two models err equally often (McNemar 1947, binomial form).

    Args:
        only_first: images that only the first model gets right.
        only_second: images that only the second model gets right.

    >>> round(mcnemar_exact(10, 2), 4)
    0.0386
    """
    n = only_first + only_second
    tail = sum(math.comb(n, k) for k in range(min(only_first, only_second) + 1))
    return float(min(1.0, 2 * tail / 2**n))


def proportions_differ(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """Return the two-sided p-value that two independent shares are equal (pooled z-test; n from 30)."""
    pooled = (hits + other_hits) / (n + other_n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    if error == 0:
        return 1.0
    return 2 * (1 - NormalDist().cdf(abs(hits / n - other_hits / other_n) / error))


def difference_interval(hits: int, n: int, other_hits: int, other_n: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two independent shares (Newcombe 1998, from Wilson's).

    >>> [round(end, 4) for end in difference_interval(56, 70, 48, 80)]
    [0.0524, 0.3339]
    """
    p, q = hits / n, other_hits / other_n
    (low, high), (other_low, other_high) = metrics.wilson_interval(hits, n), metrics.wilson_interval(other_hits, other_n)
    return p - q - math.hypot(p - low, other_high - q), p - q + math.hypot(high - p, q - other_low)


def _percentiles(values: Iterable[float]) -> tuple[float, float]:
    low, high = np.percentile(np.fromiter(values, np.float64), (2.5, 97.5))
    return float(low), float(high)
