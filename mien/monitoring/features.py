"""From a face to the numbers whose *means* tell drift.

Every detector compares means: of random Fourier features (their mean says which distribution
the embeddings come from, Rahimi and Recht 2007, "Random features for large-scale kernel
machines"; as a test, Zhao and Meng 2015, doi:10.1162/NECO_a_00732), of the events "this
value lies below that quantile" (their mean is a distribution function), of answers. So a
window of faces, a class of the reference, and an hour are each one vector, no face need be
kept, and vectors of parts add up.
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
"""Quantiles at which a distribution function is kept: every fortieth."""
COLUMNS: Final = (*(f"component {k + 1}" for k in range(COMPONENTS)), *MEASURES, "confidence", "entropy")
"""The scalars whose distributions are watched."""

_CLASSES: Final = len(EMOTIONS)
_SCALARS: Final = (*MEASURES, "confidence", "entropy")
FEATURES: Final = 2 * FREQUENCIES + len(COLUMNS) * (LEVELS + 1) + len(_SCALARS) + 2 * _CLASSES
"""W, the number of features."""
_WIDTH_FACES: Final = 1000
_LEAST_KNOWN: Final = 0.5
_ORDERS: Final = (np.arange(LEVELS) + 1) / (LEVELS + 1)


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """How a face becomes W features; fixed when a reference is made.

    Attributes:
        seed: of the random frequencies.
        width: of the Gaussian kernel, in units of the embedding: the median distance of two faces
            (the median heuristic, Gretton et al. 2012).
        centre: (D,) float32, the mean embedding.
        components: (C, D) float32, principal components over their standard deviations.
        grid: (L, 39) float32, quantiles of ``COLUMNS`` in the reference.
        known: (L,) bool, where the reference knows the column.
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
        """Return the map that suits these faces: kernel width, components and quantiles are theirs."""
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
        """Return the same map with the quantiles of other faces."""
        values = self.columns(faces)
        grid = np.zeros((len(COLUMNS), LEVELS), np.float32)
        known = np.isfinite(values).mean(0) >= _LEAST_KNOWN
        for k in np.flatnonzero(known):
            column = values[:, k]
            grid[k] = np.quantile(column[np.isfinite(column)], _ORDERS)
        return FeatureMap(self.seed, self.width, self.centre, self.components, grid, known)

    def columns(self, faces: FaceBatch) -> NDArray[np.float32]:
        """Return (N, L) float32, the scalars ``COLUMNS`` of N faces; NaN where nobody knows."""
        scores = (faces.embedding - self.centre) @ self.components.T
        answers = faces.probabilities
        entropy = -(answers * np.log(np.maximum(answers, 1e-12))).sum(1)
        return np.column_stack([scores, faces.measures, answers.max(1), entropy]).astype(np.float32, copy=False)

    def __call__(self, faces: FaceBatch) -> NDArray[np.float32]:
        """Return (N, W) float32 features of N faces."""
        columns = self.columns(faces)
        seen = np.isfinite(columns) & self.known
        below = (columns[:, :, None] <= self.grid) & seen[:, :, None]
        scalars = np.where(np.isfinite(columns), columns, 0)[:, COMPONENTS:]
        read = np.isfinite(faces.probabilities).all(1, keepdims=True)
        hard = np.eye(_CLASSES, dtype=np.float32)[faces.probabilities.argmax(1)] * read
        turns = faces.embedding @ self._frequencies
        root = np.float32(FREQUENCIES**-0.5)
        waves = np.concatenate([np.cos(turns), np.sin(turns)], axis=1) * root
        waves[np.isnan(waves[:, 0])] = 0  # nobody has the embedding
        answers = np.where(read, faces.probabilities, 0)
        return np.concatenate([waves, below.reshape(len(faces), -1), seen, scalars, hard, answers], axis=1, dtype=np.float32)


def random_features(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (..., 512) of (..., W) features or their means: the mean map of the embeddings."""
    return means[..., : 2 * FREQUENCIES]


def distribution(means: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return (K, 39), the distribution functions of K columns at the reference's quantiles, of (W,) mean features.

    A row is NaN where fewer than half of the faces tell.
    """
    start = 2 * FREQUENCIES
    end = start + len(COLUMNS) * LEVELS
    index = [COLUMNS.index(name) for name in names]
    below = means[start:end].reshape(len(COLUMNS), LEVELS)[index]
    seen = means[end : end + len(COLUMNS)][index]
    enough = seen >= _LEAST_KNOWN
    return np.where(enough[:, None], below / np.where(enough, seen, 1)[:, None], np.nan)


def averages(means: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean of each measure, of confidence and of entropy, of (W,) mean features; without those that few faces tell."""
    start = 2 * FREQUENCIES + len(COLUMNS) * LEVELS
    seen = means[start + COMPONENTS : start + len(COLUMNS)]
    sums = means[start + len(COLUMNS) : start + len(COLUMNS) + len(_SCALARS)]
    return {name: float(total / share) for name, total, share in zip(_SCALARS, sums, seen, strict=True) if share >= _LEAST_KNOWN}


def answers(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (..., 7), the share of faces by the model's answer, of (..., W) mean features."""
    return means[..., -2 * _CLASSES : -_CLASSES]


def mean_answers(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (..., 7), the mean probabilities that the model gave, of (..., W) mean features."""
    return means[..., -_CLASSES:]


def quantile(shares: NDArray[np.float64], grid: NDArray[np.float32], order: float = 0.5) -> float:
    """Return the value below which a share ``order`` lies, by a (39,) distribution function at the values ``grid``."""
    return float(np.interp(order, np.maximum.accumulate(shares), grid))


def _median_distance(embedding: NDArray[np.float32], seed: int) -> float:
    """Return the median distance of two faces, over at most a thousand of them; 1 where all are alike."""
    some = embedding
    if len(some) > _WIDTH_FACES:
        some = some[np.random.default_rng(seed).choice(len(some), _WIDTH_FACES, replace=False)]
    wide = some.astype(np.float64)
    squares = (wide**2).sum(1)
    distances = squares[:, None] + squares - 2 * wide @ wide.T
    upper = distances[np.triu_indices(len(some), 1)]
    median = float(np.sqrt(max(0.0, float(np.median(upper))))) if len(upper) else 0.0
    return median if median > 1e-6 else 1.0
