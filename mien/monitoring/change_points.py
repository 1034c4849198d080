"""Change-point detection on one scalar per face, to date an alarm.

ADWIN (Bifet and Gavaldà 2007, doi:10.1137/1.9781611972771.42) keeps the longest window without a
change; its start is a loose lower bound of the time of the change. Page-Hinkley (Page 1954,
doi:10.1093/biomet/41.1-2.100) accumulates deviations above a tolerance and detects slow changes. Both
are river's. They compare a stream with its own past, and never raise an alarm.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from mien.errors import missing_extra

_DELTA: Final = 0.002
"""ADWIN's confidence parameter."""
_TOLERATED: Final = 0.25
"""Page-Hinkley's tolerance, in standard deviations."""
_SETTLED: Final = 100  # faces before the running mean is used
_REMEMBERED: Final = 100_000
_OVERSHOOT: Final = 1.166  # Siegmund's correction for discrete observations


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A detected change.

    Attributes:
        test: ``adwin`` or ``page-hinkley``.
        signal: name of the signal, such as ``confidence``.
        noticed_s: time of detection, seconds.
        since_s: approximate earliest time of the change, seconds; None if the test does not estimate it.
        before: mean of the signal before the change; None if the test does not estimate it.
        after: mean of the signal after the change; None likewise.
    """

    test: str
    signal: str
    noticed_s: float
    since_s: float | None
    before: float | None
    after: float | None


class ChangePoints:
    """Runs both tests on one signal.

    Args:
        signal: name of the signal.
        mean: its mean in the reference.
        deviation: its standard deviation in the reference.
        faces_between_alarms: approximate mean number of faces between false detections of Page-Hinkley.

    Raises:
        DeviceError: river is not installed.
    """

    def __init__(self, signal: str, mean: float, deviation: float, faces_between_alarms: float) -> None:
        try:
            from river import drift
        except ImportError as error:
            raise missing_extra("river", "monitor", "Drift detection") from error
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
        """All changes so far, in order of detection."""
        return tuple(self._found)

    def update(self, t_s: float, value: float) -> None:
        """Process the value at ``t_s`` seconds; NaN and infinity are ignored."""
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
    """Return the threshold, in standard deviations, for a mean number of values between false alarms of the two-sided test.

    By Siegmund's approximation for independent normal values (Siegmund 1985, "Sequential analysis", 2.6), solved by bisection.

    >>> round(page_hinkley_threshold(10_000), 1)
    14.5
    """

    def run_length(threshold: float) -> float:
        reach = 2 * _TOLERATED * (threshold + _OVERSHOOT)
        return (math.exp(reach) - 1 - reach) / (2 * _TOLERATED**2) / 2  # two-sided: half of the one-sided run length

    low, high = 0.0, 200.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle) < values_between_alarms else (low, middle)
    return high
