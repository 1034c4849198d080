"""What rules may know of a frame: one row of sums for the picture, one for each face.

Takes a frame as the pipeline gives it or as a policy released it. Without the permit nothing
of an expression is looked at, whatever the frame holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.circumplex import valence_arousal
from mien.privacy.permit import NOT_PERMITTED, ExpressionPermit
from mien.privacy.release import ReleasedFace, ReleasedResult
from mien.records import LONGEST_INTERVAL_S, FaceReading, FrameResult
from mien.states.signals import AT, COLUMNS, FAULTS

Row = NDArray[np.float64]
_MEANS: Final = ("read", "uncertain", "confidence", "valence", "arousal")


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a face shows, of a frame in either form."""

    label: str
    confidence: float
    uncertain: bool
    probabilities: Sequence[float] | NDArray[np.float32]


class Seeing:
    """Turns frames into rows; state is each face's last label, so that its changes can be counted.

    Args:
        permit: leave to look at expressions; None where there is none.
    """

    def __init__(self, permit: ExpressionPermit | None) -> None:
        self._permit = permit
        self._labels: dict[str, tuple[str, float]] = {}

    def update(self, result: FrameResult | ReleasedResult, clock_s: float) -> tuple[Row, dict[str, Row]]:
        """Return (C,) float64 of the picture, and the same of each face by its track.

        Args:
            result: the frame.
            clock_s: its time on a clock that never runs back.
        """
        seconds = min(max(result.interval_s, 0.0), LONGEST_INTERVAL_S)
        self._labels = {name: last for name, last in self._labels.items() if clock_s - last[1] <= LONGEST_INTERVAL_S}
        faces = {face.track_id: self._row(face, seconds, clock_s) for face in result.faces}
        picture = np.zeros(len(COLUMNS))
        for row in faces.values():
            picture += row
        toward = any(row[AT["toward"]] > 0 for row in faces.values())
        # these four are time of the picture, however many faces there are
        picture[: AT["face"]] = (seconds, seconds * bool(faces), seconds * (len(faces) > 1), seconds * toward)
        return picture, faces

    def _row(self, face: FaceReading | ReleasedFace, seconds: float, clock_s: float) -> Row:
        row = np.zeros(len(COLUMNS))
        facing = _facing(face)
        for name in ("watched", "present", "face"):
            row[AT[name]] = seconds
        row[AT["toward"]] = row[AT["facing"]] = seconds * bool(facing)
        row[AT["posed"]] = seconds * (facing is not None)
        if face.unread and face.unread != NOT_PERMITTED:
            row[AT["unread"]] = seconds
            if face.unread in FAULTS:
                row[AT[face.unread]] = seconds
        shown = None if self._permit is None else _shown(face)
        if shown is not None:
            last = self._labels.get(face.track_id)
            changed = last is not None and last[0] != shown.label
            self._labels[face.track_id] = shown.label, clock_s
            valence, arousal = valence_arousal(np.asarray(shown.probabilities, np.float64))
            means = (1.0, float(shown.uncertain), shown.confidence, valence, arousal)
            for name, value in zip(_MEANS, means, strict=True):
                row[AT[name]] = seconds * value
            row[AT["changes"]] = changed
            row[AT[shown.label]] = seconds
        return row


def absent(seconds: float) -> Row:
    """Return (C,) float64 of a face that is out of view while the picture is watched."""
    row = np.zeros(len(COLUMNS))
    row[AT["watched"]] = seconds
    return row


def _facing(face: FaceReading | ReleasedFace) -> bool | None:
    """Return whether a head points at the screen; None where nobody can tell."""
    if isinstance(face, ReleasedFace):
        return face.facing
    return None if face.pose is None else face.pose.faces_screen()


def _shown(face: FaceReading | ReleasedFace) -> _Shown | None:
    """Return what a face shows; None where it was not read."""
    if isinstance(face, ReleasedFace):
        given = face.expression
        return None if given is None else _Shown(given.label, given.confidence, given.uncertain, given.smoothed)
    return None if face.unread else _Shown(face.label, face.confidence, face.uncertain, face.smoothed)
