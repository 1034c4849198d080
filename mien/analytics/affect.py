"""Mean valence and arousal of a session, and how undecided its readings are: seven probabilities in three numbers."""

from __future__ import annotations

import math

import numpy as np

from mien.circumplex import entropy_bits, valence_arousal
from mien.records import FrameResult


class Affect:
    """Mean valence, arousal and entropy of the faces that are read: now, and over face time."""

    def __init__(self) -> None:
        self.now: tuple[float, float, float] = (math.nan, math.nan, math.nan)
        self._sums = np.zeros(3)
        self._seconds = 0.0

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
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
        """Valence, arousal and entropy in bits over all face time; None before the first."""
        if self._seconds <= 0:
            return None
        valence, arousal, entropy = self._sums / self._seconds
        return float(valence), float(arousal), float(entropy)
