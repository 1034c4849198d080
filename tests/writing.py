"""A session that is being written, frame after frame, for tests."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from factories import reading, released
from kept_sessions import START

from mien.emotions import EMOTIONS
from mien.privacy.release import ReleasedResult
from mien.sessions.folder import SessionFolder
from mien.sessions.recorder import SessionRecorder, Sink
from mien.sessions.records import KeptSession, SessionRecord
from mien.summaries.views import write_views

BOX = (10.0, 10.0, 80.0, 100.0)
SESSION = SessionRecord("2026-03-04_09-30-00-k3f9", START, source="camera 0", model="mien-s", detector="yunet", version="0.4")


def frames(count: int, start: int = 0) -> Iterator[ReleasedResult]:
    for k in range(start, start + count):
        label = EMOTIONS[(k // 25) % 7]
        yield released(k, k / 25, [reading(label, 0.8, BOX)], 1 / 25)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.3
        return self.now_s


def recorder(folder: Path, *more: Sink) -> SessionRecorder:
    session = replace(SESSION, folder=str(folder))
    running = SessionRecorder(session, lambda: [SessionFolder(folder, KeptSession(session), write_views), *more], clock=Clock())
    running.open()
    return running


def kill(running: SessionRecorder) -> None:
    """Let go of the folder as a kill does: nothing is finished."""
    assert running._sinks is not None
    running._sinks[0].abandon()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))
