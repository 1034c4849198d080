"""Where expressions may not be read, nothing that is written, sent or shown names one; and everything reads it again."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from analysing import stop_after
from conftest import SHARED, MienHere
from factories import reading, released, snapshot
from kept_sessions import kept
from lrs_servers import PASSWORD, USER, free_port, strict_store
from rich.console import Console

from mien.drawing import CLASS_RGB
from mien.emotions import EMOTIONS
from mien.messaging.xapi import EXTENSIONS, sums
from mien.recordings.analysis import Analysis
from mien.recordings.settings import AnalyzeSettings
from mien.sessions.database import Database
from mien.sessions.document import read_summary, summary_document
from mien.sessions.folder import SessionFolder
from mien.sessions.observations import COLUMNS, OBSERVABLE_COLUMNS, read_answers
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import KeptSession
from mien.sessions.recovery import load_folder, recover
from mien.summaries.export import export_session
from mien.summaries.text import session_text
from mien.summaries.views import write_views
from mien.views.terminal import draw, draw_help

NAMES = re.compile(r"(?<![a-z])(angry|disgust|fear|happy|neutral|sad|surprise)(?![a-z])", re.IGNORECASE)


@pytest.fixture
def lesson(here: Path) -> Path:
    """A recording whose name says nothing of what is in it."""
    target = here / "lesson.mp4"
    target.symlink_to(SHARED / "media" / "sad_to_happy.mp4")
    return target


@pytest.fixture
def mien(mien_here: MienHere, yunet: Path) -> Callable[..., str]:
    """Runs a command that succeeds and names no expression; returns its output."""

    def call(*arguments: str) -> str:
        code, out, err = mien_here(*arguments)
        assert code == 0, err
        assert not NAMES.search(out + err)
        return out

    return call


def colours(path: Path) -> int:
    """Return how many pixels have the colour of an expression."""
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return sum(int((picture == np.array(colour)).all(-1).sum()) for colour in CLASS_RGB)


def test_a_whole_session_names_none(
    mien: Callable[..., str], lesson: Path, school: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("MIEN_LRS", f"http://127.0.0.1:{port}/xAPI")
    monkeypatch.setenv("MIEN_LRS_USER", USER)
    monkeypatch.setenv("MIEN_LRS_PASSWORD", PASSWORD)
    with strict_store(port) as store:
        out = mien(
            "live", "--source", "lesson.mp4", "--headless", "--out", "s", "--db", "sessions.db", "--states", "experimental"
        )
        statements = store.stored()
    assert "distribution" not in json.loads(out.splitlines()[-1])
    assert [s["verb"]["display"]["en"] for s in statements] == ["initialized", "terminated"]
    assert not NAMES.search(json.dumps(statements))
    assert statements[-1]["result"]["extensions"][f"{EXTENSIONS}/face-seconds"] == pytest.approx(19.7, abs=0.1)
    folder = here / "s"
    for name in ("observations.csv", "summary.json", "summary.html", "privacy.json"):
        assert not NAMES.search((folder / name).read_text()), name
    with (folder / "observations.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert (len(rows), tuple(rows[0])) == (472, OBSERVABLE_COLUMNS)
    assert pyarrow.parquet.read_schema(folder / "observations.parquet").names == list(OBSERVABLE_COLUMNS)
    assert colours(folder / "summary.png") == 0
    document = json.loads((folder / "summary.json").read_text())
    assert (document["frames_with_face"], document["attention"]["facing_share"]) == (472, 1.0)
    assert not {"distribution", "transitions", "valence", "arousal", "dwell", "episodes"} & set(document)
    for form in ("csv", "parquet", "json", "html", "zip"):
        mien("sessions", "export", "s", "--format", form, "--out", f"e.{form}")
    assert pyarrow.parquet.read_schema(here / "e.parquet").names == list(OBSERVABLE_COLUMNS)
    for form in ("csv", "json", "html"):
        assert not NAMES.search((here / f"e.{form}").read_text())
    with zipfile.ZipFile(here / "e.zip") as archive:
        for name in archive.namelist():
            if not name.endswith((".parquet", ".png")):
                assert not NAMES.search(archive.read(name).decode()), name
    mien("sessions", "show", "s", "--db", "sessions.db")
    mien("sessions", "show", "s", "--json", "--db", "sessions.db")
    mien("privacy", "export", "--out", "mine.json", "--sessions", ".", "--db", "sessions.db")
    assert not NAMES.search((here / "mine.json").read_text())
    with sqlite3.connect(here / "sessions.db") as database:
        for table in ("tracks", "intervals"):
            values = database.execute(f"SELECT {', '.join(f'{n}_s' for n in EMOTIONS)} FROM {table}").fetchall()
            assert values
            assert {value for row in values for value in row} == {None}
    database.close()
    assert list(read_answers(folder / "observations.csv")) == []  # a monitor of sessions finds nothing to judge, and no fault
    assert load_folder(folder) == read_summary(folder / "summary.json")


def test_a_session_that_was_killed_is_put_together_without_any(here: Path) -> None:
    session = replace(kept().session, folder=str(here / "s"), policy="observables", frames=0)
    folder = SessionFolder(here / "s", KeptSession(session), write_views)
    recorder = SessionRecorder(session, lambda: [folder])
    unread = replace(reading("happy", 0.8, (1.0, 1.0, 9.0, 9.0)), label="", unread="expressions off")
    for k in range(50):
        recorder.update(released(k, k / 25, [unread], 1 / 25))
    folder.abandon()  # as a kill leaves it
    again = recover(here / "s", write_views)
    assert (again.session.state, again.session.frames_with_face) == ("recovered", 50)
    assert again.seen_s == pytest.approx(2.0)
    for path in (here / "s").iterdir():
        if path.suffix in (".csv", ".json", ".html"):
            assert not NAMES.search(path.read_text()), path.name


def test_an_analysis_names_none_finished_or_not(lesson: Path, yunet: Path, school: Path, here: Path) -> None:
    settings = AnalyzeSettings((lesson,), Path("a"), segment_s=4.0, annotate=True, blur_faces=True)
    with pytest.raises(KeyboardInterrupt):
        Analysis(settings).run(stop_after(96))
    for path in (here / "a").rglob("*.*"):
        if path.suffix in (".csv", ".json"):
            assert not NAMES.search(path.read_text()), path.name
    assert not Analysis(settings).run().failed
    for path in (here / "a" / "lesson").iterdir():
        if path.suffix in (".csv", ".json", ".html"):
            assert not NAMES.search(path.read_text()), path.name
    assert colours(here / "a" / "lesson" / "summary.png") == 0


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_older_session_with_empty_columns_is_exported_without_them(form: str, here: Path) -> None:
    folder = here / "s"
    folder.mkdir()
    row = dict.fromkeys(COLUMNS, "") | {
        "t_s": "0.0",
        "frame": "0",
        "track_id": "k3f9",
        "unread": "expressions off",
        "facing": "1",
    }
    (folder / "observations.csv").write_text(f"{','.join(COLUMNS)}\n{','.join(row[name] for name in COLUMNS)}\n")
    export_session(kept(policy="observables"), folder, form, here / f"e.{form}")
    if form == "csv":
        assert (here / "e.csv").read_text().splitlines() == [
            "t_s,frame,track_id,unread,facing,policy",
            "0.0,0,k3f9,expressions off,1,observables",
        ]
    else:
        assert pyarrow.parquet.read_schema(here / "e.parquet").names == list(OBSERVABLE_COLUMNS)


def test_what_an_older_mien_said_is_not_said_again() -> None:
    """Its summaries had the seven names, and zeros."""
    old = replace(
        kept(policy="observables"),
        transitions=(),
        more={"valence": None, "dwell": {}, "faces": {"a": {"presence_s": 1.0, "read_s": 0.0}}},
    )
    text = json.dumps(summary_document(old)) + session_text(old, [], "here")
    assert not NAMES.search(text)
    assert '"read_s"' not in text


def test_statements_tell_of_the_time_faces_were_there() -> None:
    session = kept(policy="observables")
    blind = replace(session, intervals=tuple(replace(row, label_s=(0.0,) * 7, unread_s=6.0) for row in session.intervals))
    assert sums(blind)[f"{EXTENSIONS}/face-seconds"] == 12.0
    assert f"{EXTENSIONS}/expression-shares" not in sums(blind)


def test_a_database_brings_it_back(database_url: str) -> None:
    session = kept(policy="observables")
    blind = replace(
        session,
        transitions=(),
        tracks=tuple(replace(row, label_s=(0.0,) * 7) for row in session.tracks),
        intervals=tuple(replace(row, label_s=(0.0,) * 7) for row in session.intervals),
    )
    database = Database(database_url)
    database.save(blind)
    database.save(replace(kept("s2")))
    assert database.load("s1") == blind
    assert database.load("s2") == kept("s2")
    database.close()


def test_the_views_name_none_even_in_their_help() -> None:
    unread = replace(reading("happy", 0.8, (1.0, 1.0, 9.0, 9.0)), label="", unread="expressions off")
    shown = snapshot([unread], expressions=False)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(draw(shown, 100))
    console.print(draw_help(expressions=False))
    assert not NAMES.search(console.export_text())
