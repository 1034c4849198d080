"""``summary.json``: all that is kept of a session as one JSON document, written and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.store.names import start_of
from mien.store.session_records import (
    NO_SECONDS,
    EventRecord,
    IntervalRecord,
    KeptSession,
    SessionRecord,
    TrackRecord,
    TransitionRecord,
)
from mien.store.summary import shares_by_name

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
    *("captured", "dropped", "readings", "uncertain"),
)
"""Fields of a session that stand in the document as they are."""
_OURS: Final = frozenset(
    (
        *_PLAIN,
        *("started_at", "duration_s", "interrupted", "out", "uncertain_share", "unread", "distribution", "attention"),
        *("transitions", "tracks", "timeline"),
    )
)
"""All that the document says by itself."""
_ATTENTION: Final = ("unread_s", "facing_s", "away_s", "empty_s")


def summary_document(kept: KeptSession, out: str = "") -> dict[str, Any]:
    """Return a session as plain values, with what else was said of it.

    Args:
        kept: the session, its events apart: they have a file of their own.
        out: where its files are.
    """
    session = kept.session
    seconds = _sum(kept.intervals)
    return {
        "fps": round(session.frames / max(1e-9, session.duration_s), 2),  # on the source's clock, where nobody knows better
        **kept.more,
        **{name: getattr(session, name) for name in _PLAIN},
        "started_at": session.started_at.isoformat(timespec="milliseconds"),
        "duration_s": round(session.duration_s, 3),
        "interrupted": session.state == "interrupted",
        "out": out or session.folder,
        "uncertain_share": round(session.uncertain / max(1, session.readings), 4),
        "unread": dict(session.unread),
        "distribution": _shares(kept.label_s),
        "attention": {**{name: round(value, 4) for name, value in seconds.items()}, "facing_share": facing_share(kept)},
        "transitions": _nested(kept.transitions),
        "tracks": [
            {
                "track_id": row.track_id,
                "first_s": round(row.first_s, 3),
                "last_s": round(row.last_s, 3),
                "readings": row.readings,
                "uncertain": row.uncertain,
                "face_s": round(sum(row.label_s), 4),
                "distribution": _shares(row.label_s),
                "facing_s": round(row.facing_s, 4),
                "away_s": round(row.away_s, 4),
            }
            for row in kept.tracks
        ],
        "timeline": [
            {
                "from_s": round(row.from_s, 3),
                "to_s": round(row.to_s, 3),
                "face_s": round(sum(row.label_s), 4),
                "distribution": _shares(row.label_s),
                **{name: round(getattr(row, name), 4) for name in _ATTENTION},
            }
            for row in kept.intervals
        ],
    }


def facing_share(kept: KeptSession) -> float | None:
    """Return the share of face time facing the screen, 0 to 1; None where no pose was measured."""
    facing, away = (sum(getattr(row, name) for row in kept.intervals) for name in ("facing_s", "away_s"))
    return round(facing / (facing + away), 4) if facing + away > 0 else None


def read_summary(path: Path, events: Sequence[EventRecord] = ()) -> KeptSession:
    """Return a session from its ``summary.json``; one that an older Mien wrote lacks tracks and transitions.

    Args:
        path: the document.
        events: the session's events, from their own file.

    Raises:
        DataError: the file cannot be read, or is no summary.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _kept(document, path.parent, events)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no summary of a session ({type(error).__name__}: {error})") from error


def session_of(document: Mapping[str, Any], folder: Path) -> SessionRecord:
    """Return the session itself from a document; what it does not say is taken from the folder's name and age."""
    plain = {name: document[name] for name in _PLAIN if name in document}
    if "started_at" in document:
        started_at = datetime.fromisoformat(document["started_at"])
    else:
        changed = datetime.fromtimestamp(folder.stat().st_mtime).astimezone()
        started_at = start_of(folder.name) or changed
    whole = {
        "session_id": folder.name,
        "source": "unknown",
        "state": "interrupted" if document.get("interrupted") else "ended",
    } | plain
    return SessionRecord(
        **whole,
        started_at=started_at,
        folder=str(folder),
        duration_s=float(document.get("duration_s", 0.0)),
        unread=document.get("unread", {}),
    )


def _kept(document: Mapping[str, Any], folder: Path, events: Sequence[EventRecord]) -> KeptSession:
    return KeptSession(
        session_of(document, folder),
        tuple(
            TrackRecord(
                row["track_id"], row["first_s"], row["last_s"], row["readings"], row["uncertain"], _seconds(row),
                row["facing_s"], row["away_s"],
            )
            for row in document.get("tracks", ())
        ),
        tuple(
            IntervalRecord(row["from_s"], row["to_s"], _seconds(row), *(row.get(name, 0.0) for name in _ATTENTION))
            for row in document["timeline"]
        ),
        tuple(
            TransitionRecord(before, after, int(count))
            for before, row in document.get("transitions", {}).items()
            for after, count in row.items()
        ),
        tuple(events),
        {name: value for name, value in document.items() if name not in _OURS},
    )  # fmt: skip


def _sum(intervals: Sequence[IntervalRecord]) -> dict[str, float]:
    return {name: sum(getattr(row, name) for row in intervals) for name in _ATTENTION}


def _nested(transitions: Sequence[TransitionRecord]) -> dict[str, dict[str, int]]:
    """Return counts by the expression before, and by the one after it."""
    found: dict[str, dict[str, int]] = {}
    for row in transitions:
        found.setdefault(row.before, {})[row.after] = row.count
    return found


def _shares(seconds: Sequence[float]) -> dict[str, float]:
    """Return shares by class name; all 0 for no seconds."""
    total = sum(seconds)
    return shares_by_name(np.array(seconds) / total if total > 0 else np.zeros(len(NO_SECONDS)))


def _seconds(row: Mapping[str, Any]) -> tuple[float, ...]:
    """Return seconds by expression from a row with its face time and shares."""
    return tuple(row["face_s"] * row["distribution"][name] for name in EMOTIONS)
