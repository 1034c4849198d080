"""The counts of a session: presence, expressions, transitions, head direction.

Screen, summaries, database and recovery use these numbers. Sums are stored by face and by
time slice, so memory does not grow with the length of a session. There is no clock and no file
here: replaying the observations of a session gives the same numbers.

A frame represents at most one second (``mien.records.LONGEST_INTERVAL_S``). Time that no frame
represents counts as absence.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.sessions.episodes import Episodes
from mien.sessions.records import (
    EventRecord,
    IntervalRecord,
    KeptSession,
    SeenFace,
    SeenFrame,
    SessionRecord,
    TrackRecord,
    TransitionRecord,
)

_MAX_SLICES: Final = 240
_UNREAD, _FACING, _AWAY, _EMPTY = range(len(EMOTIONS), len(EMOTIONS) + 4)
_COLUMNS: Final = len(EMOTIONS) + 4
_FACES_TOLD: Final = 64
"""The summary lists this many faces; the time of later ones is added up under ``_OTHERS``."""
_OTHERS: Final = "others"


@dataclass(slots=True)
class _Track:
    """Sums of one face."""

    first_s: float
    last_s: float
    readings: int = 0
    uncertain: int = 0
    presence_s: float = 0.0
    seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_COLUMNS))


class Tally:
    """Counts and sums over the frames of a session.

    Time slices start at ``slice_s`` seconds; whenever a session outgrows 240 of them,
    neighbours are merged and slices are twice as long.

    Args:
        slice_s: length of a slice at the start, in seconds.

    Attributes:
        frames: frames so far.
        frames_with_face: frames with at least one face.
        faces_max: most faces in one frame.
        facing_now: whether a head in the newest frame faces the screen; None if no pose is known.
    """

    def __init__(self, slice_s: float = 0.5) -> None:
        self.frames = self.frames_with_face = self.faces_max = 0
        self.facing_now: bool | None = None
        self._slice_s = slice_s
        self._start_s: float | None = None
        self._last: SeenFrame | None = None
        self._present_s = 0.0
        self._slices = np.zeros((0, _COLUMNS))
        self._tracks: dict[str, _Track] = {}
        self._episodes = Episodes()
        self._unread: Counter[str] = Counter()
        self._events: list[EventRecord] = []
        self._label_s_at_reset = np.zeros(len(EMOTIONS))

    def update(self, frame: SeenFrame) -> None:
        """Count the next frame."""
        if self._start_s is None:
            self._start_s = frame.t_s
        if self._last is not None:
            # a recorded frame represents the time after it, a live one the time before it
            missed_s = frame.t_s - self._last.t_s - max(self._last.interval_s, frame.interval_s)
            if missed_s > 0:
                self._add_absence(frame.t_s - missed_s, frame.t_s)
        self._last = frame
        self.frames += 1
        self.frames_with_face += bool(frame.faces)
        self.faces_max = max(self.faces_max, len(frame.faces))
        row = self._slice_at(frame.t_s - self._start_s)
        if frame.faces:
            self._present_s += frame.interval_s
        else:
            row[_EMPTY] += frame.interval_s
        for face in frame.faces:
            row += self._add_face(face, frame)
        self._episodes.update(frame)
        poses = [face.facing for face in frame.faces if face.facing is not None]
        self.facing_now = any(poses) if poses else None

    def add_absence_until(self, duration_s: float) -> None:
        """Count the time from the last frame until the session has lasted ``duration_s`` seconds as absence."""
        missed_s = duration_s - self.elapsed_s
        if missed_s > 0:
            self._start_s = self._start_s or 0.0
            end_s = self._start_s + duration_s
            self._add_absence(end_s - missed_s, end_s)

    def add(self, event: EventRecord) -> None:
        """Add an event."""
        self._events.append(event)

    @property
    def elapsed_s(self) -> float:
        """Duration on the source's clock in seconds: the time that frames represent, and the gaps between them."""
        return float(self._present_s + self._slices[:, _EMPTY].sum())

    @property
    def label_s(self) -> NDArray[np.float64]:
        """(7,) seconds of face time by label."""
        return np.asarray(self._slices[:, : len(EMOTIONS)].sum(axis=0))

    @property
    def facing_share(self) -> float:
        """Share of the face time with a known pose in which the head faced the screen; NaN if there is none."""
        facing_s, away_s = self._slices[:, _FACING].sum(), self._slices[:, _AWAY].sum()
        return float(facing_s / (facing_s + away_s)) if facing_s + away_s > 0 else math.nan

    @property
    def presence_share(self) -> float:
        """Share of the time with a face, 0 to 1; gaps count as absence. 0 at the start."""
        return self._present_s / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def reset_screen(self) -> None:
        """Restart the distribution on screen; all other counts continue."""
        self._label_s_at_reset = self.label_s

    def now(self, silent: bool) -> dict[str, Any]:
        """Return the fields of a :class:`mien.records.Snapshot` that are counted here.

        Args:
            silent: whether the source delivers no frames, so that current values are unknown.
        """
        shown_s = self.label_s - self._label_s_at_reset
        return {
            "distribution": shown_s / shown_s.sum() if shown_s.sum() > 0 else np.zeros(len(EMOTIONS)),
            "elapsed_s": self.elapsed_s,
            "frames": self.frames,
            "frames_with_face": self.frames_with_face,
            "faces_max": self.faces_max,
            "facing_now": None if silent else self.facing_now,
            "facing_share": self.facing_share,
            "presence_share": self.presence_share,
        }

    def kept(self, session: SessionRecord) -> KeptSession:
        """Return the session so far: ``session`` with its counts filled in, and all sums."""
        tracks = sorted(self._tracks.items(), key=lambda item: item[1].first_s)
        counted = replace(
            session,
            duration_s=self.elapsed_s,
            frames=self.frames,
            frames_with_face=self.frames_with_face,
            faces_max=self.faces_max,
            readings=sum(track.readings for _, track in tracks),
            uncertain=sum(track.uncertain for _, track in tracks),
            unread=dict(sorted(self._unread.items())),
            presence_share=round(self.presence_share, 4),
        )
        moves = self._episodes.transitions
        return KeptSession(
            counted,
            tuple(_track_record(track_id, track) for track_id, track in tracks),
            tuple(self._interval((self._start_s or 0.0) + k * self._slice_s, row.tolist()) for k, row in enumerate(self._slices)),
            tuple(TransitionRecord(EMOTIONS[i], EMOTIONS[j], int(moves[i, j])) for i, j in np.argwhere(moves)),
            tuple(self._events),
            self._facts(),
        )

    def _facts(self) -> dict[str, Any]:
        """Return the values of the summary that are not in any record, as plain JSON values."""
        faces: dict[str, dict[str, Any]] = {}
        for number, (name, track) in enumerate(self._tracks.items()):
            face = faces.setdefault(name if number < _FACES_TOLD else _OTHERS, {"presence_s": 0.0, "read_s": 0.0, "label_s": {}})
            face["presence_s"] += track.presence_s
            for label, seconds in zip(EMOTIONS, track.seconds.tolist(), strict=False):
                if seconds:
                    face["read_s"] += seconds
                    face["label_s"][label] = face["label_s"].get(label, 0.0) + seconds
        return {
            "dwell": {
                name: {key: round(value, 3) for key, value in times.items()} for name, times in self._episodes.dwell.items()
            },
            "episodes": [
                {"track_id": e.track_id, "label": e.label, "start_s": round(e.start_s, 3), "end_s": round(e.end_s, 3)}
                for e in self._episodes.episodes
            ],
            "faces": {
                name: {
                    "presence_s": round(face["presence_s"], 3),
                    "read_s": round(face["read_s"], 3),
                    "label_s": {label: round(seconds, 3) for label, seconds in face["label_s"].items()},
                }
                for name, face in faces.items()
            },
        }

    def _slice_at(self, since_s: float) -> NDArray[np.float64]:
        """Return the (11,) row of the slice at ``since_s`` seconds after the start; slices are merged if necessary."""
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

    def _add_absence(self, from_s: float, to_s: float) -> None:
        """Add time without frames to its slices."""
        assert self._start_s is not None
        from_s, to_s = from_s - self._start_s, to_s - self._start_s
        self._slice_at(to_s)
        edges = self._slice_s * np.arange(len(self._slices) + 1)
        self._slices[:, _EMPTY] += np.clip(np.minimum(edges[1:], to_s) - np.maximum(edges[:-1], from_s), 0.0, None)

    def _add_face(self, face: SeenFace, frame: SeenFrame) -> NDArray[np.float64]:
        """Add a face to its track, and return its seconds for the slice, shape (11,)."""
        track = self._tracks.setdefault(face.track_id, _Track(frame.t_s, frame.t_s))
        track.last_s = frame.t_s
        track.presence_s += frame.interval_s
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
