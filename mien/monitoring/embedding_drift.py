"""Have the embeddings moved, beyond what another mix of expressions would do?

Maximum mean discrepancy (Gretton et al. 2012, JMLR 13:723) between the window and the nearest
mix of the reference, by random Fourier features. It is an estimate for independent faces; how
large it gets where nothing changed is found by simulation (``calibration``).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mien.monitoring.baseline import Baseline, Window
from mien.monitoring.detector import Kind, Reading
from mien.monitoring.features import random_features


class EmbeddingDrift:
    """Holds the newest window's distance from the reference.

    The effect is the squared distance, less what chance makes, over the spread of single
    embeddings: 0 for none, 0.01 for a barely visible change, about 1 where hardly anything is as it was.
    """

    name: Final = "embedding"
    kind: Final[Kind] = "picture"
    effect_name: Final = "squared distance over spread"
    least_effect: Final = 0.001

    def __init__(self, baseline: Baseline) -> None:
        self._maps = random_features(baseline.means)
        overall = random_features(baseline.overall)
        self._spread = max(1e-6, 1 - float(overall @ overall))  # |phi(x)| is 1, so this is the variance of phi
        self._reading: Reading | None = None

    @property
    def reading(self) -> Reading | None:
        """What it says of the newest window."""
        return self._reading

    def update(self, window: Window) -> None:
        """Take in the next window."""
        gap = random_features(window.mean) - window.mix @ self._maps
        squared = float(np.square(gap).sum())
        self._reading = Reading(squared, max(0.0, squared / self._spread - 1 / window.blocks))
