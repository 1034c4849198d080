"""How face time spreads over the expressions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.records import FrameResult


class Distribution:
    """Shares of face *time* by label, so that a faster camera does not count more.

    Every face that was read counts for the time its frame stands for.
    """

    def __init__(self) -> None:
        self._seconds = np.zeros(len(EMOTIONS))

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
        for face in result.faces:
            if face.unread:
                continue
            self._seconds[EMOTIONS.index(face.label)] += result.interval_s

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(7,) seconds of face time by label."""
        return self._seconds.copy()

    @property
    def shares(self) -> NDArray[np.float64]:
        """(7,) shares that sum to 1; all 0 before the first face time."""
        total = self._seconds.sum()
        return self._seconds / total if total > 0 else self._seconds.copy()
