"""How far detectors stray where nothing changed, and the limits that keep a promise of few false alarms.

Streams without drift are simulated from the reference's own faces by drawing them anew, again and
again: a third as many play the reference, and the stream is drawn from all, so that limits allow for a
reference that is a sample too, and for a stream whose people are few. A stream's own reference is cut
in two instead, since neighbours in time are alike. What is kept are scores, no faces. From them the
alarm's own rule (m of n) is run, so that what is promised is the time between *alarms*, not
the level of a test; windows overlap and detectors agree with one another, and no formula is needed.
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
from mien.monitoring.baseline import Baseline, Window
from mien.monitoring.chunks import CHUNK_BLOCKS, WINDOW_CHUNKS, Chunk
from mien.monitoring.detectors import make_detectors
from mien.monitoring.persistence import Persistence
from mien.monitoring.sight import DETECTORS_OF, Sight

RUNS: Final = 40
STEPS: Final = 250
"""Simulated streams, and windows in each."""
STRETCH: Final = 4 * WINDOW_CHUNKS
"""Chunks in a row that a simulated stream takes from a real one: long enough for an alarm to last in."""
SMALLER: Final = 3
"""The reference plays with so many times fewer faces: with half of them a promise was broken (0.07 for 0.04 an hour)."""
_TAIL: Final = 0.05
_ENOUGH_ALARMS: Final = 10
_TAIL_LEVELS: Final = 12
_LEAST_SLOPE: Final = 0.5
_T = TypeVar("_T")
_LEVELS: Final = np.arange(0.2, 8.0, 0.05)
"""-log10 of p-values that are tried as a limit."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores of the detectors where nothing changed.

    Attributes:
        scores: (R, S, J) float32: runs, windows of a run in order, detectors as in ``DETECTORS_OF`` their sight.
    """

    scores: NDArray[np.float32]

    def surprise(self, detector: int, score: float) -> float:
        """Return -log10 of the share of windows without drift that score as high.

        By count up to the highest twentieth; from there on by an exponential tail, so that no
        score is infinitely surprising (peaks over a threshold, Davison and Smith 1990).
        """
        return float(self._surprises(detector, np.array([score]))[0])

    def level(self, windows_between_alarms: float, rule: Persistence) -> float:
        """Return the surprise from which on a window is flagged, so that alarms come so many windows apart on average.

        Limits beyond what was simulated are extrapolated: log of the alarm rate against level,
        a straight line.

        Args:
            windows_between_alarms: mean number of windows from one false alarm to the next.
            rule: how many flagged windows make an alarm.

        Raises:
            UsageError: fewer than two windows.
        """
        if not windows_between_alarms >= 2:
            raise UsageError(
                f"a false alarm every {windows_between_alarms:.2g} windows cannot be promised: a window is the least. "
                "Allow a longer time between false alarms"
            )
        runs = np.stack([self._surprises(j, self.scores[:, :, j].ravel()) for j in range(self.scores.shape[2])], axis=1)
        runs = runs.reshape(self.scores.shape)
        windows = runs[:, :, 0].size
        alarms: dict[int, int] = {}

        def alarms_at(place: int) -> int:
            if place not in alarms:
                alarms[place] = _alarms(runs >= _LEVELS[place], rule)
            return alarms[place]

        # alarms fall with the level: bisection for the first level that keeps the promise, or has hardly any alarms left
        fewest = max(windows / windows_between_alarms, _ENOUGH_ALARMS)
        place = bisect.bisect_left(range(len(_LEVELS)), True, key=lambda at: alarms_at(at) <= fewest)
        if place == len(_LEVELS) or alarms_at(place) * windows_between_alarms <= windows:
            return float(_LEVELS[min(place, len(_LEVELS) - 1)])
        tail = range(max(0, place - _TAIL_LEVELS), place)
        if len(tail) < 2:
            raise DataError("the reference's calibration is too short to promise anything. Make it anew: mien monitor reference")
        rates = [math.log(alarms_at(at) / windows) for at in tail]
        slope = float(np.polyfit(_LEVELS[list(tail)], rates, 1)[0])
        return float(_LEVELS[tail[-1]]) + (rates[-1] + math.log(windows_between_alarms)) / max(-slope, _LEAST_SLOPE)

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
    sights: Sequence[Sight] = tuple(DETECTORS_OF),
) -> Generator[None, None, dict[Sight, Calibration]]:
    """Yield once a simulated window, and return what the detectors say of streams without drift, by sight.

    A live session does this between its frames, so the work comes in small steps; whoever can wait
    takes ``done``.

    Args:
        features: (N, W) of the reference's blocks.
        probabilities: (N, 7) their answers.
        groups: positions of the blocks of each chunk of a stream, in order; streams are then put together
            from stretches of whole chunks, which keeps what neighbouring faces have in common (moving-block
            bootstrap, Künsch 1989). Without it the faces are independent and drawn one by one.
        runs: simulated streams.
        steps: windows in each.
        seed: of everything random.
        sights: which limits are wanted.
    """
    random = np.random.default_rng(seed)
    scores = {sight: np.empty((runs, steps, len(DETECTORS_OF[sight])), np.float32) for sight in sights}
    for run in range(runs):
        reference, chunks = _parts(features, groups, steps + WINDOW_CHUNKS - 1, random)
        baseline = Baseline.of(features[reference], probabilities[reference])
        detectors = {sight: make_detectors(baseline, sight) for sight in sights}
        for step in range(steps):
            lately = [_chunk(mean) for mean in chunks[step : step + WINDOW_CHUNKS]]
            for sight in sights:
                window = Window.of(lately, baseline, sight)
                for j, detector in enumerate(detectors[sight]):
                    detector.update(window)
                    assert detector.reading is not None
                    scores[sight][run, step, j] = detector.reading.score
            yield
    return {sight: Calibration(found) for sight, found in scores.items()}


def done(work: Generator[None, None, _T]) -> _T:
    """Return what ``work`` returns, all steps taken at once."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(_T, end.value)


