"""Features of a face whose *means* are compared for drift.

Every detector compares means: of random Fourier features (which characterise the distribution of the
embeddings, Rahimi and Recht 2007, "Random features for large-scale kernel machines"; as a test, Zhao
and Meng 2015, doi:10.1162/NECO_a_00732), of indicators "value below quantile" (which give a distribution
function), and of predictions. A window, or a class of the reference, is one vector: no face needs to be
kept, and the vectors of parts can be added.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.monitoring.observation import MEASURES, FaceBatch

FREQUENCIES: Final = 256
COMPONENTS: Final = 12
LEVELS: Final = 39
"""Quantiles at which distribution functions are stored, at multiples of 1/40."""
COLUMNS: Final = (*(f"component {k + 1}" for k in range(COMPONENTS)), *MEASURES, "confidence", "entropy")
"""The scalars whose distributions are compared."""

_CLASSES: Final = len(EMOTIONS)
_SCALARS: Final = (*MEASURES, "confidence", "entropy")
FEATURES: Final = 2 * FREQUENCIES + len(COLUMNS) * (LEVELS + 1) + len(_SCALARS) + 2 * _CLASSES
"""W, the number of features."""
_WIDTH_FACES: Final = 1000
_MIN_KNOWN: Final = 0.5
_ORDERS: Final = (np.arange(LEVELS) + 1) / (LEVELS + 1)


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """Maps a face to W features; fixed when a reference is made.

    Attributes:
        seed: of the random frequencies.
        width: width of the Gaussian kernel, in units of the embedding: the median distance of two faces
            (median heuristic, Gretton et al. 2012).
        centre: (D,) float32 mean embedding.
        components: (C, D) float32 principal components, divided by their standard deviations.
        grid: (L, 39) float32 quantiles of ``COLUMNS`` in the reference.
        known: (L,) bool, whether the column is known in the reference.
    """

    seed: int
    width: float
    centre: NDArray[np.float32]
    components: NDArray[np.float32]
    grid: NDArray[np.float32]
    known: NDArray[np.bool_]
    _frequencies: NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        drawn = np.random.default_rng(self.seed).standard_normal((len(self.centre), FREQUENCIES), np.float32)
        object.__setattr__(self, "_frequencies", drawn / np.float32(self.width))

    @classmethod
    def fit(cls, faces: FaceBatch, seed: int = 0) -> FeatureMap:
        """Return a map with kernel width, components and quantiles fitted to ``faces``."""
        embedding = faces.embedding.astype(np.float64)
        centre = embedding.mean(0)
        _, spread, axes = np.linalg.svd(embedding - centre, full_matrices=False)
        deviation = np.maximum(spread / np.sqrt(len(faces)), 1e-6)
        components = np.zeros((COMPONENTS, embedding.shape[1]), np.float32)
        found = min(COMPONENTS, len(axes))
        components[:found] = axes[:found] / deviation[:found, None]
        width = _median_distance(faces.embedding, seed)
        empty = np.zeros((len(COLUMNS), LEVELS), np.float32)
        start = cls(seed, width, centre.astype(np.float32), components, empty, np.zeros(len(COLUMNS), np.bool_))
        return start.with_grid_of(faces)

    def with_grid_of(self, faces: FaceBatch) -> FeatureMap:
        """Return the same map with the quantiles of ``faces``."""
        values = self.columns(faces)
        grid = np.zeros((len(COLUMNS), LEVELS), np.float32)
        known = np.isfinite(values).mean(0) >= _MIN_KNOWN
        for k in np.flatnonzero(known):
            column = values[:, k]
            grid[k] = np.quantile(column[np.isfinite(column)], _ORDERS)
        return FeatureMap(self.seed, self.width, self.centre, self.components, grid, known)

    def columns(self, faces: FaceBatch) -> NDArray[np.float32]:
        """Return the (N, L) float32 scalars ``COLUMNS`` of N faces; NaN if unknown."""
        scores = (faces.embedding - self.centre) @ self.components.T
        probabilities = faces.probabilities
        entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(1)
        return np.column_stack([scores, faces.measures, probabilities.max(1), entropy]).astype(np.float32, copy=False)

    def __call__(self, faces: FaceBatch) -> NDArray[np.float32]:
        """Return (N, W) float32 features of N faces."""
        columns = self.columns(faces)
        known = np.isfinite(columns) & self.known
        below = (columns[:, :, None] <= self.grid) & known[:, :, None]
        scalars = np.where(np.isfinite(columns), columns, 0)[:, COMPONENTS:]
        read = np.isfinite(faces.probabilities).all(1, keepdims=True)
        hard = np.eye(_CLASSES, dtype=np.float32)[faces.probabilities.argmax(1)] * read
        phases = faces.embedding @ self._frequencies
        root = np.float32(FREQUENCIES**-0.5)
        waves = np.concatenate([np.cos(phases), np.sin(phases)], axis=1) * root
        waves[np.isnan(waves[:, 0])] = 0  # no embedding
        soft = np.where(read, faces.probabilities, 0)
        return np.concatenate([waves, below.reshape(len(faces), -1), known, scalars, hard, soft], axis=1, dtype=np.float32)


def random_features(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (..., 512) random Fourier features in (..., W) features or their means."""
    return means[..., : 2 * FREQUENCIES]


