"""Signals of a frame for the rules: one row for the picture and one per face.

Frames come from the pipeline or as released by a policy. Without a permit expressions are not used, even
if the frame contains them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.circumplex import valence_arousal
from mien.privacy.policy import NOT_PERMITTED, ExpressionPermit
from mien.privacy.release import ReleasedFace, ReleasedResult
from mien.records import LONGEST_INTERVAL_S, FaceReading, FrameResult
from mien.states.signals import AT, COLUMNS, FAULTS

Row = NDArray[np.float64]
_MEANS: Final = ("read", "uncertain", "confidence", "valence", "arousal")


@dataclass(frozen=True, slots=True)
class _Expression:
    """Expression of a face, from a frame in either form."""

    label: str
    confidence: float
    uncertain: bool
    probabilities: Sequence[float] | NDArray[np.float32]


class SignalExtractor:
    """Converts frames to rows of signals. Remembers the last label of each face to count label changes.

    Args:
        permit: permit to use expressions; None without one.
    """

    def __init__(self, permit: ExpressionPermit | None) -> None:
        self._permit = permit
        self._labels: dict[str, tuple[str, float]] = {}

    def update(self, result: FrameResult | ReleasedResult, clock_s: float) -> tuple[Row, dict[str, Row]]:
        """Return the (C,) float64 row of the picture, and of each face by track id.

        Args:
            result: the frame.
            clock_s: its time on a monotonic clock, in seconds.
        """
        seconds = min(max(result.interval_s, 0.0), LONGEST_INTERVAL_S)
        self._labels = {name: last for name, last in self._labels.items() if clock_s - last[1] <= LONGEST_INTERVAL_S}
        faces = {face.track_id: self._row(face, seconds, clock_s) for face in result.faces}
        picture = np.zeros(len(COLUMNS))
        for row in faces.values():
            picture += row
        toward = any(row[AT["toward"]] > 0 for row in faces.values())
        # these four columns refer to the picture and do not depend on the number of faces
        picture[: AT["face"]] = (seconds, seconds * bool(faces), seconds * (len(faces) > 1), seconds * toward)
        return picture, faces

    def _row(self, face: FaceReading | ReleasedFace, seconds: float, clock_s: float) -> Row:
        row = np.zeros(len(COLUMNS))
        facing = face.facing
        for name in ("watched", "present", "face"):
            row[AT[name]] = seconds
        row[AT["toward"]] = row[AT["facing"]] = seconds * bool(facing)
        row[AT["posed"]] = seconds * (facing is not None)
        if face.unread and face.unread != NOT_PERMITTED:
            row[AT["unread"]] = seconds
            if face.unread in FAULTS:
                row[AT[face.unread]] = seconds
        expression = None if self._permit is None else _expression_of(face)
        if expression is not None:
            last = self._labels.get(face.track_id)
            changed = last is not None and last[0] != expression.label
            self._labels[face.track_id] = expression.label, clock_s
            valence, arousal = valence_arousal(np.asarray(expression.probabilities, np.float64))
            means = (1.0, float(expression.uncertain), expression.confidence, valence, arousal)
            for name, value in zip(_MEANS, means, strict=True):
                row[AT[name]] = seconds * value
            row[AT["changes"]] = changed
            row[AT[expression.label]] = seconds
        return row


def absent(seconds: float) -> Row:
    """Return the (C,) float64 row of a face that is out of view for ``seconds``."""
    row = np.zeros(len(COLUMNS))
    row[AT["watched"]] = seconds
    return row


def _expression_of(face: FaceReading | ReleasedFace) -> _Expression | None:
    """Return the expression of a face; None if it was not read."""
    if isinstance(face, ReleasedFace):
        found = face.expression
        return None if found is None else _Expression(found.label, found.confidence, found.uncertain, found.smoothed)
    return None if face.unread else _Expression(face.label, face.confidence, face.uncertain, face.smoothed)
