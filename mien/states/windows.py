"""Sliding-window sums of one face or the picture.

Time is divided into slices of half a second; a window is the sum of its slices. Ten minutes are 1,200
slices at any frame rate.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.states.signals import COLUMNS

SLICE_S: Final = 0.5
"""Length of a slice in seconds. Windows move in steps of a slice and may be one slice longer than requested."""


def slice_at(clock_s: float) -> int:
    """Return the index of the slice that contains a time."""
    return int(clock_s / SLICE_S)


class Windows:
    """Sums of the newest slices.

    Args:
        longest_s: length of the longest window, in seconds.
    """

    def __init__(self, longest_s: float) -> None:
        self._kept = slice_at(longest_s)
        self._slices: deque[tuple[int, NDArray[np.float64]]] = deque()

    def add(self, number: int, row: NDArray[np.float64]) -> None:
        """Add a (C,) float64 row to a slice; slices must be in order, and may be missing."""
        if self._slices and self._slices[-1][0] == number:
            self._slices[-1][1][:] += row
        else:
            self._slices.append((number, row.copy()))
        while self._slices[0][0] < number - self._kept:
            self._slices.popleft()

    def sums(self, number: int, window_s: float) -> NDArray[np.float64]:
        """Return the (C,) float64 sums of the window of ``window_s`` seconds that ends with slice ``number``."""
        first = number - slice_at(window_s)
        total = np.zeros(len(COLUMNS))
        for at, row in reversed(self._slices):
            if at < first:
                break
            total += row
        return total
