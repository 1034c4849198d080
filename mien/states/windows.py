"""The last seconds of one face, or of the picture, as sums that forget.

Time is cut into slices of half a second; a window is the sum of its slices. Ten minutes are
1,200 slices, however many frames a second there are.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.states.signals import COLUMNS

SLICE_S: Final = 0.5
"""Length of a slice in seconds: windows move in such steps, and hold up to one more than asked for."""


def slice_at(clock_s: float) -> int:
    """Return the number of the slice in which a moment lies."""
    return int(clock_s / SLICE_S)


class Windows:
    """Sums of the newest slices.

    Args:
        longest_s: the longest window that will be asked for, in seconds.
    """

    def __init__(self, longest_s: float) -> None:
        self._kept = slice_at(longest_s)
        self._slices: deque[tuple[int, NDArray[np.float64]]] = deque()

    def add(self, number: int, row: NDArray[np.float64]) -> None:
        """Add (C,) float64 to a slice; slices come in order, and any number may be missing."""
        if self._slices and self._slices[-1][0] == number:
            self._slices[-1][1][:] += row
        else:
            self._slices.append((number, row.copy()))
        while self._slices[0][0] < number - self._kept:
            self._slices.popleft()

    def sums(self, number: int, window_s: float) -> NDArray[np.float64]:
        """Return (C,) float64: the sums of the window that ends with a slice."""
        first = number - slice_at(window_s)
        total = np.zeros(len(COLUMNS))
        for at, row in reversed(self._slices):
            if at < first:
                break
            total += row
        return total
