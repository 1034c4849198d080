"""When did it begin? Two sequential tests on one number a face, which look for a change and not for a limit.

ADWIN (Bifet and Gavaldà 2007, doi:10.1137/1.9781611972771.42) keeps the longest stretch without
a change; what it still held when it noticed bounds the change from before, loosely. Page-Hinkley
(Page 1954, doi:10.1093/biomet/41.1-2.100) adds up what exceeds a tolerated change, and notices
slow ones. Both are river's. They compare a stream with its own past, so they help to date an
alarm and never raise one.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from mien.errors import missing_extra

_DELTA: Final = 0.002
"""ADWIN's bound on a false change at each look."""
_TOLERATED: Final = 0.25
"""Page-Hinkley adds up what exceeds the mean by this many standard deviations."""
_SETTLED: Final = 100  # faces until the running mean means something
_REMEMBERED: Final = 100_000
_OVERSHOOT: Final = 1.166  # Siegmund's correction for looking at single values


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A change that a test noticed.

    Attributes:
        test: adwin or page-hinkley.
        signal: what changed, such as confidence.
        noticed_s: when it was noticed.
        since_s: it began about then or later; None where the test cannot tell.
        before: the signal's mean before the change; None where the test does not say.
        after: and after it.
    """

    test: str
    signal: str
    noticed_s: float
    since_s: float | None
    before: float | None
    after: float | None


class ChangePoints:
    """Watches one signal with both tests.

    Args:
        signal: its name.
        mean: what it is in the reference.
        deviation: its standard deviation there.
        faces_between_alarms: how many faces apart Page-Hinkley's false changes are on average, about.
    """

    def __init__(self, signal: str, mean: float, deviation: float, faces_between_alarms: float) -> None:
        try:
            from river import drift
        except ImportError as error:
            raise missing_extra("river", "monitor", "Watching for drift") from error
        self._signal = signal
        self._mean, self._deviation = mean, max(deviation, 1e-6)
        self._adwin = drift.ADWIN(delta=_DELTA)
        self._page_hinkley = drift.PageHinkley(
            min_instances=_SETTLED, delta=_TOLERATED, threshold=page_hinkley_threshold(faces_between_alarms), mode="both"
        )
        self._times: deque[float] = deque(maxlen=_REMEMBERED)
        self._found: list[ChangePoint] = []

    @property
    def found(self) -> tuple[ChangePoint, ...]:
        """All changes so far, in order."""
        return tuple(self._found)

    def update(self, t_s: float, value: float) -> None:
        """Take in the signal at ``t_s`` seconds; what is not a number is passed over."""
        if not math.isfinite(value):
            return
        self._times.append(t_s)
        before = float(self._adwin.estimation)
        self._adwin.update(value)
        if self._adwin.drift_detected:
            since = self._times[-min(len(self._times), max(1, int(self._adwin.width)))]
            self._found.append(ChangePoint("adwin", self._signal, t_s, since, before, float(self._adwin.estimation)))
        self._page_hinkley.update((value - self._mean) / self._deviation)
        if self._page_hinkley.drift_detected:
            self._found.append(ChangePoint("page-hinkley", self._signal, t_s, None, None, None))


def page_hinkley_threshold(values_between_alarms: float) -> float:
    """Return the threshold, in standard deviations, for so many values between false alarms of a two-sided test.

    By Siegmund's approximation for independent normal values (Siegmund 1985, "Sequential analysis", 2.6), solved by bisection.

    >>> round(page_hinkley_threshold(10_000), 1)
    14.5
    """

    def run_length(threshold: float) -> float:
        reach = 2 * _TOLERATED * (threshold + _OVERSHOOT)
        return (math.exp(reach) - 1 - reach) / (2 * _TOLERATED**2) / 2  # two sides: half of one side's

    low, high = 0.0, 200.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle) < values_between_alarms else (low, middle)
    return high
