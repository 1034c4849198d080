"""What a rule can ask about: shares and means over a window, by name.

A signal is a quotient of two sums over time, so windows of any length and frames of any rate
give the same value. Sums stand in one array with a column each; this module knows what the
columns mean, and nothing of frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS

FAULTS: Final[Mapping[str, str]] = {
    "too small": "too_small_share",
    "too dark": "too_dark_share",
    "too flat": "too_flat_share",
    "turned away": "turned_away_share",
    "blurred": "blurred_share",
}
"""Why a face was not read, and the signal that counts it."""
COLUMNS: Final = (
    *("watched", "present", "several", "toward"),
    *("face", "posed", "facing", "unread", *FAULTS),
    *("read", "uncertain", "confidence", "valence", "arousal", "changes", *EMOTIONS),
)
"""Seconds watched, and of these with a face, with several, with a head towards the screen; face seconds in all, with a
known pose, facing, not read and why; face seconds read, guessed, times confidence, valence and arousal; changes of the
label; face seconds by label."""
AT: Final[Mapping[str, int]] = {name: number for number, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True)
class Signal:
    """A number a rule can ask about.

    Attributes:
        name: as it stands in a rules file.
        meaning: in plain words.
        of: the column above.
        per: the column below; where it is 0 the signal is unknown.
        low: the least it can be.
        high: the most it can be, or for a rate what counts as much.
        adds_with: signals of the same word exclude one another, so their sum has a meaning; "" for none.
        scale: what the quotient is multiplied with.
    """

    name: str
    meaning: str
    of: str
    per: str
    low: float = 0.0
    high: float = 1.0
    adds_with: str = ""
    scale: float = 1.0

    @property
    def needs_expressions(self) -> bool:
        """Whether it can be known only where expressions may be read."""
        return self.per == "read"


_FACE_TIME: Final = "share of face time in which the face was"
_SHOWN: Final = "share of the readable time in which the face was labelled"
SIGNALS: Final[Mapping[str, Signal]] = {
    signal.name: signal
    for signal in (
        Signal("present_share", "share of the time in which a face was in view", "present", "watched"),
        Signal("several_share", "share of the time in which more than one face was in view", "several", "watched"),
        Signal("screen_share", "share of the time in which a head pointed at the screen", "toward", "watched"),
        Signal("facing_share", "the same, but only of the face time in which the head's pose is known", "facing", "posed"),
        Signal("unread_share", "share of face time in which the face could not be read, whatever the reason", "unread", "face"),
        *(Signal(name, f"{_FACE_TIME} {fault}", fault, "face", adds_with="faults") for fault, name in FAULTS.items()),
        Signal("confidence", "mean confidence of the readings", "confidence", "read"),
        Signal("uncertain_share", "share of the readable time in which the reading was a guess", "uncertain", "read"),
        Signal("valence", "mean pleasantness of what the face showed, -1 to 1", "valence", "read", -1.0),
        Signal("arousal", "mean activation of what the face showed, -1 to 1", "arousal", "read", -1.0),
        Signal("label_changes_per_min", "changes of the label a minute of readable time", "changes", "read", high=60, scale=60),
        *(Signal(f"{label}_share", f"{_SHOWN} {label}", label, "read", adds_with="expressions") for label in EMOTIONS),
    )
}
"""All there are, by name."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A signal, or the sum of several that exclude one another."""

    signals: tuple[Signal, ...]

    @property
    def text(self) -> str:
        """As it stands in a rules file."""
        return " + ".join(signal.name for signal in self.signals)

    @property
    def low(self) -> float:
        """The least it can be."""
        return self.signals[0].low

    @property
    def high(self) -> float:
        """The most it can be; for a rate, what counts as much."""
        return self.signals[0].high

    @property
    def bounded(self) -> bool:
        """Whether it cannot exceed ``high``."""
        return self.signals[0].scale == 1

    @property
    def needs_expressions(self) -> bool:
        """Whether it can be known only where expressions may be read."""
        return any(signal.needs_expressions for signal in self.signals)

    def value(self, sums: NDArray[np.float64]) -> float:
        """Return its value over (C,) sums as in ``COLUMNS``; NaN where there was no time to take it over."""
        base = float(sums[AT[self.signals[0].per]])
        if base <= 0:
            return math.nan
        return float(sum(sums[AT[signal.of]] * signal.scale for signal in self.signals)) / base
