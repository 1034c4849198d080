"""Drift detectors: each compares windows with the reference and scores the newest one.

Calibration, monitor and reports use the order of ``make_detectors``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.metrics import holm
from mien.monitoring.baseline import Baseline, FaceWindow
from mien.monitoring.distances import jensen_shannon, ks_distances, ks_p_value, stability_index
from mien.monitoring.features import COLUMNS, COMPONENTS, distribution, predicted_shares, random_features
from mien.monitoring.observation import MEASURES, Scope

DETECTORS_OF: Final[dict[Scope, tuple[str, ...]]] = {
    "all": ("embedding", "components", "quality", "confidence", "expressions"),
    "answers": ("confidence", "expressions"),
    "picture": ("quality",),
}
"""Names of the detectors available in each scope, in the order of ``make_detectors``."""
DETECTORS = DETECTORS_OF["all"]
_MIN_SHARE: Final = 0.005  # limits the weight of expressions that are rare in the reference

Kind = Literal["picture", "content", "confidence"]
"""What a detector responds to: the camera's picture, the mix of expressions, or the model's confidence."""


@dataclass(frozen=True, slots=True)
class DetectorResult:
    """Result of a detector for one window.

    Attributes:
        score: compared with the scores under no drift; larger means further from the reference.
        effect: size of the change, in the detector's own unit (``DriftDetector.effect_name``).
        parts: components of the change, most important first.
    """

    score: float
    effect: float
    parts: Mapping[str, float] = field(default_factory=dict)


class DriftDetector(Protocol):
    """A streaming detector that holds the result of the newest window, and scores windows of a simulation."""

    @property
    def name(self) -> str:
        """Name in reports."""

    @property
    def kind(self) -> Kind:
        """What it responds to."""

    @property
    def effect_name(self) -> str:
        """Unit of the effect, as text."""

    @property
    def min_effect(self) -> float:
        """Smaller effects are ignored, however significant."""

    def update(self, window: FaceWindow) -> None:
        """Process the next window."""

    @property
    def result(self) -> DetectorResult | None:
        """Result for the newest window; None before the first."""

    def scores(self, means: NDArray[np.float64], mixes: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
        """Return the (...) float64 scores of windows.

        Args:
            means: (..., W) float64 mean features.
            mixes: (..., 7) float64 shares of the nearest mixes of the reference's expressions.
            blocks: number of blocks of a window.
        """


class EmbeddingDrift:
    """Drift of the embeddings that no other mix of expressions explains.

    Maximum mean discrepancy (Gretton et al. 2012, JMLR 13:723) between the window and the nearest
    mix of the reference, by random Fourier features. Its distribution under no drift is simulated
    (``calibration``).

    The effect is the squared distance, minus its expectation by chance, over the variance of single
    embeddings: 0 for no change, 0.01 for a barely visible one, about 1 for a complete one.
    """

    name: Final = "embedding"
    kind: Final[Kind] = "picture"
    effect_name: Final = "squared distance over spread"
    min_effect: Final = 0.001

    def __init__(self, baseline: Baseline) -> None:
        self._maps = random_features(baseline.means)
        overall = random_features(baseline.overall)
        self._spread = max(1e-6, 1 - float(overall @ overall))  # |phi(x)| is 1, so this is the variance of phi
        self._result: DetectorResult | None = None

    @property
    def result(self) -> DetectorResult | None:
        """Result for the newest window; None before the first."""
        return self._result

    def update(self, window: FaceWindow) -> None:
        """Process the next window."""
        squared = float(self.scores(window.mean, window.mix, window.blocks))
        self._result = DetectorResult(squared, max(0.0, squared / self._spread - 1 / window.blocks))

    def scores(self, means: NDArray[np.float64], mixes: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
        return np.asarray(np.square(random_features(means) - mixes @ self._maps).sum(-1))


class ColumnDrift:
    """Kolmogorov-Smirnov distances of several scalars from the reference's nearest mix of expressions.

    The score is the largest distance over the columns. Columns that are unknown in the window or the
    reference are ignored.

    Args:
        name: name of the detector.
        kind: what its columns respond to.
        columns: some of ``features.COLUMNS``.
        baseline: the reference.
        min_effect: smallest distance that is relevant.
    """

    effect_name = "largest gap of distribution functions"

    def __init__(self, name: str, kind: Kind, columns: tuple[str, ...], baseline: Baseline, min_effect: float) -> None:
        self.name, self.kind, self.min_effect = name, kind, min_effect
        self._columns = columns
        self._means = baseline.means
        self._result: DetectorResult | None = None
        self._compared: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    @property
    def result(self) -> DetectorResult | None:
        """Result for the newest window; its parts are Holm-corrected p-values by column, for independent faces."""
        return self._result

    @property
    def stability(self) -> dict[str, float]:
        """The population stability index of the newest window by column."""
        return {name: stability_index(current, expected) for name, (current, expected) in self._compared.items()}

    def update(self, window: FaceWindow) -> None:
        """Process the next window."""
        current, expected = self._functions(window.mean, window.mix)
        gaps = ks_distances(current, expected)
        known = np.flatnonzero(np.isfinite(gaps))
        names = [self._columns[k] for k in known]
        p_values = holm([ks_p_value(float(gap), window.blocks) for gap in gaps[known]])
        largest = float(_largest(gaps))
        parts = dict(sorted(zip(names, p_values, strict=True), key=lambda part: part[1]))
        self._result = DetectorResult(largest, largest, parts)
        self._compared = {name: (current[k], expected[k]) for name, k in zip(names, known, strict=True)}

    def scores(self, means: NDArray[np.float64], mixes: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
        return _largest(ks_distances(*self._functions(means, mixes)))

    def _functions(
        self, means: NDArray[np.float64], mixes: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the (..., K, 39) distribution functions of windows and of what is expected of them."""
        return distribution(means, self._columns), distribution(mixes @ self._means, self._columns)


