"""The records of a stored session: its totals, tracks, time slices, transitions and events.

The database, the folder, the exports and the learning record store share them. They hold
labels and sums over time; never a frame, a crop, a landmark or an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from mien.emotions import EMOTIONS
from mien.files import is_file_name
from mien.privacy.level import Level
from mien.privacy.release import ReleasedFace, ReleasedResult
from mien.sessions.layout import YEARS

STATES: Final = ("running", "ended", "interrupted", "recovered")
"""running: not ended, or killed; interrupted: by Ctrl-C; recovered: after a kill."""
LONGEST_S: Final = 1e9
UNKNOWN_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of a session of which it is not known."""
NO_SECONDS: Final[tuple[float, ...]] = (0.0,) * len(EMOTIONS)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session in numbers.

    Attributes:
        session_id: start and a random ending; usually the name of its folder.
        started_at: its start, with a time zone.
        state: one of ``STATES``.
        source: name of the source.
        model: name of the model bundle.
        detector: name of the face detector.
        version: the version of Mien.
        folder: path of its folder, or "".
        duration_s: seconds on the source's clock, gaps and the time of the last frame included.
        frames: frames processed.
        frames_with_face: frames with at least one face.
        faces_max: largest number of faces in a frame.
        captured: frames that the source delivered.
        dropped: frames that a newer one replaced.
        readings: faces read, counted in each frame.
        uncertain: number of uncertain readings.
        unread: faces that were not read, by reason.
        policy: what could be read, "full" or "observables"; "" in old sessions.
        rule: name of the rule that decided it.
        person: the consent ledger's random name of the participant, or "".
        presence_share: share of the time with a face, 0 to 1; gaps count as absence. None in old sessions.
    """

    session_id: str
    started_at: datetime
    state: str = "running"
    source: str = ""
    model: str = ""
    detector: str = ""
    version: str = ""
    folder: str = ""
    duration_s: float = 0.0
    frames: int = 0
    frames_with_face: int = 0
    faces_max: int = 0
    captured: int = 0
    dropped: int = 0
    readings: int = 0
    uncertain: int = 0
    unread: Mapping[str, int] = field(default_factory=dict)
    policy: str = ""
    rule: str = ""
    person: str = ""
    presence_share: float | None = None

    def __post_init__(self) -> None:
        if self.started_at.tzinfo is None:
            raise ValueError(f"started_at is {self.started_at}, which has no time zone")
        if not is_file_name(self.session_id):  # it is used as a folder name
            raise ValueError(f"session_id is {self.session_id[:80]!r}, which cannot be a folder's name")
        if not 0 <= self.duration_s <= LONGEST_S or self.started_at.year not in YEARS:
            raise ValueError(f"started_at is {self.started_at} and duration_s is {self.duration_s:g}, which is out of range")
        if self.state not in STATES:
            raise ValueError(f"state is {self.state!r}; it is one of {', '.join(STATES)}")

    @property
    def has_expressions(self) -> bool:
        """Whether expressions could be read; if not, no file or view names one."""
        return self.policy != Level.OBSERVABLES.value


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """One face from its first frame to its last.

    Attributes:
        track_id: its random name.
        first_s: when it was first seen, in seconds on the source's clock.
        last_s: when it was last seen.
        readings: frames in which it was read.
        uncertain: number of uncertain readings.
        label_s: seconds by expression, in the order of ``EMOTIONS``.
        facing_s: seconds in which it faced the screen.
        away_s: seconds in which it was turned away; both are 0 if unknown.
    """

    track_id: str
    first_s: float
    last_s: float
    readings: int = 0
    uncertain: int = 0
    label_s: tuple[float, ...] = NO_SECONDS
    facing_s: float = 0.0
    away_s: float = 0.0


@dataclass(frozen=True, slots=True)
class IntervalRecord:
    """A slice of a session's time.

    Attributes:
        from_s: its start, in seconds on the source's clock.
        to_s: its end.
        label_s: seconds of face time by expression, in the order of ``EMOTIONS``.
        unread_s: seconds of face time that could not be read.
        facing_s: seconds of face time facing the screen.
        away_s: seconds of face time turned away; both are 0 if unknown.
        empty_s: seconds without any face.
    """

    from_s: float
    to_s: float
    label_s: tuple[float, ...] = NO_SECONDS
    unread_s: float = 0.0
    facing_s: float = 0.0
    away_s: float = 0.0
    empty_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """How often a face changed from one expression directly to another."""

    before: str
    after: str
    count: int


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event of a session.

    Attributes:
        t_s: time in seconds on the source's clock.
        kind: a word or two joined by hyphens ("intervention").
        track_id: the face it concerns; "" for the whole session.
        details: further values, as plain JSON values.
    """

    t_s: float
    kind: str
    track_id: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptSession:
    """A whole session: tracks, intervals and events by time, transitions by name.

    ``more`` holds further values of ``summary.json``, as plain JSON values; a database does not store them.
    """

    session: SessionRecord
    tracks: tuple[TrackRecord, ...] = ()
    intervals: tuple[IntervalRecord, ...] = ()
    transitions: tuple[TransitionRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label_s(self) -> tuple[float, ...]:
        """Seconds of face time by expression, over the whole session."""
        return tuple(sum(column) for column in zip(NO_SECONDS, *(row.label_s for row in self.intervals), strict=True))

    @property
    def face_s(self) -> float:
        """Seconds of face time in which an expression was read."""
        return sum(self.label_s)

    @property
    def seen_s(self) -> float:
        """Seconds of face time, read or not."""
        return self.face_s + sum(row.unread_s for row in self.intervals)

    @property
    def facing_share(self) -> float | None:
        """Share of face time facing the screen, 0 to 1, rounded to 4 digits; None if no pose was measured."""
        facing, away = (sum(getattr(row, name) for row in self.intervals) for name in ("facing_s", "away_s"))
        return round(facing / (facing + away), 4) if facing + away > 0 else None


@dataclass(frozen=True, slots=True)
class SeenFace:
    """One face in one frame, without its position and probabilities.

    Attributes:
        track_id: its random name.
        label: the expression shown, "" if none was read.
        uncertain: whether the label is uncertain.
        unread: why no expression was read, in a word or two; "" if one was.
        facing: whether it faces the screen; None if unknown.
    """

    track_id: str
    label: str
    uncertain: bool = False
    unread: str = ""
    facing: bool | None = None


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """All faces of one frame: the input of every count.

    Attributes:
        t_s: time of the frame in seconds.
        interval_s: the time that the frame represents, in seconds.
        faces: the faces in it.
    """

    t_s: float
    interval_s: float
    faces: tuple[SeenFace, ...]


def seen(result: ReleasedResult) -> SeenFrame:
    """Return the countable part of a released result."""
    return SeenFrame(result.t_s, result.interval_s, tuple(_seen_face(face) for face in result.faces))


def _seen_face(face: ReleasedFace) -> SeenFace:
    shown = face.expression
    if shown is None:
        return SeenFace(face.track_id, "", unread=face.unread, facing=face.facing)
    return SeenFace(face.track_id, shown.label, shown.uncertain, facing=face.facing)
