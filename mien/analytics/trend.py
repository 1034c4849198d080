"""How expressions moved in the last seconds."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.records import FrameResult


class Trend:
    """Mean smoothed probabilities of the faces that were read over the last ``window_s`` seconds.

    Points are kept at most every ``step_s``, so memory is bounded at any frame rate.

    Args:
        window_s: how far back it reaches, in seconds.
        step_s: least time between two points, in seconds.
    """

    def __init__(self, window_s: float = 10.0, step_s: float = 0.1) -> None:
        self.window_s = window_s
        self._step_s = step_s
        self._points: deque[tuple[float, NDArray[np.float64]]] = deque()

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
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
        """(T,) times of the points, oldest first."""
        return np.array([t for t, _ in self._points], np.float64)

    @property
    def values(self) -> NDArray[np.float64]:
        """(T, 7) probabilities; a row is NaN where no face was read."""
        return np.array([v for _, v in self._points], np.float64).reshape(-1, len(EMOTIONS))
