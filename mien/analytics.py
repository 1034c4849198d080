"""Statistics of a stream of readings: valence, arousal and entropy, and the trend of the last seconds.

Counts and shares are in ``mien.sessions.tally``. This module uses no clock, files or screens.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from mien.circumplex import entropy_bits, valence_arousal
from mien.emotions import EMOTIONS
from mien.records import FrameResult


class Affect:
    """Mean valence, arousal (-1 to 1) and entropy (bits) of the read faces: current, and over all face time.

    Attributes:
        now: valence, arousal and entropy of the latest frame; NaN without a read face.
    """

    def __init__(self) -> None:
        self.now: tuple[float, float, float] = (math.nan, math.nan, math.nan)
        self._sums = np.zeros(3)
        self._seconds = 0.0

    def update(self, result: FrameResult) -> None:
        """Add the next frame."""
        rows = [(*valence_arousal(face.smoothed), entropy_bits(face.smoothed)) for face in result.faces if not face.unread]
        if not rows:
            self.now = (math.nan, math.nan, math.nan)
            return
        valence, arousal, entropy = np.mean(rows, axis=0)
        self.now = (float(valence), float(arousal), float(entropy))
        self._sums += np.sum(rows, axis=0) * result.interval_s
        self._seconds += len(rows) * result.interval_s

    @property
    def mean(self) -> tuple[float, float, float] | None:
        """Mean valence, arousal and entropy over all face time; None before the first face."""
        if self._seconds <= 0:
            return None
        valence, arousal, entropy = self._sums / self._seconds
        return float(valence), float(arousal), float(entropy)


class Trend:
    """Mean smoothed probabilities of the read faces over the last ``window_s`` seconds.

    Points are at least ``step_s`` apart, so memory is bounded at any frame rate.

    Args:
        window_s: length of the window in seconds.
        step_s: minimum interval of two points in seconds.
    """

    def __init__(self, window_s: float = 10.0, step_s: float = 0.1) -> None:
        self.window_s = window_s
        self._step_s = step_s
        self._points: deque[tuple[float, NDArray[np.float64]]] = deque()

    def update(self, result: FrameResult) -> None:
        """Add the next frame."""
        if self._points and result.t_s - self._points[-1][0] < self._step_s:
            return
        rows = [face.smoothed for face in result.faces if not face.unread]
        mean: NDArray[np.float64] = np.full(len(EMOTIONS), np.nan)
        if rows:
            mean = np.asarray(np.mean(rows, axis=0), np.float64)
        self._points.append((result.t_s, mean))
        while self._points[0][0] < result.t_s - self.window_s:
            self._points.popleft()

    @property
    def t_s(self) -> NDArray[np.float64]:
        """(T,) float64 times of the points in seconds, oldest first."""
        return np.array([t for t, _ in self._points], np.float64)

    @property
    def values(self) -> NDArray[np.float64]:
        """(T, 7) float64 probabilities; rows without a read face are NaN."""
        return np.array([v for _, v in self._points], np.float64).reshape(-1, len(EMOTIONS))
