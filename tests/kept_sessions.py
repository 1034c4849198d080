"""Hand-made records of sessions as they are kept, every value known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.emotions import EMOTIONS
from mien.sessions.records import EventRecord, IntervalRecord, KeptSession, SessionRecord, TrackRecord, TransitionRecord

START = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
FOLDER = str(Path("results/s1").absolute())


def seconds(**by_name: float) -> tuple[float, ...]:
    """Return (7,) seconds by expression, 0 where none are given."""
    return tuple(by_name.get(name, 0.0) for name in EMOTIONS)


def kept(session_id: str = "s1", events: int = 2, **changes: Any) -> KeptSession:
    """Return a session of two faces in 12.5 seconds, with ``changes`` to any field of its ``SessionRecord``."""
    session = SessionRecord(
        session_id, START, "running", "camera 0", "mien-s", "yunet", "0.4", FOLDER, 12.5, 300, 290, 2, 320, 20, 285, 12,
        {"too small": 4},
    )  # fmt: skip
    return KeptSession(
        replace(session, **changes),
        (TrackRecord("k3f9", 0.0, 12.0, 280, 12, seconds(happy=8.25, sad=3), 9.5, 0.25), TrackRecord("a0c1", 4.0, 5.0)),
        (IntervalRecord(0.0, 10.0, seconds(happy=8.25), 0.5, 8, 1, 0.75), IntervalRecord(10.0, 12.5, seconds(sad=3))),
        (TransitionRecord("happy", "sad", 3), TransitionRecord("sad", "happy", 2)),
        tuple(
            EventRecord(float(k), "intervention", "k3f9", {"rule": "pause", "n": [k, None], "tür": "ü"}) for k in range(events)
        ),
    )
