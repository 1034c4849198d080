"""A stream with gaps, turns and several faces gives the same numbers wherever a session is shown or kept."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import frame, reading
from kept_sessions import START, seconds
from rich.console import Console

from mien.drawing import Canvas
from mien.emotions import EMOTIONS
from mien.insight import Insight
from mien.privacy.policy import decide
from mien.privacy.release import release
from mien.records import FaceReading, FrameResult, HeadPose, Snapshot
from mien.sessions.archive import Archive
from mien.sessions.database import Database
from mien.sessions.database_sink import DatabaseSink
from mien.sessions.document import summary_document
from mien.sessions.folder import SessionFolder
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import KeptSession, SessionRecord
from mien.summaries.text import session_text, summary_text
from mien.summaries.views import write_views
from mien.views.dashboard import render
from mien.views.terminal import draw
from mien.vision.pose import FacingFilter

NAME = "2026-03-04_09-30-00-k3f9"
BOX = (10.0, 10.0, 80.0, 100.0)


def face(label: str, yaw_deg: float, track_id: str = "k3f9") -> FaceReading:
    return replace(reading(label, 0.8, BOX, track_id), pose=HeadPose(yaw_deg, 0.0, 0.0), facing=None)


def stream() -> Iterator[FrameResult]:
    """Yield 4 s of one face, 2 s of two, 1 s of nobody, a gap of 9.9 s, and 2 s of a head at the limit.

    By hand: 8 s present of 18.9 s (42.3%); facing 6 + 2 of 10 s (80%), since a head that has turned away once stays
    away at 30 degrees; one transition, from happy to sad.
    """
    frames = [(k, [face("happy", 0.0)]) for k in range(20)]
    frames += [(k, [face("sad", 0.0)]) for k in range(20, 40)]
    frames += [(k, [face("sad", 0.0), face("neutral", 5.0, "b2")]) for k in range(40, 60)]
    frames += [(k, []) for k in range(60, 70)]
    frames += [(k, [face("happy", 40.0 if k % 2 else 30.0)]) for k in range(169, 189)]
    for index, (at, faces) in enumerate(frames):
        yield FrameResult(index, at / 10, (640, 480), tuple(faces), 0.1)


class Told:
    """What was drawn as text, and everything that a session is shown and kept as."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._drawn: list[str] = []
        drawn, write = self._drawn, Canvas.text

        def text(canvas: Canvas, x: float, y: float, words: str, *more: Any, **named: Any) -> float:
            drawn.append(words)
            return write(canvas, x, y, words, *more, **named)

        monkeypatch.setattr(Canvas, "text", text)  # it draws, and says what
        policy = decide(None)
        record = SessionRecord(NAME, START, source="a lesson", model="mien-s", folder=str(folder / NAME), policy="full")
        self.database = Database(f"sqlite:///{folder / 'sessions.db'}")
        recorder = SessionRecorder(
            record, lambda: [SessionFolder(folder / NAME, KeptSession(record), write_views), DatabaseSink(self.database)]
        )
        insight, facing = Insight(None, False, policy, None), FacingFilter()
        for each in stream():
            result = facing.update(each)
            released = release(policy, result)
            recorder.update(released)
            insight.update(result, released)
        now = {**insight.now(False), **recorder.tally.now(False)}
        self.snapshot = Snapshot(
            result=FrameResult(0, 0.0, (640, 480), ()), source="a lesson", detector="YuNet", model="mien-s", captured_fps=10.0,
            processed_fps=10.0, dropped=0, paused=False, notice="", **now,
        )  # fmt: skip
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(draw(self.snapshot, 120))
        console.print(draw(replace(self.snapshot, expressions=False), 120))
        self.terminal = console.export_text()
        render(frame(), self.snapshot, (1100, 620))
        render(frame(), replace(self.snapshot, expressions=False), (1100, 620))
        self.window = " | ".join(self._drawn)
        self._drawn.clear()
        kept = recorder.finish("ended", {"source_health": {}, **insight.facts()})
        self.picture = " | ".join(self._drawn)
        self.end = summary_text({**summary_document(kept), "files": [], "missing": [], "source_health": _NO_TROUBLE})
        self.json = json.loads((folder / NAME / "summary.json").read_text())
        self.page = (folder / NAME / "summary.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
        archive = Archive(folder)
        self.show = session_text(archive.load(archive.find(NAME), write_views), [], "")
        database = Database(f"sqlite:///{folder / 'sessions.db'}")
        loaded = database.load(NAME)
        database.close()
        assert loaded is not None
        self.stored = loaded
        self.show_database = session_text(loaded, [], "")


_NO_TROUBLE = dict.fromkeys(
    ("losses", "stalls", "lost_s", "reopenings", "black_frames", "resolution_changes", "repaired_times", "unreadable"), 0
)


def test_every_view_and_file_gives_the_numbers_made_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(tmp_path, monkeypatch)
    snapshot, document = told.snapshot, told.json
    assert (snapshot.frames, snapshot.frames_with_face, snapshot.faces_max) == (90, 80, 2)
    assert snapshot.presence_share == pytest.approx(8 / 18.9, abs=1e-3)
    assert snapshot.facing_share == pytest.approx(0.8)
    assert not math.isnan(snapshot.facing_share)

    presence, facing = "42", "80"
    shares = dict(zip(EMOTIONS, (40 * s for s in seconds(happy=0.1, sad=0.1, neutral=0.05)), strict=True))
    assert {name: round(10 * value, 3) for name, value in document["distribution"].items()} == shares
    assert dict(zip(EMOTIONS, (10 * snapshot.distribution).round(3), strict=True)) == pytest.approx(shares)
    assert (document["presence_share"], document["facing_share"]) == (pytest.approx(0.423, abs=1e-3), 0.8)
    assert document["attention"]["facing_share"] == 0.8
    assert document["transitions"] == {"happy": {"sad": 1}}
    assert sum(row["empty_s"] for row in document["timeline"]) == pytest.approx(10.9, abs=1e-2)

    assert f"face in view {presence}% of the time" in told.terminal
    assert f"({facing}% of the time)" in told.terminal
    assert f"face there | {presence}%" in told.window
    assert f"{facing}%" in told.window
    assert f"a face was in view for {presence}% of the time" in told.end
    assert f"facing the screen   {facing}%" in told.end
    assert "transitions         1, most often from happy to sad (1)" in told.end
    assert f"could be seen {presence}% of the time" in told.page
    assert f"turned to the screen {facing}% of the time" in told.page
    assert f"{presence}% | present" in told.picture
    assert f"{facing}% | facing the screen" in told.picture
    for text in (told.show, told.show_database):
        assert f"a face was in view for {presence}% of the time" in text
        assert f"facing the screen   {facing}%" in text
        assert "transitions         1, most often from happy to sad (1)" in text
        assert "happy      40.0%" in text
    assert told.stored.label_s == pytest.approx(seconds(happy=4.0, sad=4.0, neutral=2.0))
