"""Estimation of accuracy without labels.

Mean confidence is the usual estimate (CBPE, "confidence-based performance estimation"; with a
threshold, Garg et al. 2022, arXiv:2201.04234). It is valid while the model is calibrated, and fails on
noisy images, where networks are confidently wrong. A second estimate is trained on corrupted images
(after Tomani et al. 2021, arXiv:2012.10923): a ridge regression from the random features of a face to
the correctness of its prediction. It is linear in the mean map, so a window costs one product. Its
error is measured on held-out photographs and on held-out kinds of corruption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.monitoring.baseline import FaceWindow
from mien.monitoring.features import FREQUENCIES, averages, random_features

_RIDGE: Final = 1e-3
_PLAIN_WEIGHT: Final = 10
"""Weight of the original images relative to one corruption."""
WITHIN: Final = 0.05
"""Absolute error up to which an estimate counts as accurate."""
_MIN_SPREAD: Final = 0.05  # below this range of estimates no rescaling is fitted


@dataclass(frozen=True, slots=True)
class CorruptionLevel:
    """Faces under one corruption, and the correctness of their predictions.

    Attributes:
        family: the kind of corruption; "" for original faces.
        features: (N, 512) float32 random features; the same faces in the same random order for every corruption,
            since every second one is held out for testing.
        correct: (N,) bool, whether the prediction is correct.
        confidence: mean confidence, 0 to 1.
    """

    family: str
    features: NDArray[np.float32]
    correct: NDArray[np.bool_]
    confidence: float


@dataclass(frozen=True, slots=True)
class AccuracyModel:
    """A linear model from a mean map to accuracy.

    Attributes:
        weights: (513,) float64, for the random features and an intercept.
        errors: error statistics, see ``fit_accuracy``.
    """

    weights: NDArray[np.float64]
    errors: Mapping[str, float]

    def estimate(self, mean: NDArray[np.float64]) -> float:
        """Return the estimated accuracy, 0 to 1, of faces with (W,) mean features."""
        return float(np.clip(random_features(mean) @ self.weights[:-1] + self.weights[-1], 0, 1))


class AccuracyEstimator:
    """Estimates for the newest window.

    Args:
        model: the fitted accuracy model; None without one.
    """

    def __init__(self, model: AccuracyModel | None) -> None:
        self._model = model
        self._confidence: float | None = None
        self._accuracy: float | None = None

    @property
    def confidence(self) -> float | None:
        """Mean confidence, 0 to 1; None without predictions."""
        return self._confidence

    @property
    def accuracy(self) -> float | None:
        """Estimated accuracy, 0 to 1; None without a model, without embeddings or before the first window."""
        return self._accuracy

    def update(self, window: FaceWindow) -> None:
        """Process the next window."""
        self._confidence = averages(window.mean).get("confidence")
        has_embedding = bool(random_features(window.mean).any())  # all zero without embeddings
        self._accuracy = self._model.estimate(window.mean) if self._model is not None and has_embedding else None


def fit_accuracy(levels: Iterable[CorruptionLevel]) -> AccuracyModel:
    """Return the model fitted on all corruption levels, with error statistics.

    ``errors`` has, for held-out photographs (``new_photographs``) and held-out corruptions
    (``new_damage``): ``…_p90``, the 90th percentile of the absolute error over the levels, and
    ``…_within``, the share of levels with an error of at most ``WITHIN``; for the mean confidence,
    ``confidence_p90`` and ``confidence_within``. All include the sampling error of a few hundred faces.
    """
    moments: dict[tuple[str, int], _Moments] = {}
    tests: list[_Test] = []
    confidence_errors: list[float] = []
    for row in levels:
        for half in (0, 1):
            features, correct = row.features[half::2], row.correct[half::2]
            found = _moments(features, correct, 1 if row.family else _PLAIN_WEIGHT)
            before = moments.get((row.family, half))
            moments[row.family, half] = found if before is None else (before[0] + found[0], before[1] + found[1])
            tests.append(_Test(row.family, half, features.mean(0).astype(np.float64), float(correct.mean())))
        if row.family:
            confidence_errors.append(abs(row.confidence - float(row.correct.mean())))
    fitted = {half: _solve(moments, {1 - half}, "") for half in (0, 1)}
    rescaling = _rescaling(tests, fitted, "")
    photographs, corruptions = [], []
    for family in sorted({test.family for test in tests if test.family}):
        rescaling_without = _rescaling(tests, fitted, family)
        for half in (0, 1):
            weights = _solve(moments, {1 - half}, family)
            for test in tests:
                if (test.family, test.half) == (family, half):
                    photographs.append(abs(np.polyval(rescaling, test.raw(fitted[half])) - test.accuracy))
                    corruptions.append(abs(np.polyval(rescaling_without, test.raw(weights)) - test.accuracy))
    errors: dict[str, float] = {}
    for name, found_errors in (("new_photographs", photographs), ("new_damage", corruptions), ("confidence", confidence_errors)):
        errors[f"{name}_p90"] = float(np.quantile(found_errors, 0.9)) if found_errors else 0.0
        errors[f"{name}_within"] = float(np.mean(np.array(found_errors) <= WITHIN)) if found_errors else 0.0
    weights = _solve(moments, {0, 1}, "") * rescaling[0]
    weights[-1] += rescaling[1]
    return AccuracyModel(weights, errors)


_Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class _Test:
    """Half of the faces of one corruption level: mean random features (512,), and accuracy."""

    family: str
    half: int
    mean: NDArray[np.float64]
    accuracy: float

    def raw(self, weights: NDArray[np.float64]) -> float:
        """Return the raw estimate of (513,) weights."""
        return float(self.mean @ weights[:-1] + weights[-1])


def _rescaling(tests: list[_Test], fitted: Mapping[int, NDArray[np.float64]], left_out: str) -> NDArray[np.float64]:
    """Return slope and intercept that undo the shrinkage of the ridge, fitted on held-out photographs.

    Args:
        tests: halves of all levels.
        fitted: (513,) weights for each half, fitted on the other.
        left_out: a family to exclude; "" for none.
    """
    used = [test for test in tests if not (test.family and test.family == left_out)]
    found = [test.raw(fitted[test.half]) for test in used]
    if np.ptp(found) < _MIN_SPREAD:
        return np.array([1.0, 0.0])
    weights = [1.0 if test.family else _PLAIN_WEIGHT**0.5 for test in used]
    return np.asarray(np.polyfit(found, [test.accuracy for test in used], 1, w=weights), np.float64)


def _moments(features: NDArray[np.float32], correct: NDArray[np.bool_], weight: float) -> _Moments:
    """Return the normal equations of N faces."""
    design = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
    return weight * (design.T @ design), weight * (design.T @ correct.astype(np.float64))


def _solve(moments: Mapping[tuple[str, int], _Moments], halves: set[int], left_out: str) -> NDArray[np.float64]:
    """Return (513,) ridge weights fitted on the given halves of all levels except one family."""
    chosen = [found for (family, half), found in moments.items() if half in halves and not (family and family == left_out)]
    gram = np.sum([products for products, _ in chosen], axis=0)
    ridge = np.full(len(gram), _RIDGE * gram[-1, -1] / FREQUENCIES)
    ridge[-1] = 0  # the intercept is not penalised
    return np.asarray(np.linalg.solve(gram + np.diag(ridge), np.sum([hits for _, hits in chosen], axis=0)))
