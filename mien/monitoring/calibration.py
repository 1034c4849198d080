"""Detector scores under no drift, and limits for a false-alarm interval.

Streams without drift are simulated by resampling the reference's faces: a third as many faces serve as
reference, and the stream is drawn from all of them, so that limits account for the sampling error of
the reference and for streams of few people. The reference of a stream is split in two instead, since
neighbouring faces are correlated. Only scores are kept. The alarm rule (m of n) is then run on them, so
that limits control the interval between *alarms* rather than the level of a test, with overlapping
windows and correlated detectors accounted for.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, UsageError
from mien.monitoring.baseline import Baseline
from mien.monitoring.chunks import CHUNK_BLOCKS, WINDOW_CHUNKS
from mien.monitoring.detectors import DETECTORS_OF, make_detectors
from mien.monitoring.observation import Scope
from mien.monitoring.persistence import PersistenceRule

RUNS: Final = 40
STEPS: Final = 250
"""Simulated streams, and windows per stream."""
_STEP: Final = 10
"""Windows of a simulated stream that are scored together: as much work as fits between two frames."""
BOOTSTRAP_CHUNKS: Final = 4 * WINDOW_CHUNKS
"""Consecutive chunks per bootstrap block of a real stream, enough for a persistent alarm."""
REFERENCE_DIVISOR: Final = 3
"""The simulated reference has 1/3 of the faces; with 1/2, false alarms were too frequent (0.07 instead of 0.04 an hour)."""
_TAIL: Final = 0.05
_MIN_ALARMS: Final = 10
_TAIL_LEVELS: Final = 12
_MIN_SLOPE: Final = 0.5
_T = TypeVar("_T")
_LEVELS: Final = np.arange(0.2, 8.0, 0.05)
"""Candidate limits, -log10 of p-values."""


@dataclass(frozen=True, slots=True)
class DriftCalibration:
    """Scores of the detectors under no drift.

    Attributes:
        scores: (R, S, J) float32: runs, windows of a run in order, detectors in the order of ``DETECTORS_OF``.
    """

    scores: NDArray[np.float32]

    def surprise(self, detector: int, score: float) -> float:
        """Return -log10 of the share of windows without drift that score as high.

        By count up to the highest twentieth; from there on by an exponential tail, so that no
        score is infinitely surprising (peaks over a threshold, Davison and Smith 1990).
        """
        return float(self._surprises(detector, np.array([score]))[0])

    def level(self, windows_between_alarms: float, rule: PersistenceRule) -> float:
        """Return the surprise from which on a window is flagged, so that alarms come so many windows apart on average.

        Limits beyond the simulated range are extrapolated linearly in the log of the alarm rate.

        Args:
            windows_between_alarms: mean number of windows between false alarms.
            rule: number of flagged windows for an alarm.

        Raises:
            UsageError: fewer than two windows.
        """
        if not windows_between_alarms >= 2:
            raise UsageError(
                f"a false-alarm interval of {windows_between_alarms:.2g} windows is too short; use at least 2. "
                "Choose a longer interval"
            )
        runs = np.stack([self._surprises(j, self.scores[:, :, j].ravel()) for j in range(self.scores.shape[2])], axis=1)
        runs = runs.reshape(self.scores.shape)
        windows = runs[:, :, 0].size
        alarms: dict[int, int] = {}

        def alarms_at(place: int) -> int:
            if place not in alarms:
                alarms[place] = _alarms(runs >= _LEVELS[place], rule)
            return alarms[place]

        # alarms decrease with the level: bisect for the first level within the interval, or with too few alarms to count
        fewest = max(windows / windows_between_alarms, _MIN_ALARMS)
        place = bisect.bisect_left(range(len(_LEVELS)), True, key=lambda at: alarms_at(at) <= fewest)
        if place == len(_LEVELS) or alarms_at(place) * windows_between_alarms <= windows:
            return float(_LEVELS[min(place, len(_LEVELS) - 1)])
        tail = range(max(0, place - _TAIL_LEVELS), place)
        if len(tail) < 2:
            raise DataError("the reference's calibration is too short. Make it again with: mien monitor reference")
        rates = [math.log(alarms_at(at) / windows) for at in tail]
        slope = float(np.polyfit(_LEVELS[list(tail)], rates, 1)[0])
        return float(_LEVELS[tail[-1]]) + (rates[-1] + math.log(windows_between_alarms)) / max(-slope, _MIN_SLOPE)

    def _surprises(self, detector: int, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        known = np.sort(self.scores[:, :, detector].ravel().astype(np.float64))
        above = len(known) - np.searchsorted(known, scores, side="left")
        share = (above + 1.0) / (len(known) + 1.0)
        start = float(known[int((1 - _TAIL) * len(known))])
        excess = known[known > start] - start
        scale = max(float(excess.mean()) if len(excess) else 0.0, 1e-12)
        beyond = -math.log10(_TAIL) + np.maximum(scores - start, 0) / scale * math.log10(math.e)
        return np.asarray(np.where(scores > start, beyond, np.minimum(-np.log10(share), -math.log10(_TAIL))))


def calibrate(
    features: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    groups: Sequence[NDArray[np.int64]] | None = None,
    runs: int = RUNS,
    steps: int = STEPS,
    seed: int = 0,
    scopes: Sequence[Scope] = tuple(DETECTORS_OF),
) -> Generator[None, None, dict[Scope, DriftCalibration]]:
    """Simulate streams without drift, yielding every ten windows; return the calibrations.

    A live session does this work in small steps between frames; elsewhere use ``run_to_completion``.

    Args:
        features: (N, W) features of the reference's blocks.
        probabilities: (N, 7) their predictions.
        groups: indices of the blocks of each chunk of a stream, in order; streams are then resampled in runs of
            whole chunks, which preserves the correlation of neighbouring faces (moving-block bootstrap,
            Künsch 1989). None: faces are independent and drawn one by one.
        runs: number of simulated streams.
        steps: windows per stream.
        seed: of the random generator.
        scopes: the scopes to calibrate.
    """
    random = np.random.default_rng(seed)
    scores = {scope: np.empty((runs, steps, len(DETECTORS_OF[scope])), np.float32) for scope in scopes}
    for run in range(runs):
        reference, chunks = _parts(features, groups, steps + WINDOW_CHUNKS - 1, random)
        baseline = Baseline.of(features[reference], probabilities[reference])
        detectors = {scope: make_detectors(baseline, scope) for scope in scopes}
        windows = np.lib.stride_tricks.sliding_window_view(chunks, WINDOW_CHUNKS, axis=0).mean(-1)
        for first in range(0, steps, _STEP):
            means = windows[first : first + _STEP]
            for scope in scopes:
                mixes = baseline.nearest_mixes(means, scope)
                for j, detector in enumerate(detectors[scope]):
                    scores[scope][run, first : first + _STEP, j] = detector.scores(means, mixes, WINDOW_CHUNKS * CHUNK_BLOCKS)
            yield
    return {scope: DriftCalibration(found) for scope, found in scores.items()}


def run_to_completion(work: Generator[None, None, _T]) -> _T:
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(_T, end.value)


def _parts(
    features: NDArray[np.float32], groups: Sequence[NDArray[np.int64]] | None, chunks: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return indices of the faces of a simulated reference, and (chunks, W) mean features of a simulated stream."""
    n = len(features)
    if groups is None:
        reference = random.integers(0, n, n // REFERENCE_DIVISOR)
        draws = random.integers(0, n, (chunks, CHUNK_BLOCKS))
        counts = np.zeros((chunks, n), np.float32)
        np.add.at(counts, (np.repeat(np.arange(chunks), CHUNK_BLOCKS), draws.ravel()), np.float32(1 / CHUNK_BLOCKS))
        return reference, (counts @ features).astype(np.float64)
    # halves of the circular sequence of chunks: both are contiguous, like a reference and the stream after it
    start = int(random.integers(len(groups)))
    rotated = [groups[(start + k) % len(groups)] for k in range(len(groups))]
    half = len(rotated) // 2
    means = np.stack([features[group].mean(0) for group in rotated[half:]]).astype(np.float64)
    starts = random.integers(0, len(means), math.ceil(chunks / BOOTSTRAP_CHUNKS))
    index = (starts[:, None] + np.arange(BOOTSTRAP_CHUNKS)).ravel()[:chunks] % len(means)
    return np.concatenate(rotated[:half]), means[index]


def _alarms(flags: NDArray[np.bool_], rule: PersistenceRule) -> int:
    """Return the number of alarms of a rule in (R, S, J) flags of consecutive windows; the rule restarts after each."""
    runs, steps, _ = flags.shape
    since = np.zeros(runs, np.int64)  # windows before this one are ignored
    count = 0
    for step in range(steps):
        first = max(0, step - rule.n + 1)
        newest = flags[:, first : step + 1] & (np.arange(first, step + 1) >= since[:, None])[:, :, None]
        alarm = ((newest.sum(1) >= rule.m) & flags[:, step]).any(1)
        since[alarm] = step + 1
        count += int(alarm.sum())
    return count
