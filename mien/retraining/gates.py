"""Gates: comparisons of a candidate with the deployed bundle on the same images.

The gates were fixed before any candidate was seen and are not configurable. Noise is that of
paired predictions: images on which both bundles are correct or both are wrong carry no
information (McNemar 1947; in its exact form, which also holds for few images). PrivateTest is not
used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.emotions import EMOTIONS
from mien.evaluation.truths import TRUTHS

CONFIDENCE: Final = 0.95
"""One-sided confidence that a loss must have to fail a gate, or a gain to pass one."""
_BOOTSTRAP_DRAWS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Result of one gate.

    Attributes:
        name: name of the gate.
        passed: whether the candidate passed.
        before: value of the deployed bundle.
        after: value of the candidate.
        noise: difference that chance alone can explain, in the same unit.
        sentence: what was compared, with both values, without a full stop.
    """

    name: str
    passed: bool
    before: float
    after: float
    noise: float
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values, floats rounded to 5 digits."""
        return {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class PairedPredictions:
    """Predictions of two bundles for the same N images.

    Attributes:
        labels: (N,) int64.
        before: (N, 7) float64 probabilities of the deployed bundle.
        after: (N, 7) float64 probabilities of the candidate.
    """

    labels: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]

    @property
    def correct(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(N,) bool each: where the deployed bundle is correct, and where the candidate is."""
        return self.before.argmax(1) == self.labels, self.after.argmax(1) == self.labels


MIN_AGREEMENT: Final = 0.9
"""Minimum share of PublicTest on which candidate and parent must predict the same label, if there are no votes."""


def evaluate_gates(
    tests: Sequence[tuple[str, PairedPredictions]], new_faces: PairedPredictions, agreement: float | None = None
) -> list[Gate]:
    """Return the results of all gates.

    Args:
        tests: name of each truth and the predictions for PublicTest of the head that is scored against it.
        new_faces: predictions of the first head for the held-out new faces.
        agreement: share of PublicTest on which the first heads of both bundles predict the same label, 0 to 1; None to
            leave this gate out, because the first head is scored against votes.
    """
    gates = [_better(new_faces)]
    for truth, test in tests:
        gates += [_not_worse(truth, test), _calibrated(truth, test), *_classes(truth, test)]
    if agreement is not None:
        passed = agreement >= MIN_AGREEMENT
        sentence = (
            f"live predictions on PublicTest: {agreement:.1%} equal the parent's (at least "
            f"{MIN_AGREEMENT:.0%} is required; pass --votes to measure accuracy instead)"
        )
        gates.append(
            Gate(
                name="live predictions kept",
                passed=passed,
                before=1.0,
                after=agreement,
                noise=1 - MIN_AGREEMENT,
                sentence=sentence,
            )
        )
    return gates


def _not_worse(truth: str, test: PairedPredictions) -> Gate:
    found = _Difference.of(*test.correct, CONFIDENCE)
    return found.gate(f"PublicTest not worse, {truth}", f"{TRUTHS[truth]} on PublicTest", passed=not found.is_loss)


def _better(new_faces: PairedPredictions) -> Gate:
    found = _Difference.of(*new_faces.correct, CONFIDENCE)
    return found.gate("new faces better", "accuracy on the held-out new faces", passed=found.is_gain)


def _calibrated(truth: str, test: PairedPredictions) -> Gate:
    """Return the gate on the calibration error; its noise is estimated by a paired bootstrap over images."""
    before, after = (metrics.expected_calibration_error(p, test.labels) for p in (test.before, test.after))
    random = np.random.default_rng(0)
    n = len(test.labels)
    differences = []
    for _ in range(_BOOTSTRAP_DRAWS):
        drawn = random.integers(0, n, n)
        one, two = (metrics.expected_calibration_error(p[drawn], test.labels[drawn]) for p in (test.before, test.after))
        differences.append(two - one)
    noise = float(np.quantile(differences, CONFIDENCE) - np.median(differences))
    passed = after - before <= noise
    sentence = _sentence(f"calibration error, {TRUTHS[truth]}", before, after, noise)
    return Gate(name=f"calibration kept, {truth}", passed=passed, before=before, after=after, noise=noise, sentence=sentence)


def _classes(truth: str, test: PairedPredictions) -> list[Gate]:
    """Return a recall gate for each class on PublicTest, with Bonferroni correction."""
    correct_before, correct_after = test.correct
    gates = []
    present = [label for label in range(len(EMOTIONS)) if (test.labels == label).any()]
    for label in present:
        of_class = test.labels == label
        confidence = 1 - (1 - CONFIDENCE) / len(present)
        found = _Difference.of(correct_before[of_class], correct_after[of_class], confidence)
        what = f"recall of {EMOTIONS[label]} on PublicTest, {TRUTHS[truth]}"
        gates.append(found.gate(f"recall of {EMOTIONS[label]} kept, {truth}", what, passed=not found.is_loss))
    return gates


@dataclass(frozen=True, slots=True)
class _Difference:
    """Numbers of correct predictions of two bundles for the same images.

    Attributes:
        images: number of images.
        before: images on which the deployed bundle is correct.
        after: images on which the candidate is correct.
        noise: largest difference that chance alone explains, in images.
    """

    images: int
    before: int
    after: int
    noise: int

    @classmethod
    def of(cls, before: NDArray[np.bool_], after: NDArray[np.bool_], confidence: float) -> _Difference:
        """Return the difference from (N,) bool, where each bundle is correct."""
        noise = _largest_by_chance(int((before != after).sum()), confidence)
        return cls(len(before), int(before.sum()), int(after.sum()), noise)

    @property
    def is_gain(self) -> bool:
        """Whether the candidate is better by more than the noise."""
        return self.after - self.before > self.noise

    @property
    def is_loss(self) -> bool:
        """Whether the candidate is worse by more than the noise."""
        return self.before - self.after > self.noise

    def gate(self, name: str, what: str, *, passed: bool) -> Gate:
        """Return the gate, with shares instead of numbers of images."""
        before, after, noise = (number / self.images for number in (self.before, self.after, self.noise))
        sentence = _sentence(what, before, after, noise)
        return Gate(name=name, passed=passed, before=before, after=after, noise=noise, sentence=sentence)


def _largest_by_chance(differing: int, confidence: float) -> int:
    """Return the largest gain, in images, that chance alone explains (one-sided exact McNemar test).

    Args:
        differing: number of images on which only one bundle is correct. By chance, that is either with equal probability.
        confidence: one-sided confidence that a larger gain must have.

    >>> [_largest_by_chance(differing, 0.95) for differing in (0, 4, 5, 9, 100)]
    [0, 4, 3, 5, 16]
    """
    limit = int(Fraction(1 - confidence) * 2**differing)
    gained, exactly = differing, 1  # exactly ``gained`` gains can occur in ``exactly`` of 2**differing ways
    at_least = exactly
    while at_least <= limit:
        exactly = exactly * gained // (differing - gained + 1)
        gained -= 1
        at_least += exactly
    return 2 * gained - differing


def _sentence(what: str, before: float, after: float, noise: float) -> str:
    points = f"{100 * (after - before):+.1f} points; noise {100 * noise:.1f}"
    return f"{what}: {before:.1%} before, {after:.1%} after ({points})"
