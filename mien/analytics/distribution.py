"""How face time spreads over the expressions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.records import FrameResult


class Distribution:
    """Shares of face *time* by label, so that a faster camera does not count more.

    A face's label holds from its frame to the next; a gap longer than ``gap_s`` counts as
    ``gap_s``, so that a stalled source does not credit its last label with the silence.

    Args:
        gap_s: longest time one frame can stand for, in seconds.
    """

    def __init__(self, gap_s: float = 1.0) -> None:
        self._gap_s = gap_s
        self._seconds = np.zeros(len(EMOTIONS))
        self._last: FrameResult | None = None

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
        if self._last is not None:
            elapsed_s = min(self._gap_s, max(0.0, result.t_s - self._last.t_s))
            for face in self._last.faces:
                self._seconds[EMOTIONS.index(face.label)] += elapsed_s
        self._last = result

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(7,) seconds of face time by label."""
        return self._seconds.copy()

    @property
    def shares(self) -> NDArray[np.float64]:
        """(7,) shares that sum to 1; all 0 before the first face time."""
        total = self._seconds.sum()
        return self._seconds / total if total > 0 else self._seconds.copy()