def _parts(
    features: NDArray[np.float32], groups: Sequence[NDArray[np.int64]] | None, chunks: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return positions of the faces that play the reference, and (chunks, W) mean features of the chunks of a stream."""
    n = len(features)
    if groups is None:
        reference = random.integers(0, n, n // SMALLER)
        draws = random.integers(0, n, (chunks, CHUNK_BLOCKS))
        counts = np.zeros((chunks, n), np.float32)
        np.add.at(counts, (np.repeat(np.arange(chunks), CHUNK_BLOCKS), draws.ravel()), np.float32(1 / CHUNK_BLOCKS))
        return reference, (counts @ features).astype(np.float64)
    # halves of the circle of chunks: both are stretches, as the reference and what follows it are
    start = int(random.integers(len(groups)))
    turned = [groups[(start + k) % len(groups)] for k in range(len(groups))]
    half = len(turned) // 2
    means = np.stack([features[group].mean(0) for group in turned[half:]]).astype(np.float64)
    starts = random.integers(0, len(means), math.ceil(chunks / STRETCH))
    index = (starts[:, None] + np.arange(STRETCH)).ravel()[:chunks] % len(means)
    return np.concatenate(turned[:half]), means[index]


def _chunk(mean: NDArray[np.float64]) -> Chunk:
    empty = np.zeros(CHUNK_BLOCKS)
    return Chunk(0.0, 0.0, mean, empty, empty, True)


def _alarms(flags: NDArray[np.bool_], rule: Persistence) -> int:
    """Return how often the rule's alarm goes off in (R, S, J) flags of windows in order; it starts anew after each."""
    runs, steps, _ = flags.shape
    since = np.zeros(runs, np.int64)  # windows before this one do not count any more
    count = 0
    for step in range(steps):
        first = max(0, step - rule.n + 1)
        lately = flags[:, first : step + 1] & (np.arange(first, step + 1) >= since[:, None])[:, :, None]
        alarm = ((lately.sum(1) >= rule.m) & flags[:, step]).any(1)
        since[alarm] = step + 1
        count += int(alarm.sum())
    return count
