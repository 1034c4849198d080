"""What is kept of a session when its frames are gone: totals, tracks, time slices, events.

These records are what the database, the session's folder, the exports and the learning
record store have in common. They hold sums over time and never a frame, a crop, a landmark
or an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from mien.emotions import EMOTIONS

STATES: Final = ("running", "ended", "interrupted", "recovered")
"""running: not over, or killed; interrupted: by Ctrl-C; recovered: put together after a kill."""
NO_SECONDS: Final[tuple[float, ...]] = (0.0,) * len(EMOTIONS)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session in numbers.

    Attributes:
        session_id: its start and a random ending; the name of its folder.
        started_at: when it began, with a time zone.
        state: one of ``STATES``.
        source: what was watched, for people.
        model: name of the model bundle.
        detector: name of the face detector.
        version: the version of Mien.
        folder: where its files are, "" where it has none.
        duration_s: time passed on the source's clock.
        frames: frames processed.
        frames_with_face: frames with at least one face.
        faces_max: most faces in one frame.
        captured: frames the source delivered.
        dropped: frames that a newer one replaced.
        readings: faces read, one a face a frame.
        uncertain: readings that were guesses.
        unread: faces seen and not read, by the reason why.
        policy: what could be read, "full" or "observables"; "" where an older Mien did not say.
        rule: name of the rule that decided it.
        person: the consent ledger's random name of the person, "" where nobody noted one.
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

    def __post_init__(self) -> None:
        if self.started_at.tzinfo is None:
            raise ValueError(f"started_at is {self.started_at}, which names no time zone")
        if self.state not in STATES:
            raise ValueError(f"state is {self.state!r}; it is one of {', '.join(STATES)}")


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """One face, followed from its first frame to its last.

    Attributes:
        track_id: its random name.
        first_s: when it was first seen, in seconds on the source's clock.
        last_s: when it was last seen.
        readings: frames in which it was read.
        uncertain: readings that were guesses.
        label_s: seconds by expression, in the order of ``EMOTIONS``.
        facing_s: seconds in which it faced the screen.
        away_s: seconds in which it was turned away; where neither is known, both are 0.
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
        away_s: seconds of face time turned away; where neither is known, both are 0.
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
    """How often a face went from one expression straight to another."""

    before: str
    after: str
    count: int


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened at one moment.

    Attributes:
        t_s: when, in seconds on the source's clock.
        kind: what, in a word or two joined by hyphens ("intervention").
        track_id: the face it concerns, "" for the session as a whole.
        details: more of it, as plain JSON values.
    """

    t_s: float
    kind: str
    track_id: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptSession:
    """All that is kept of one session; tracks, intervals and events in the order of their times, transitions by name.

    ``more`` is what else the summary of its folder says, as plain values; a database does not keep it.
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
