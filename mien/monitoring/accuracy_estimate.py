"""How often is the model right, where nobody says what would be right?

The mean confidence is the usual answer (as in CBPE, "confidence-based performance estimation";
with a threshold, Garg et al. 2022, arXiv:2201.04234). It holds while the model is calibrated,
and fails where it matters: a noisy picture makes a network wrong *and* sure. So a second answer
is learnt from pictures spoilt on purpose (after Tomani et al. 2021, arXiv:2012.10923): a ridge
regression from the random features of a face to whether the model is right. It is linear in the
mean map, so a window costs one product. How far it errs is measured on photographs that it did
not see, and on kinds of damage that it did not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.monitoring.baseline import Window
from mien.monitoring.features import FREQUENCIES, averages, random_features

_RIDGE: Final = 1e-3
_PLAIN_WEIGHT: Final = 10
"""How many kinds of damage the unspoilt pictures count as much as."""
WITHIN: Final = 0.05
_LEAST_SPREAD: Final = 0.05  # without conditions that differ there is nothing to stretch by


@dataclass(frozen=True, slots=True)
class Condition:
    """Faces spoilt in one way, and where the model is right about them.

    Attributes:
        family: the kind of damage; "" for unspoilt faces.
        features: (N, 512) float32 random features; the same faces in the same order in every condition, and
            not sorted by anything, since every second one is kept for testing.
        correct: (N,) bool.
        confidence: mean confidence, 0 to 1.
    """

    family: str
    features: NDArray[np.float32]
    correct: NDArray[np.bool_]
    confidence: float


@dataclass(frozen=True, slots=True)
class AccuracyModel:
    """From a mean map to the share of right answers.

    Attributes:
        weights: (513,) float64, for the random features and a constant.
        errors: what is known of its errors, as plain numbers: see ``fit_accuracy``.
    """

    weights: NDArray[np.float64]
    errors: Mapping[str, float]

    def estimate(self, mean: NDArray[np.float64]) -> float:
        """Return the estimated accuracy, 0 to 1, of faces with (W,) mean features."""
        return float(np.clip(random_features(mean) @ self.weights[:-1] + self.weights[-1], 0, 1))


class EstimatedAccuracy:
    """Holds the newest window's estimates.

    Args:
        model: what was learnt from spoilt pictures; None where nobody made it.
    """

    def __init__(self, model: AccuracyModel | None) -> None:
        self._model = model
        self._confidence: float | None = None
        self._accuracy: float | None = None

    @property
    def confidence(self) -> float | None:
        """The mean confidence, the plain estimate; None where no model reads."""
        return self._confidence

    @property
    def accuracy(self) -> float | None:
        """The learnt estimate; None without a model, without embeddings or before the first window."""
        return self._accuracy

    def update(self, window: Window) -> None:
        """Take in the next window."""
        self._confidence = averages(window.mean).get("confidence")
        seen = bool(random_features(window.mean).any())  # nobody has the embedding where all are 0
        self._accuracy = self._model.estimate(window.mean) if self._model is not None and seen else None


def fit_accuracy(conditions: Iterable[Condition]) -> AccuracyModel:
    """Return the model learnt from all conditions, with what is known of its errors.

    ``errors`` holds, for photographs it did not learn from (``new_photographs``) and kinds of damage
    it did not learn from (``new_damage``): ``…_p90``, the 90th percentile of the absolute error over
    the conditions, and ``…_within``, the share of conditions with an error of at most 0.05; for the
    mean confidence, ``confidence_p90`` and ``confidence_within``. Each number holds the chance of
    a few hundred faces too.
    """
    moments: dict[tuple[str, int], _Moments] = {}
    tests: list[_Test] = []
    plain: list[float] = []
    for row in conditions:
        for half in (0, 1):
            features, correct = row.features[half::2], row.correct[half::2]
            found = _moments(features, correct, 1 if row.family else _PLAIN_WEIGHT)
            before = moments.get((row.family, half))
            moments[row.family, half] = found if before is None else (before[0] + found[0], before[1] + found[1])
            tests.append(_Test(row.family, half, features.mean(0).astype(np.float64), float(correct.mean())))
        if row.family:
            plain.append(abs(row.confidence - float(row.correct.mean())))
    known = {half: _solve(moments, {1 - half}, "") for half in (0, 1)}
    stretch = _stretch(tests, known, "")
    photographs, damage = [], []
    for family in sorted({test.family for test in tests if test.family}):
        stretch_without = _stretch(tests, known, family)
        for half in (0, 1):
            weights = _solve(moments, {1 - half}, family)
            for test in tests:
                if (test.family, test.half) == (family, half):
                    photographs.append(abs(np.polyval(stretch, test.raw(known[half])) - test.accuracy))
                    damage.append(abs(np.polyval(stretch_without, test.raw(weights)) - test.accuracy))
    errors: dict[str, float] = {}
    for name, found_errors in (("new_photographs", photographs), ("new_damage", damage), ("confidence", plain)):
        errors[f"{name}_p90"] = float(np.quantile(found_errors, 0.9)) if found_errors else 0.0
        errors[f"{name}_within"] = float(np.mean(np.array(found_errors) <= WITHIN)) if found_errors else 0.0
    weights = _solve(moments, {0, 1}, "") * stretch[0]
    weights[-1] += stretch[1]
    return AccuracyModel(weights, errors)


_Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class _Test:
    """Half of the faces of one condition: mean random features (512,), and the share that is right."""

    family: str
    half: int
    mean: NDArray[np.float64]
    accuracy: float

    def raw(self, weights: NDArray[np.float64]) -> float:
        """Return what (513,) weights make of the mean."""
        return float(self.mean @ weights[:-1] + weights[-1])


def _stretch(tests: list[_Test], known: Mapping[int, NDArray[np.float64]], left_out: str) -> NDArray[np.float64]:
    """Return slope and constant that undo the ridge's shrinking, from photographs that were not learnt from.

    Args:
        tests: all of them.
        known: the weights to judge each half by.
        left_out: a family that takes no part; "" for none.
    """
    used = [test for test in tests if not (test.family and test.family == left_out)]
    found = [test.raw(known[test.half]) for test in used]
    if np.ptp(found) < _LEAST_SPREAD:
        return np.array([1.0, 0.0])
    weights = [1.0 if test.family else _PLAIN_WEIGHT**0.5 for test in used]
    return np.asarray(np.polyfit(found, [test.accuracy for test in used], 1, w=weights), np.float64)


def _moments(features: NDArray[np.float32], correct: NDArray[np.bool_], weight: float) -> _Moments:
    """Return the normal equations of some faces."""
    design = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
    return weight * (design.T @ design), weight * (design.T @ correct.astype(np.float64))


def _solve(moments: Mapping[tuple[str, int], _Moments], halves: set[int], left_out: str) -> NDArray[np.float64]:
    """Return the ridge weights over some halves of all conditions but one family's."""
    chosen = [found for (family, half), found in moments.items() if half in halves and not (family and family == left_out)]
    gram = np.sum([products for products, _ in chosen], axis=0)
    ridge = np.full(len(gram), _RIDGE * gram[-1, -1] / FREQUENCIES)
    ridge[-1] = 0  # the constant is free
    return np.asarray(np.linalg.solve(gram + np.diag(ridge), np.sum([hits for _, hits in chosen], axis=0)))