def _largest(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (...) largest of (..., K) distances; NaN stands for an unknown column."""
    return np.asarray(np.where(np.isfinite(gaps), gaps, 0.0).max(-1))


def component_drift(baseline: Baseline) -> ColumnDrift:
    """Return the detector of drift in the first principal components of the embedding.

    Univariate Kolmogorov-Smirnov tests after dimensionality reduction performed best in Rabanser,
    Günnemann and Lipton 2019 ("Failing loudly", arXiv:1810.11953), with Bonferroni's correction; here
    it is Holm's (1979).
    """
    return ColumnDrift("components", "picture", COLUMNS[:COMPONENTS], baseline, min_effect=0.10)


def quality_drift(baseline: Baseline) -> ColumnDrift:
    """Return the detector of drift in image quality: brightness, contrast, sharpness, size, pose.

    Kolmogorov-Smirnov distances decide; the population stability index gives the size of the change
    (usual thresholds: 0.1 and 0.25). It detects most camera faults first.
    """
    return ColumnDrift("quality", "picture", tuple(MEASURES), baseline, min_effect=0.10)


def confidence_drift(baseline: Baseline) -> ColumnDrift:
    """Return the detector of drift in confidence and entropy of the predictions.

    Both need no labels (Hendrycks and Gimpel 2017, arXiv:1610.02136). A model may become *more*
    confident as it gets worse (for example with noise), so both directions count.
    """
    return ColumnDrift("confidence", "confidence", ("confidence", "entropy"), baseline, min_effect=0.10)


class ExpressionDrift:
    """Drift of the predicted expressions.

    The score is Pearson's chi-square (1900) between the predictions of the window and the reference, the
    effect their Jensen-Shannon divergence; the parts are differences of shares.
    """

    name: Final = "expressions"
    kind: Final[Kind] = "content"
    effect_name: Final = "Jensen-Shannon divergence, bits"
    min_effect: Final = 0.01

    def __init__(self, baseline: Baseline) -> None:
        shares = np.maximum(predicted_shares(baseline.overall), _MIN_SHARE)
        self._shares = shares / shares.sum()
        self._result: DetectorResult | None = None

    @property
    def result(self) -> DetectorResult | None:
        """Result for the newest window; None before the first."""
        return self._result

    def update(self, window: FaceWindow) -> None:
        """Process the next window."""
        current = predicted_shares(window.mean)
        change = current - self._shares
        chi_square = float(self.scores(window.mean, window.mix, window.blocks))
        order = np.argsort(-np.abs(change))
        parts = {EMOTIONS[k]: float(change[k]) for k in order}
        self._result = DetectorResult(chi_square, jensen_shannon(current, self._shares), parts)

    def scores(self, means: NDArray[np.float64], mixes: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
        return np.asarray(blocks * (np.square(predicted_shares(means) - self._shares) / self._shares).sum(-1))


def make_detectors(baseline: Baseline, scope: Scope = "all") -> tuple[DriftDetector, ...]:
    """Return new detectors for ``scope`` that compare windows with ``baseline``."""
    everything: tuple[DriftDetector, ...] = (
        EmbeddingDrift(baseline),
        component_drift(baseline),
        quality_drift(baseline),
        confidence_drift(baseline),
        ExpressionDrift(baseline),
    )
    return tuple(detector for detector in everything if detector.name in DETECTORS_OF[scope])
