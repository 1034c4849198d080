"""Steadying what is shown over time, the same at any frame rate.

Probabilities are smoothed by a time constant, and the label changes only for a clear lead:
two expressions that are equally probable would else take turns on the screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS

LEAD: Final = 0.08
"""How much more probable than the label shown another must be to replace it."""

_FORGOTTEN: Final = 3.0
"""After a gap of so many time constants nothing of the old state is left worth holding on to."""


@dataclass(slots=True)
class _State:
    t_s: float
    probabilities: NDArray[np.float64]
    label: str


class Smoother:
    """Exponential smoothing by a time constant with a label that holds, one state a track.

    After ``tau_s`` seconds of a new expression, 63 % of the smoothed value is new.

    Args:
        tau_s: time constant in seconds; 0 passes everything through.
        lead: how much more probable than the label shown another must be to replace it
            (Schmitt's trigger, 1938); 0 shows the most probable.
    """

    def __init__(self, tau_s: float = 0.4, lead: float = LEAD) -> None:
        self._tau_s = tau_s
        self._lead = lead if tau_s > 0 else 0.0
        self._states: dict[str, _State] = {}

    def update(self, track_id: str, t_s: float, probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float32], str]:
        """Return a track's smoothed probabilities (7,), which sum to 1, and its label after this reading."""
        new = probabilities.astype(np.float64)
        label = EMOTIONS[int(new.argmax())]
        state = self._states.get(track_id)
        if state is not None and t_s - state.t_s < _FORGOTTEN * self._tau_s:
            keep = math.exp(-max(0.0, t_s - state.t_s) / self._tau_s)
            new = keep * state.probabilities + (1 - keep) * new
            first = int(new.argmax())
            label = EMOTIONS[first] if new[first] - new[EMOTIONS.index(state.label)] > self._lead else state.label
        self._states[track_id] = _State(t_s, new, label)
        return new.astype(np.float32), label

    def forget_all_but(self, track_ids: Iterable[str]) -> None:
        """Drop the state of every track that is over."""
        kept = set(track_ids)
        self._states = {name: state for name, state in self._states.items() if name in kept}
