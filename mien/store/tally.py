"""Adds up what is kept of a session while it runs, or when its readings are replayed.

Sums are kept by face and by time slice, so memory is bounded whatever a session's length.
It knows what was seen in each frame: no clock, no file, no database.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.store.seen import SeenFace, SeenFrame
from mien.store.session_records import EventRecord, IntervalRecord, KeptSession, SessionRecord, TrackRecord, TransitionRecord

_MAX_SLICES: Final = 240
_UNREAD, _FACING, _AWAY, _EMPTY = range(len(EMOTIONS), len(EMOTIONS) + 4)
_COLUMNS: Final = len(EMOTIONS) + 4


@dataclass(slots=True)
class _Track:
    """Sums of one face."""

    first_s: float
    last_s: float
    label: str = ""
    readings: int = 0
    uncertain: int = 0
    seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_COLUMNS))


class Tally:
    """What a session adds up to.

    Time slices start at ``slice_s`` seconds; whenever a session outgrows 240 of them,
    neighbours are merged and slices are twice as long.

    Args:
        slice_s: length of a slice at the start, in seconds.
    """

    def __init__(self, slice_s: float = 0.5) -> None:
        self._slice_s = slice_s
        self._start_s: float | None = None
        self._end_s = 0.0
        self._slices = np.zeros((0, _COLUMNS))
        self._tracks: dict[str, _Track] = {}
        self._transitions: Counter[tuple[str, str]] = Counter()
        self._unread: Counter[str] = Counter()
        self._events: list[EventRecord] = []
        self._frames = self._frames_with_face = self._faces_max = 0

    def update(self, frame: SeenFrame) -> None:
        """Take in the next frame's faces."""
        if self._start_s is None:
            self._start_s = frame.t_s
        self._end_s = frame.t_s
        self._frames += 1
        self._frames_with_face += bool(frame.faces)
        self._faces_max = max(self._faces_max, len(frame.faces))
        row = self._slice_at(frame.t_s - self._start_s)
        if not frame.faces:
            row[_EMPTY] += frame.interval_s
        for face in frame.faces:
            row += self._add_face(face, frame)

    def add(self, event: EventRecord) -> None:
        """Take in an event."""
        self._events.append(event)

    def kept(self, session: SessionRecord) -> KeptSession:
        """Return all sums so far, ``session`` with its counts filled in; its state, captured and dropped stay as given."""
        tracks = sorted(self._tracks.items(), key=lambda item: item[1].first_s)
        counted = replace(
            session,
            duration_s=self._end_s - self._start_s if self._start_s is not None else 0.0,
            frames=self._frames,
            frames_with_face=self._frames_with_face,
            faces_max=self._faces_max,
            readings=sum(track.readings for _, track in tracks),
            uncertain=sum(track.uncertain for _, track in tracks),
            unread=dict(sorted(self._unread.items())),
        )
        return KeptSession(
            counted,
            tuple(_track_record(track_id, track) for track_id, track in tracks),
            tuple(self._interval((self._start_s or 0.0) + k * self._slice_s, row.tolist()) for k, row in enumerate(self._slices)),
            tuple(TransitionRecord(*names, count) for names, count in sorted(self._transitions.items())),
            tuple(self._events),
        )

    def _slice_at(self, since_s: float) -> NDArray[np.float64]:
        """Return the (11,) row of the slice that lies ``since_s`` after the start; slices are merged to make room."""
        at = int(max(0.0, since_s) / self._slice_s)
        while at >= _MAX_SLICES:
            padded = np.vstack([self._slices, np.zeros((len(self._slices) % 2, _COLUMNS))])
            self._slices = padded[0::2] + padded[1::2]
            self._slice_s *= 2
            at //= 2
        if at >= len(self._slices):
            self._slices = np.vstack([self._slices, np.zeros((at + 1 - len(self._slices), _COLUMNS))])
        row: NDArray[np.float64] = self._slices[at]
        return row

    def _add_face(self, face: SeenFace, frame: SeenFrame) -> NDArray[np.float64]:
        """Add a face to its track, and return the (11,) seconds it adds to its slice."""
        track = self._tracks.setdefault(face.track_id, _Track(frame.t_s, frame.t_s))
        track.last_s = frame.t_s
        seconds = np.zeros(_COLUMNS)
        if face.facing is not None:
            seconds[_FACING if face.facing else _AWAY] = frame.interval_s
        if face.unread:
            self._unread[face.unread] += 1
            seconds[_UNREAD] = frame.interval_s
        else:
            seconds[EMOTIONS.index(face.label)] = frame.interval_s
            track.readings += 1
            track.uncertain += face.uncertain
            if track.label and track.label != face.label:
                self._transitions[track.label, face.label] += 1
            track.label = face.label
        track.seconds += seconds
        return seconds

    def _interval(self, from_s: float, row: list[float]) -> IntervalRecord:
        return IntervalRecord(
            from_s, from_s + self._slice_s, tuple(row[: len(EMOTIONS)]), row[_UNREAD], row[_FACING], row[_AWAY], row[_EMPTY]
        )


def _track_record(track_id: str, track: _Track) -> TrackRecord:
    row = track.seconds.tolist()
    label_s = tuple(row[: len(EMOTIONS)])
    return TrackRecord(track_id, track.first_s, track.last_s, track.readings, track.uncertain, label_s, row[_FACING], row[_AWAY])
