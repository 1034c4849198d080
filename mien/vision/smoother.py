"""Temporal smoothing of predictions, independent of the frame rate.

Probabilities are smoothed with a time constant. The label changes only when another class
leads clearly, so that two equally probable expressions do not alternate on the screen.
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
"""Margin in probability by which another class must lead to replace the current label."""

_RESET_AFTER: Final = 3.0
"""Gap, in time constants, after which the old state is dropped."""


@dataclass(slots=True)
class _State:
    t_s: float
    probabilities: NDArray[np.float64]
    label: str


class Smoother:
    """Exponential smoothing with label hysteresis, with one state per track.

    After ``tau_s`` seconds of a new expression, it makes up 63% of the smoothed value.

    Args:
        tau_s: time constant in seconds; 0 disables smoothing.
        lead: margin in probability by which another class must lead to replace the current
            label (a Schmitt trigger, 1938); 0 always shows the most probable class.
    """

    def __init__(self, tau_s: float = 0.4, lead: float = LEAD) -> None:
        self._tau_s = tau_s
        self._lead = lead if tau_s > 0 else 0.0
        self._states: dict[str, _State] = {}

    def update(self, track_id: str, t_s: float, probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float32], str]:
        """Return a track's smoothed probabilities (7,) float32, which sum to 1, and its label, after a new prediction.

        Args:
            track_id: the track's name.
            t_s: time of the prediction in seconds.
            probabilities: (7,) float32 of this frame, classes as in ``EMOTIONS``.
        """
        new = probabilities.astype(np.float64)
        label = EMOTIONS[int(new.argmax())]
        state = self._states.get(track_id)
        if state is not None and t_s - state.t_s < _RESET_AFTER * self._tau_s:
            keep = math.exp(-max(0.0, t_s - state.t_s) / self._tau_s)
            new = keep * state.probabilities + (1 - keep) * new
            first = int(new.argmax())
            label = EMOTIONS[first] if new[first] - new[EMOTIONS.index(state.label)] > self._lead else state.label
        self._states[track_id] = _State(t_s, new, label)
        return new.astype(np.float32), label

    def keep_only(self, track_ids: Iterable[str]) -> None:
        """Drop the state of all other tracks."""
        kept = set(track_ids)
        self._states = {name: state for name, state in self._states.items() if name in kept}