def distribution(means: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the (..., K, 39) distribution functions of K columns at the reference's quantiles from (..., W) mean features.

    A row is NaN if the column is known for fewer than half of the faces.
    """
    start = 2 * FREQUENCIES
    end = start + len(COLUMNS) * LEVELS
    index = [COLUMNS.index(name) for name in names]
    below = means[..., start:end].reshape(*means.shape[:-1], len(COLUMNS), LEVELS)[..., index, :]
    known = means[..., end : end + len(COLUMNS)][..., index]
    enough = known >= _MIN_KNOWN
    return np.where(enough[..., None], below / np.where(enough, known, 1)[..., None], np.nan)


def averages(means: NDArray[np.float64]) -> dict[str, float]:
    """Return mean measures, confidence and entropy from (W,) mean features; columns known for fewer than half are omitted."""
    start = 2 * FREQUENCIES + len(COLUMNS) * LEVELS
    known = means[start + COMPONENTS : start + len(COLUMNS)]
    sums = means[start + len(COLUMNS) : start + len(COLUMNS) + len(_SCALARS)]
    return {name: float(total / share) for name, total, share in zip(_SCALARS, sums, known, strict=True) if share >= _MIN_KNOWN}


def predicted_shares(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (..., 7) shares of faces by predicted class from (..., W) mean features."""
    return means[..., -2 * _CLASSES : -_CLASSES]


def mean_probabilities(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (..., 7) mean predicted probabilities from (..., W) mean features."""
    return means[..., -_CLASSES:]


def quantile(shares: NDArray[np.float64], grid: NDArray[np.float32], order: float = 0.5) -> float:
    """Return the quantile ``order``, 0 to 1, of a (39,) distribution function at the values ``grid``."""
    return float(np.interp(order, np.maximum.accumulate(shares), grid))


def _median_distance(embedding: NDArray[np.float32], seed: int) -> float:
    """Return the median distance of two faces, from at most a thousand of them; 1 if all are equal."""
    some = embedding
    if len(some) > _WIDTH_FACES:
        some = some[np.random.default_rng(seed).choice(len(some), _WIDTH_FACES, replace=False)]
    wide = some.astype(np.float64)
    squares = (wide**2).sum(1)
    distances = squares[:, None] + squares - 2 * wide @ wide.T
    upper = distances[np.triu_indices(len(some), 1)]
    median = float(np.sqrt(max(0.0, float(np.median(upper))))) if len(upper) else 0.0
    return median if median > 1e-6 else 1.0
