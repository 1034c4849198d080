"""Named signals for rules: shares and means over a window.

A signal is a quotient of two sums over time, so its value does not depend on window length or frame
rate. Sums are columns of one array, which this module defines.
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
"""Reasons for unread faces, and the signals that count them."""
COLUMNS: Final = (
    *("watched", "present", "several", "toward"),
    *("face", "posed", "facing", "unread", *FAULTS),
    *("read", "uncertain", "confidence", "valence", "arousal", "changes", *EMOTIONS),
)
"""Seconds watched, and with a face, with several faces, with a head towards the screen; face seconds in total, with a known
pose, facing the screen, unread and by reason; face seconds read, uncertain, times confidence, valence and arousal; label
changes; face seconds by label."""
AT: Final[Mapping[str, int]] = {name: number for number, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True)
class Signal:
    """A number that conditions of rules can use.

    Attributes:
        name: name in rules files.
        meaning: description.
        of: column of the numerator.
        per: column of the denominator; the signal is unknown where it is 0.
        low: smallest value.
        high: largest value, or for a rate a high value.
        adds_with: group of mutually exclusive signals that can be added; "" for none.
        scale: factor applied to the quotient.
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
        """Whether it needs expressions."""
        return self.per == "read"


_FACE_TIME: Final = "share of face time in which the face was"
_SHOWN: Final = "share of the readable time in which the face was labelled"
SIGNALS: Final[Mapping[str, Signal]] = {
    signal.name: signal
    for signal in (
        Signal("present_share", "share of the time in which a face was in view", "present", "watched"),
        Signal("several_share", "share of the time in which more than one face was in view", "several", "watched"),
        Signal("screen_share", "share of the time in which a head pointed at the screen", "toward", "watched"),
        Signal("facing_share", "share of the face time with known pose in which the face faced the screen", "facing", "posed"),
        Signal("unread_share", "share of face time in which the face could not be read, for any reason", "unread", "face"),
        *(Signal(name, f"{_FACE_TIME} {fault}", fault, "face", adds_with="faults") for fault, name in FAULTS.items()),
        Signal("confidence", "mean confidence of the readings", "confidence", "read"),
        Signal("uncertain_share", "share of the readable time in which the reading was uncertain", "uncertain", "read"),
        Signal("valence", "mean pleasantness of what the face showed, -1 to 1", "valence", "read", -1.0),
        Signal("arousal", "mean activation of what the face showed, -1 to 1", "arousal", "read", -1.0),
        Signal("label_changes_per_min", "label changes per minute of readable time", "changes", "read", high=60, scale=60),
        *(Signal(f"{label}_share", f"{_SHOWN} {label}", label, "read", adds_with="expressions") for label in EMOTIONS),
    )
}
"""All signals by name."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A signal, or the sum of mutually exclusive signals."""

    signals: tuple[Signal, ...]

    @property
    def text(self) -> str:
        """The measure as written in a rules file."""
        return " + ".join(signal.name for signal in self.signals)

    @property
    def low(self) -> float:
        """The minimum value."""
        return self.signals[0].low

    @property
    def high(self) -> float:
        """The maximum value; for a rate, a high value."""
        return self.signals[0].high

    @property
    def bounded(self) -> bool:
        """Whether the value cannot exceed ``high``."""
        return self.signals[0].scale == 1

    @property
    def needs_expressions(self) -> bool:
        """Whether it needs expressions."""
        return any(signal.needs_expressions for signal in self.signals)

    def value(self, sums: NDArray[np.float64]) -> float:
        """Return the value computed from (C,) sums of ``COLUMNS``; NaN if the denominator is 0."""
        base = float(sums[AT[self.signals[0].per]])
        if base <= 0:
            return math.nan
        return float(sum(sums[AT[signal.of]] * signal.scale for signal in self.signals)) / base
