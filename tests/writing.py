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
from mien.store.keeper import SessionKeeper
from mien.store.session_folder import SessionFolder
from mien.store.session_records import KeptSession, SessionRecord
from mien.store.sinks import Sink

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


def keeper(folder: Path, *more: Sink) -> SessionKeeper:
    session = replace(SESSION, folder=str(folder))
    return SessionKeeper(session, [SessionFolder(folder, KeptSession(session)), *more], clock=Clock())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))
