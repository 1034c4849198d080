"""Distances of distributions: Kolmogorov-Smirnov, population stability index, Jensen-Shannon."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import missing_extra

_TENTHS: Final = slice(3, None, 4)  # of the 39 quantiles at multiples of 1/40, those at 0.1, 0.2, ... 0.9
_MIN_SHARE: Final = 0.005


def ks_distances(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (...) Kolmogorov-Smirnov distances, 0 to 1, of pairs of distribution functions (..., P) on a common grid."""
    return np.asarray(np.abs(first - second).max(-1))


def ks_p_value(distance: float, n: float) -> float:
    """Return the p-value of the distance of ``n`` independent values from a known distribution (Kolmogorov 1933).

    >>> round(ks_p_value(0.0960, 200), 3)
    0.05
    """
    try:
        from scipy.special import kolmogorov
    except ImportError as error:
        raise missing_extra("scipy", "monitor", "Drift detection") from error
    return float(kolmogorov(math.sqrt(n) * distance))


def stability_index(distribution: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Return the population stability index over ten bins (Siddiqi 2006, "Credit risk scorecards").

    0 for no change; conventionally 0.1 is a moderate change and 0.25 a large one. Shares are clipped to at least 0.005.

    Args:
        distribution: (39,) distribution function at the reference's quantiles.
        reference: (39,) distribution function of the reference.
    """
    current, expected = (np.maximum(_bins(shares), _MIN_SHARE) for shares in (distribution, reference))
    return float(((current - expected) * np.log(current / expected)).sum())


def _bins(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (10,) float64 shares of the ten bins."""
    return np.diff(shares[_TENTHS], prepend=0.0, append=1.0)


def jensen_shannon(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon divergence of two distributions in bits, 0 to 1 (Lin 1991, doi:10.1109/18.61115).

    >>> round(jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])), 6)
    1.0
    """
    mean = (first + second) / 2

    def divergence(shares: NDArray[np.float64]) -> float:
        positive = shares > 0
        return float((shares[positive] * np.log2(shares[positive] / mean[positive])).sum())

    return max(0.0, (divergence(first) + divergence(second)) / 2)
