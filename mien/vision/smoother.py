"""Steadying probabilities over time, the same at any frame rate."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class Smoother:
    """Exponential smoothing by a time constant, one state a track.

    After ``tau_s`` seconds of a new expression, 63 % of the smoothed value is new.

    Args:
        tau_s: time constant in seconds; 0 passes everything through.
    """

    def __init__(self, tau_s: float = 0.4) -> None:
        self._tau_s = tau_s
        self._states: dict[str, tuple[float, NDArray[np.float64]]] = {}

    def update(self, track_id: str, t_s: float, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the smoothed probabilities (7,) of a track after this reading; they sum to 1."""
        new = probabilities.astype(np.float64)
        if track_id in self._states and self._tau_s > 0:
            last_s, state = self._states[track_id]
            keep = math.exp(-max(0.0, t_s - last_s) / self._tau_s)
            new = keep * state + (1 - keep) * new
        self._states[track_id] = (t_s, new)
        return new.astype(np.float32)

    def forget_all_but(self, track_ids: Iterable[str]) -> None:
        """Drop the state of every track that is over."""
        kept = set(track_ids)
        self._states = {name: state for name, state in self._states.items() if name in kept}
