"""Parses and validates the message that a learner's page sends.

    {"number": 12, "measured_s": 9.8, "facing_s": 9.1, "expression_s": {"happy": 1.2, "neutral": 8.6}, "signal": "lost"}

A message contains no time and no name. The server's clock decides to which bin it belongs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.privacy.lesson_bins import SIGNALS

INTERVAL_S: Final = 10
"""Seconds between two messages; also the longest time that one message can count."""
MAX_BYTES: Final = 300
MAX_NUMBER: Final = 100_000
_TOLERANCE_S: Final = 2.0
"""Timers of pages fire late, so a message may cover slightly more than the interval; longer times are scaled down to it."""
_KEYS: Final = frozenset({"number", "measured_s", "facing_s", "expression_s", "signal"})
_PLACES: Final = {name: place for place, name in enumerate(EMOTIONS)}


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A valid message.

    Attributes:
        number: sequence number of the message, from 1; it increases with each message of a participant.
        measured_ms: milliseconds in which a face was measured, at most the interval.
        facing_ms: part of ``measured_ms`` facing the screen.
        expression_ms: part of ``measured_ms`` by expression, in the order of ``EMOTIONS``; None if not sent.
        signal: index in ``SIGNALS``; -1 for none.
    """

    number: int
    measured_ms: int
    facing_ms: int
    expression_ms: tuple[int, ...] | None
    signal: int


def parse_message(body: bytes) -> SentMessage:
    """Parse the message in a request body.

    Raises:
        DataError: the message is too long, is not JSON, or has unknown keys or invalid values.
    """
    if len(body) > MAX_BYTES:
        raise DataError(f"the message has more than {MAX_BYTES} bytes")
    try:
        values = json.loads(body, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise DataError("the message is not valid JSON") from error
    if not isinstance(values, dict):
        raise DataError("the message is not a JSON object")
    if unknown := values.keys() - _KEYS:
        raise DataError(f"the message has the unknown key {min(unknown)[:20]!r}")
    number = values.get("number")
    if type(number) is not int or not 1 <= number <= MAX_NUMBER:
        raise DataError(f"number must be a whole number from 1 to {MAX_NUMBER}")
    measured_s = _seconds(values.get("measured_s", 0), "measured_s", INTERVAL_S + _TOLERANCE_S)
    facing_s = _seconds(values.get("facing_s", 0), "facing_s", measured_s)
    scale = 1000 * min(1.0, INTERVAL_S / measured_s) if measured_s else 1000.0
    expression_ms = None
    if "expression_s" in values:
        expression_ms = _expressions(values["expression_s"], measured_s, scale)
    signal = values.get("signal")
    if signal is not None and signal not in SIGNALS:
        raise DataError(f"signal must be one of {', '.join(SIGNALS)}")
    if not measured_s and signal is None:
        raise DataError("the message is empty: no face was measured, and there is no signal")
    at = -1 if signal is None else SIGNALS.index(signal)
    return SentMessage(number, round(measured_s * scale), round(facing_s * scale), expression_ms, at)


def _expressions(values: Any, measured_s: float, scale: float) -> tuple[int, ...]:
    if not isinstance(values, dict) or not values.keys() <= _PLACES.keys():
        raise DataError("expression_s must be an object of seconds by expression")
    milliseconds = [0] * len(EMOTIONS)
    total_s = 0.0
    for name, value in values.items():
        seconds = _seconds(value, f"expression_s.{name}", measured_s)
        total_s += seconds
        milliseconds[_PLACES[name]] = round(seconds * scale)
    if total_s > measured_s + 0.5:  # tolerance for seven rounded numbers
        raise DataError("the seconds in expression_s add up to more than measured_s")
    return tuple(milliseconds)


def _seconds(value: Any, name: str, most: float) -> float:
    if type(value) not in (int, float) or not 0 <= value <= most + 0.1:
        raise DataError(f"{name} must be a number of seconds from 0 to {most:g}")
    return float(value)


def _refuse(name: str) -> float:
    raise ValueError(name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found
