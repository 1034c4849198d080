"""The gates a candidate must pass, each a comparison with the bundle it comes from on the same images.

They were chosen before any candidate was seen and are not settings. Noise is that of paired
answers: images on which both are right or both wrong say nothing (McNemar 1947). PrivateTest
is not among the data: a candidate is no reason to look at it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.emotions import EMOTIONS

SURE: Final = 0.95
"""One-sided: so sure must a loss be to fail a gate, or a gain to pass one."""
_DRAWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's outcome.

    Attributes:
        name: what was asked.
        passed: whether the candidate passes.
        before: the number of the bundle in use.
        after: the candidate's.
        noise: how far a difference may come from chance, in the same unit.
        sentence: the outcome for people.
    """

    name: str
    passed: bool
    before: float
    after: float
    noise: float
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Answers:
    """What two bundles say of the same images.

    Attributes:
        labels: (N,) int64.
        before: (N, 7) probabilities of the bundle in use.
        after: (N, 7) of the candidate.
    """

    labels: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]

    @property
    def right(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(N,) bool each: where the bundle in use is right, and where the candidate is."""
        return self.before.argmax(1) == self.labels, self.after.argmax(1) == self.labels


def judge(test: Answers, new_domain: Answers) -> list[Gate]:
    """Return all gates.

    Args:
        test: on PublicTest.
        new_domain: on the held-out new faces.
    """
    return [
        _not_worse(test),
        _better(new_domain),
        _calibrated(test),
        *_classes(test),
    ]


def _not_worse(test: Answers) -> Gate:
    before, after, noise = _paired(*test.right, SURE)
    passed = after - before >= -noise
    return Gate(
        "PublicTest not worse", passed, before, after, noise, _said("accuracy on PublicTest", before, after, noise, passed)
    )


def _better(new_domain: Answers) -> Gate:
    before, after, noise = _paired(*new_domain.right, SURE)
    passed = after - before > noise
    said = _said("accuracy on the held-out new faces", before, after, noise, passed)
    return Gate("new faces better", passed, before, after, noise, said)


def _calibrated(test: Answers) -> Gate:
    """Return the gate on the calibration error; its noise is a bootstrap over images, both bundles on the same draws."""
    before, after = (metrics.expected_calibration_error(p, test.labels) for p in (test.before, test.after))
    random = np.random.default_rng(0)
    n = len(test.labels)
    differences = []
    for _ in range(_DRAWS):
        drawn = random.integers(0, n, n)
        one, two = (metrics.expected_calibration_error(p[drawn], test.labels[drawn]) for p in (test.before, test.after))
        differences.append(two - one)
    noise = float(np.quantile(differences, SURE) - np.median(differences))
    passed = after - before <= noise
    return Gate("calibration kept", passed, before, after, noise, _said("calibration error", before, after, noise, passed))


def _classes(test: Answers) -> list[Gate]:
    """Return a gate for each class on PublicTest; with seven of them, each needs more to fail (Bonferroni)."""
    right_before, right_after = test.right
    gates = []
    present = [label for label in range(len(EMOTIONS)) if (test.labels == label).any()]
    for label in present:
        of_class = test.labels == label
        before, after, noise = _paired(right_before[of_class], right_after[of_class], 1 - (1 - SURE) / len(present))
        passed = after - before >= -noise
        said = _said(f"recall of {EMOTIONS[label]} on PublicTest", before, after, noise, passed)
        gates.append(Gate(f"recall of {EMOTIONS[label]} kept", passed, before, after, noise, said))
    return gates


def _paired(before: NDArray[np.bool_], after: NDArray[np.bool_], sure: float) -> tuple[float, float, float]:
    """Return both shares and the one-sided noise of their difference on the same images.

    >>> first, second = np.array([True] * 90 + [False] * 10), np.array([True] * 80 + [False] * 20)
    >>> [round(value, 3) for value in _paired(first, second, 0.95)]
    [0.9, 0.8, 0.052]
    """
    n = len(before)
    differing = int((before != after).sum())
    noise = NormalDist().inv_cdf(sure) * math.sqrt(differing) / n
    return float(before.mean()), float(after.mean()), noise


def _said(what: str, before: float, after: float, noise: float, passed: bool) -> str:
    points = f"{100 * (after - before):+.1f} points; chance alone moves it by {100 * noise:.1f}"
    return f"{what}: {before:.1%} before, {after:.1%} after ({points}). {'Passed' if passed else 'Not passed'}"
