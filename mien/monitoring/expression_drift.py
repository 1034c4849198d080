"""Are other expressions being shown? Pearson's chi-square on the model's answers (Pearson 1900), sized by Jensen-Shannon."""

from __future__ import annotations

from typing import Final

import numpy as np

from mien.emotions import EMOTIONS
from mien.monitoring.baseline import Baseline, Window
from mien.monitoring.detector import Kind, Reading
from mien.monitoring.distances import jensen_shannon
from mien.monitoring.features import answers

_LEAST_SHARE: Final = 0.005  # an expression the reference never showed must not decide alone


class ExpressionDrift:
    """Holds how the newest window's expressions differ from the reference's; its parts are differences of shares."""

    name: Final = "expressions"
    kind: Final[Kind] = "content"
    effect_name: Final = "Jensen-Shannon divergence, bits"
    least_effect: Final = 0.01

    def __init__(self, baseline: Baseline) -> None:
        shares = np.maximum(answers(baseline.overall), _LEAST_SHARE)
        self._shares = shares / shares.sum()
        self._reading: Reading | None = None

    @property
    def reading(self) -> Reading | None:
        """What it says of the newest window."""
        return self._reading

    def update(self, window: Window) -> None:
        """Take in the next window."""
        now = answers(window.mean)
        change = now - self._shares
        chi_square = window.blocks * float((change**2 / self._shares).sum())
        order = np.argsort(-np.abs(change))
        parts = {EMOTIONS[k]: float(change[k]) for k in order}
        self._reading = Reading(chi_square, jensen_shannon(now, self._shares), parts)
