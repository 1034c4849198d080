"""A whole session at a glance: expressions by time slice, in bounded memory."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.records import FrameResult

_MAX_SLICES: Final = 240


class Timeline:
    """Face time by label, and mean probabilities, in slices of equal length.

    Slices start at ``slice_s`` seconds; whenever a session outgrows 240 of them,
    neighbours are merged and slices are twice as long, so an hour takes no more memory than
    a minute.

    Args:
        slice_s: length of a slice at the start, in seconds.
    """

    def __init__(self, slice_s: float = 0.5) -> None:
        self.slice_s = slice_s
        self._start_s: float | None = None
        self._label_s = np.zeros((0, len(EMOTIONS)))
        self._probability_s = np.zeros((0, len(EMOTIONS)))

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
        if self._start_s is None:
            self._start_s = result.t_s
        at = int(max(0.0, result.t_s - self._start_s) / self.slice_s)
        while at >= _MAX_SLICES:
            self._label_s, self._probability_s = _merged(self._label_s), _merged(self._probability_s)
            self.slice_s *= 2
            at //= 2
        if at >= len(self._label_s):
            new = np.zeros((at + 1 - len(self._label_s), len(EMOTIONS)))
            self._label_s = np.vstack([self._label_s, new])
            self._probability_s = np.vstack([self._probability_s, new])
        for face in result.faces:
            if face.unread:
                continue
            self._label_s[at, EMOTIONS.index(face.label)] += result.interval_s
            self._probability_s[at] += result.interval_s * face.smoothed

    @property
    def t_s(self) -> NDArray[np.float64]:
        """(T,) start of each slice in seconds on the source's clock."""
        return (self._start_s or 0.0) + np.arange(len(self._label_s), dtype=np.float64) * self.slice_s

    @property
    def label_seconds(self) -> NDArray[np.float64]:
        """(T, 7) seconds of face time by slice and label."""
        return self._label_s.copy()

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(T, 7) mean smoothed probabilities; NaN rows where no face was read."""
        total = self._probability_s.sum(1, keepdims=True)
        out: NDArray[np.float64] = np.divide(
            self._probability_s, total, out=np.full(self._probability_s.shape, np.nan), where=total > 0
        )
        return out


def _merged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (ceil(T / 2), 7): the sums of neighbouring rows."""
    padded = np.vstack([values, np.zeros((len(values) % 2, values.shape[1]))])
    return padded[0::2] + padded[1::2]
