"""``summary.json``: a whole session as one JSON document, written and read back.

The sessions in folders are read from this document, so it is part of the stored session and not a view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from mien.documents import conform, field_types, load_json, record_from
from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.files import is_file_name
from mien.records import SourceHealth
from mien.sessions.events import event_document
from mien.sessions.layout import YEARS, start_of
from mien.sessions.records import (
    LONGEST_S,
    NO_SECONDS,
    UNKNOWN_START,
    EventRecord,
    IntervalRecord,
    KeptSession,
    SessionRecord,
    TrackRecord,
    TransitionRecord,
)

_PLAIN: Final = (
    *(
        "session_id",
        "state",
        "source",
        "model",
        "detector",
        "version",
        "policy",
        "rule",
        "person",
        "frames",
        "frames_with_face",
        "faces_max",
    ),
    *("captured", "dropped", "readings", "uncertain", "presence_share"),
)
"""Fields of the record that are copied into the document."""
_OURS: Final = frozenset(
    (
        *_PLAIN,
        *("started_at", "duration_s", "interrupted", "out", "uncertain_share", "unread", "distribution", "attention"),
        "facing_share",
        *("transitions", "tracks", "timeline"),
    )
)
"""Keys that the document sets itself; all others are ``KeptSession.more``."""
_OF_EXPRESSIONS: Final = frozenset(
    (
        *("distribution", "transitions", "uncertain_share"),
        *("valence", "arousal", "entropy_bits", "dwell", "episodes"),  # from ``KeptSession.more``
    )
)
"""Keys that are left out if expressions may not be read."""
MAX_SUMMARY_BYTES: Final = 64 << 20
_PROBLEMS: Final = (
    *("losses", "stalls", "lost_s", "reopenings", "black_frames"),
    *("resolution_changes", "repaired_times", "unreadable"),
)
"""Fields of a source's health that count problems."""
_ATTENTION: Final = ("unread_s", "facing_s", "away_s", "empty_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shares:
    """Fields shared by a track and a time slice; ``distribution`` is None if expressions may not be read."""

    face_s: float = 0.0
    distribution: dict[str, float] | None = None
    facing_s: float = 0.0
    away_s: float = 0.0

    def __post_init__(self) -> None:
        if self.distribution is not None and (missing := [name for name in EMOTIONS if name not in self.distribution]):
            raise ValueError(f"{missing[0]} is missing in a distribution")

    @property
    def label_s(self) -> tuple[float, ...]:
        """Seconds by expression."""
        if self.distribution is None:
            return NO_SECONDS
        return tuple(self.face_s * self.distribution[name] for name in EMOTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrackRow(_Shares):
    track_id: str
    first_s: float
    last_s: float
    readings: int
    uncertain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _IntervalRow(_Shares):
    from_s: float
    to_s: float
    unread_s: float = 0.0
    empty_s: float = 0.0

    def __post_init__(self) -> None:
        super(_IntervalRow, self).__post_init__()
        if not -LONGEST_S <= self.from_s < self.to_s <= LONGEST_S:
            raise ValueError(f"a time slice from {self.from_s:g} to {self.to_s:g} s")


@dataclass(frozen=True, slots=True)
class _RuleRow:
    """The result of a rule, as pages and texts show it."""

    kind: str
    text: str
    holds_s: float
    no_evidence_s: float
    times: int
    confidence_highest: float | None
    no_sign_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _States:
    rules: dict[str, _RuleRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Drift:
    status: str
    in_words: str


@dataclass(frozen=True, slots=True)
class _Parts:
    """The nested parts of the document."""

    timeline: list[_IntervalRow]
    tracks: list[_TrackRow] = field(default_factory=list)
    transitions: dict[str, dict[str, int]] = field(default_factory=dict)
    states: _States = field(default_factory=_States)
    drift: _Drift = _Drift("", "")


def summary_document(kept: KeptSession, out: str = "") -> dict[str, Any]:
    """Return a session as plain JSON values, without its events: they have their own file.

    If expressions may not be read, the document has no key for any: no shares and no transitions.

    Args:
        kept: the session.
        out: the session's folder; the record's folder if "".
    """
    session = kept.session
    seconds = _sum(kept.intervals)
    document = {
        # on the source's clock, unless ``more`` has a rate; a single picture has none
        "fps": round(session.frames / session.duration_s, 2) if session.frames > 1 and session.duration_s > 0 else 0.0,
        **kept.more,
        **{name: getattr(session, name) for name in _PLAIN},
        "started_at": session.started_at.isoformat(timespec="milliseconds"),
        "duration_s": round(session.duration_s, 3),
        "interrupted": session.state == "interrupted",
        "out": out or session.folder,
        "uncertain_share": round(session.uncertain / max(1, session.readings), 4),
        "unread": dict(session.unread),
        "distribution": _shares(kept.label_s),
        "facing_share": kept.facing_share,
        "attention": {**{name: round(value, 4) for name, value in seconds.items()}, "facing_share": kept.facing_share},
        "transitions": _nested(kept.transitions),
        "tracks": [
            {
                "track_id": row.track_id,
                "first_s": round(row.first_s, 3),
                "last_s": round(row.last_s, 3),
                "readings": row.readings,
                "uncertain": row.uncertain,
                **_shown(session, row.label_s),
                "facing_s": round(row.facing_s, 4),
                "away_s": round(row.away_s, 4),
            }
            for row in kept.tracks
        ],
        "timeline": [
            {
                "from_s": round(row.from_s, 3),
                "to_s": round(row.to_s, 3),
                **_shown(session, row.label_s),
                **{name: round(getattr(row, name), 4) for name in _ATTENTION},
            }
            for row in kept.intervals
        ],
    }
    if session.has_expressions:
        return document
    faces = {name: {"presence_s": face["presence_s"]} for name, face in document.get("faces", {}).items()}
    plain = {name: value for name, value in document.items() if name not in _OF_EXPRESSIONS}
    return plain | ({"faces": faces} if faces else {})


def session_document(kept: KeptSession) -> dict[str, object]:
    """Return a session with its events as one JSON document."""
    return summary_document(kept) | {"events": [event_document(event) for event in kept.events]}


def health_counts(health: SourceHealth) -> dict[str, float]:
    """Return the problems of a source by name; seconds are rounded to a tenth."""
    return {name: round(getattr(health, name), 1) for name in _PROBLEMS}


def read_summary(path: Path, events: Sequence[EventRecord] = ()) -> KeptSession:
    """Return a session from its ``summary.json``; one from an older version lacks tracks and transitions.

    Args:
        path: the file.
        events: the session's events, from their own file.

    Raises:
        DataError: the file cannot be read, or is not a summary.
    """
    try:
        document = conform(load_json(path, MAX_SUMMARY_BYTES), dict[str, Any], path.name)
        return _kept(document, path.parent, events)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error
    except ValueError as error:
        raise DataError(f"{path} is not a session summary ({error})") from error


def session_of(document: Mapping[str, Any], folder: Path) -> SessionRecord:
    """Return the record in a document; missing values are taken from the folder's name and age.

    Raises:
        ValueError: a value has the wrong type or is out of range.
    """
    known = field_types(SessionRecord)
    found = {name: conform(document[name], known[name], name) for name in (*_PLAIN, "duration_s", "unread") if name in document}
    if "started_at" in document:
        started_at = datetime.fromisoformat(conform(document["started_at"], str, "started_at"))
    else:
        changed = datetime.fromtimestamp(folder.stat().st_mtime).astimezone()
        started_at = start_of(folder.name) or (changed if changed.year in YEARS else UNKNOWN_START)
    whole: dict[str, Any] = {
        "session_id": folder.name if is_file_name(folder.name) else "unnamed",
        "source": "unknown",
        "state": "interrupted" if document.get("interrupted") else "ended",
    }
    return SessionRecord(**whole | found, started_at=started_at, folder=str(folder))


def _kept(document: Mapping[str, Any], folder: Path, events: Sequence[EventRecord]) -> KeptSession:
    parts = record_from(_Parts, document, "the summary")
    return KeptSession(
        session_of(document, folder),
        tuple(
            TrackRecord(r.track_id, r.first_s, r.last_s, r.readings, r.uncertain, r.label_s, r.facing_s, r.away_s)
            for r in parts.tracks
        ),
        tuple(IntervalRecord(r.from_s, r.to_s, r.label_s, r.unread_s, r.facing_s, r.away_s, r.empty_s) for r in parts.timeline),
        tuple(
            TransitionRecord(before, after, count) for before, row in parts.transitions.items() for after, count in row.items()
        ),
        tuple(events),
        {name: value for name, value in document.items() if name not in _OURS},
    )


def _sum(intervals: Sequence[IntervalRecord]) -> dict[str, float]:
    return {name: sum(getattr(row, name) for row in intervals) for name in _ATTENTION}


def _nested(transitions: Sequence[TransitionRecord]) -> dict[str, dict[str, int]]:
    """Return counts by the expression before and the one after."""
    found: dict[str, dict[str, int]] = {}
    for row in transitions:
        found.setdefault(row.before, {})[row.after] = row.count
    return found


def _shown(session: SessionRecord, label_s: Sequence[float]) -> dict[str, Any]:
    """Return face time and its shares by expression; nothing if expressions may not be read."""
    return {"face_s": round(sum(label_s), 4), "distribution": _shares(label_s)} if session.has_expressions else {}


def _shares(seconds: Sequence[float]) -> dict[str, float]:
    """Return shares by class name; all 0 for no seconds."""
    total = sum(seconds)
    return {name: round(value / total, 4) if total > 0 else 0.0 for name, value in zip(EMOTIONS, seconds, strict=True)}
