"""Kolmogorov-Smirnov over several scalars at once, each against the reference's nearest mix of expressions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.metrics import holm
from mien.monitoring.baseline import Baseline, Window
from mien.monitoring.detector import Kind, Reading
from mien.monitoring.distances import ks_distances, ks_p_value, stability_index
from mien.monitoring.features import distribution


class ColumnDrift:
    """Holds the largest distance among some of the reference's columns, and which ones moved.

    Columns that either side does not know are left out.

    Args:
        name: of the detector.
        kind: what its columns speak of.
        columns: which of ``features.COLUMNS``.
        baseline: the reference.
        least_effect: smallest distance that matters.
    """

    effect_name = "largest gap of distribution functions"

    def __init__(self, name: str, kind: Kind, columns: tuple[str, ...], baseline: Baseline, least_effect: float) -> None:
        self.name, self.kind, self.least_effect = name, kind, least_effect
        self._columns = columns
        self._means = baseline.means
        self._reading: Reading | None = None
        self._compared: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    @property
    def reading(self) -> Reading | None:
        """What it says of the newest window; its parts are p-values after Holm by column, for independent faces."""
        return self._reading

    @property
    def stability(self) -> dict[str, float]:
        """The population stability index of the newest window by column."""
        return {name: stability_index(now, then) for name, (now, then) in self._compared.items()}

    def update(self, window: Window) -> None:
        """Take in the next window."""
        now = distribution(window.mean, self._columns)
        then = distribution(window.mix @ self._means, self._columns)
        seen = np.flatnonzero(np.isfinite(now).all(1) & np.isfinite(then).all(1))
        names = [self._columns[k] for k in seen]
        gaps = ks_distances(now[seen], then[seen])
        p_values = holm([ks_p_value(gap, window.blocks) for gap in gaps])
        largest = max(gaps, default=0.0)
        parts = dict(sorted(zip(names, p_values, strict=True), key=lambda part: part[1]))
        self._reading = Reading(largest, largest, parts)
        self._compared = {name: (now[k], then[k]) for name, k in zip(names, seen, strict=True)}
