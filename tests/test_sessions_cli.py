"""``mien sessions``: what is listed, shown, written out and deleted, from folders and from both kinds of database."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import REPOSITORY, MienHere
from factories import reading, released
from kept_sessions import START, kept

from mien.emotions import EMOTIONS
from mien.privacy.audit_log import AuditLog
from mien.sessions.database import Database
from mien.sessions.folder import SessionFolder
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import EventRecord, KeptSession, SessionRecord
from mien.summaries.views import write_views

IDS = ("2026-03-04_09-30-00-aaaa", "2026-03-05_09-30-00-bbbb")


@pytest.fixture
def mien(mien_here: MienHere) -> MienHere:
    """The command group ``mien sessions``."""
    return partial(mien_here, "sessions")


def make_folder(root: Path, session_id: str, frames: int = 50, finish: bool = True) -> Path:
    """Keep a real session in a folder; without ``finish`` it is left as a kill leaves it."""
    folder = root / session_id
    session = SessionRecord(
        session_id, START, source="camera 0", model="mien-s", detector="yunet", version="0.4", folder=str(folder)
    )
    sink = SessionFolder(folder, KeptSession(session), write_views)
    running = SessionRecorder(session, lambda: [sink])
    for k in range(frames):
        running.update(released(k, k / 25, [reading("happy", 0.8, (1.0, 1.0, 9.0, 9.0))], 1 / 25))
    running.add(EventRecord(1.0, "intervention", "k3f9", {"rule": "away"}))
    if finish:
        running.finish("ended")
    else:
        sink.abandon()
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [
        make_folder(tmp_path / "results" / "sessions", IDS[0]),
        make_folder(tmp_path / "results" / "sessions", IDS[1], 75, False),
    ]


def test_nothing_kept_is_said(mien: MienHere) -> None:
    assert mien("list") == (0, "No sessions yet in results/sessions. Start one with: mien live\n", "")
    assert mien("list", "--json") == (0, "[]\n", "")
    assert mien("show", "last")[::2] == (3, "error: no session 'last'. List them with: mien sessions list\n")


def test_folders_are_listed_with_what_became_of_them(mien: MienHere, folders: list[Path]) -> None:
    code, out, _ = mien("list")
    assert code == 0
    _, first, second = out.splitlines()
    assert first.split() == [IDS[0], "ended", "2", "s", "50", "1", "folder", "camera", "0"]
    assert second.startswith(f"{IDS[1]}   incomplete")
    rows = json.loads(mien("list", "--json")[1])
    assert (rows[0]["session_id"], rows[0]["frames"], rows[0]["in_database"]) == (IDS[0], 50, False)
    assert not (folders[1] / "summary.json").exists()  # looking changes nothing


def test_showing_a_session_that_was_killed_puts_it_together(mien: MienHere, folders: list[Path]) -> None:
    code, out, _ = mien("show", IDS[1])
    assert code == 0
    assert "recovered" in out
    assert "frames with a face  75 (100%)" in out
    assert "happy     100.0%" in out
    assert (folders[1] / "summary.html").is_file()
    document = json.loads(mien("show", IDS[1][:14], "--json")[1])
    assert (document["state"], document["frames"]) == ("recovered", 75)
    assert document["events"] == [{"t_s": 1.0, "kind": "intervention", "track_id": "k3f9", "details": {"rule": "away"}}]


def test_a_name_may_be_short_a_folder_or_last(mien: MienHere, folders: list[Path]) -> None:
    for name in ("2026-03-04", str(folders[0]), os.path.relpath(folders[0])):
        assert f"SESSION {IDS[0]}\n" in mien("show", name)[1]
    assert mien("show", "2026")[::2] == (2, f"error: 2 sessions begin with '2026' ({IDS[0]}, {IDS[1]}). Name one of them\n")


def test_last_is_what_was_stored_last(mien: MienHere, tmp_path: Path) -> None:
    make_folder(tmp_path / "results" / "sessions", IDS[0])
    assert f"SESSION {IDS[0]}\n" in mien("show", "last")[1]
    analysed = make_folder(tmp_path / "results" / "analyses", "2020-01-01_09-30-00-cccc")
    (analysed / "analysis.json").write_text("{}")
    summary = json.loads((analysed / "summary.json").read_text())
    (analysed / "summary.json").write_text(json.dumps(summary | {"started_at": "2020-01-01T09:30:00.000+00:00"}))
    assert mien("list")[1].splitlines()[1].startswith(analysed.name)  # by the time of its file
    assert f"SESSION {analysed.name}\n" in mien("show", "last")[1]
    os.utime(analysed / "analysis.json", (0, 0))
    assert f"SESSION {IDS[0]}\n" in mien("show", "last")[1]


def test_every_form_holds_the_session(mien: MienHere, folders: list[Path], tmp_path: Path) -> None:
    for form in ("csv", "parquet", "json", "html", "zip"):
        target = tmp_path / "out" / f"lesson.{form}"
        assert mien("export", IDS[0], "--format", form, "--out", str(target)) == (0, f"written: {target}\n", "")
    out = tmp_path / "out"
    said = json.loads((out / "lesson.json").read_text())["policy"]
    rows = (folders[0] / "observations.csv").read_text().splitlines()
    assert (out / "lesson.csv").read_text().splitlines() == [f"{rows[0]},policy", *(f"{row},{said}" for row in rows[1:])]
    table = pyarrow.parquet.read_table(out / "lesson.parquet")
    assert (table.num_rows, table.schema.metadata[b"policy"].decode()) == (50, said)
    assert json.loads((out / "lesson.json").read_text())["events"][0]["kind"] == "intervention"
    assert "Session summary" in (out / "lesson.html").read_text()
    with zipfile.ZipFile(out / "lesson.zip") as archive:
        assert archive.testzip() is None
        assert {Path(name).name for name in archive.namelist()} == {
            *(
                "observations.csv",
                "observations.parquet",
                "events.jsonl",
                "summary.json",
                "summary.html",
                "summary.png",
                "intervals.csv",
            )
        }
    assert mien("export", IDS[0])[1] == f"written: {IDS[0]}.zip\n"
    Path(f"{IDS[0]}.zip").write_text("somebody's own")
    code, _, err = mien("export", IDS[0])
    assert code == 2
    assert "--overwrite" in err
    assert Path(f"{IDS[0]}.zip").read_text() == "somebody's own"
    assert mien("export", IDS[0], "--overwrite")[0] == 0
    assert zipfile.is_zipfile(f"{IDS[0]}.zip")
    code, _, err = mien("export", IDS[0], "--format", "xls")
    assert (code, err.count("\n")) == (2, 1)
    assert all(word in err for word in ("'xls'", "csv", "parquet", "json", "html", "zip"))


def test_the_database_is_listed_shown_and_written_out(mien: MienHere, database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    database.save(kept("2026-03-04_09-30-00-only", state="ended", folder="/nowhere", policy="full"))
    database.close()
    db = ("--db", database_url)
    assert mien("list", *db)[1].splitlines()[1].split()[:8] == [
        "2026-03-04_09-30-00-only",
        "ended",
        "12",
        "s",
        "300",
        "2",
        "database",
        "camera",
    ]
    code, out, _ = mien("show", "last", *db)
    assert code == 0
    assert "frames              300 processed, 20 dropped" in out
    assert "transitions         5, most often from happy to sad (3)" in out
    assert "facing the screen   89% of face time" in out
    for form in ("csv", "parquet", "json", "html", "zip"):
        assert mien("export", "last", "--format", form, "--out", f"x.{form}", *db)[0] == 0
    with (tmp_path / "x.csv").open(newline="") as handle:
        first, _ = csv.DictReader(handle)
    assert first["policy"] == "full"
    assert {name: float(first[f"{name}_s"]) for name in EMOTIONS} == dict.fromkeys(EMOTIONS, 0.0) | {"happy": 8.25}
    assert pyarrow.parquet.read_schema(tmp_path / "x.parquet").metadata[b"policy"] == b"full"
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet").to_pydict()
    assert (table["from_s"], table["happy_s"]) == ([0.0, 10.0], [8.25, 0.0])
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert len(archive.namelist()) == 4


def test_what_is_in_a_folder_and_in_the_database_is_one_session(mien: MienHere, folders: list[Path], tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.save(kept(IDS[1], state="running", folder=str(folders[1]), frames=40))
    database.close()
    rows = json.loads(mien("list", "--db", "s.db", "--json")[1])
    assert [(row["session_id"], row["in_database"]) for row in rows] == [(IDS[0], False), (IDS[1], True)]
    mien("show", IDS[1], "--db", "s.db")
    again = Database(f"sqlite:///{tmp_path / 's.db'}")
    assert [(s.state, s.frames) for s in again.sessions()] == [("recovered", 75)]  # the database learns the result of it
    again.close()


def test_without_a_database_none_is_made(mien: MienHere, folders: list[Path], no_home: Path, tmp_path: Path) -> None:
    mien("list")
    mien("show", "last")
    assert list(no_home.rglob("*.db*")) == []
    assert mien("list", "--db", "new.db")[0] == 3
    assert not (tmp_path / "new.db").exists()


def test_deleting_takes_the_folder_and_the_rows_and_leaves_what_is_not_ours(
    mien: MienHere, folders: list[Path], tmp_path: Path
) -> None:
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    for name, folder in zip(IDS, folders, strict=True):
        database.save(kept(name, folder=str(folder)))
    (folders[1] / "notes.txt").write_text("mine")
    (folders[1] / "screenshot-00001.000s.png").write_bytes(b"")
    code, _, err = mien("delete", *IDS, "--db", "s.db")
    assert (code, err.count("\n"), "--yes" in err) == (2, 1, True)
    assert len(database.sessions()) == 2
    code, out, _ = mien("delete", *IDS, "--db", "s.db", "--yes")
    assert code == 0
    assert f"deleted: {IDS[0]}" in out
    assert "erased with it, not written by Mien: notes.txt" in out
    assert database.sessions() == []
    assert not folders[0].exists()
    assert not folders[1].exists()
    database.close()
    left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not [name for name in (*IDS, "k3f9") if name.encode() in left]  # no page of the database holds them either
    events = list(AuditLog(tmp_path / "results" / "sessions" / "privacy").events())
    assert [(event["event"], event["sessions"], event["cause"]) for event in events] == [("erased", 2, "asked")]
    assert all(event["files"] > 1 for event in events)


def test_what_was_deleted_is_said_even_if_another_session_stays(
    mien: MienHere, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def replacement(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == IDS[1]:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", replacement)
    code, out, err = mien("delete", *IDS, "--yes")
    assert (code, out.splitlines()[2:]) == (4, [f"deleted: {IDS[0]}"])
    assert err.startswith(f"error: {IDS[1]} was not erased completely: cannot erase ")


def test_deleting_keeps_earlier_sessions_in_the_folder(mien: MienHere, tmp_path: Path) -> None:
    earlier = make_folder(tmp_path / "lessons", "earlier-1")
    folder = make_folder(tmp_path, "lessons")
    assert mien("delete", "lessons", "--yes")[0] == 0
    assert [path.name for path in folder.iterdir()] == [earlier.name]
    assert (earlier / "summary.json").is_file()


def test_a_folder_elsewhere_keeps_what_is_not_miens(mien: MienHere, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "documents", IDS[0])
    (folder / "notes.txt").write_text("mine")
    code, out, _ = mien("delete", str(folder), "--yes")
    assert code == 0
    assert f"kept in {folder}, not written by Mien: notes.txt" in out
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_an_export_is_logged(mien: MienHere, folders: list[Path], tmp_path: Path) -> None:
    assert mien("export", IDS[0], "--format", "json", "--out", "a.json")[0] == 0
    events = list(AuditLog(tmp_path / "results" / "sessions" / "privacy").events())
    assert [(event["event"], event["sessions"]) for event in events] == [("exported", 1)]


def test_a_folder_that_a_database_names_is_only_touched_if_it_is_that_sessions(
    mien: MienHere, folders: list[Path], tmp_path: Path
) -> None:
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.save(kept("elsewhere", folder=str(folders[0])))
    database.close()
    assert mien("delete", "elsewhere", "--db", "s.db", "--yes")[0] == 0
    assert (folders[0] / "observations.csv").is_file()


def test_a_running_session_is_not_deleted(mien: MienHere, tmp_path: Path) -> None:
    session = SessionRecord(IDS[0], START)
    sink = SessionFolder(tmp_path / "results" / "sessions" / IDS[0], KeptSession(session), write_views)
    assert "running" in mien("list")[1]
    assert mien("delete", IDS[0], "--yes")[::2] == (4, f"error: the session {IDS[0]} is still running. End it first\n")
    sink.abandon()
    assert mien("delete", IDS[0], "--yes")[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX's kind is needed")
@pytest.mark.parametrize(("answer", "left"), [("n\n", 1), ("y\n", 0)])
def test_a_person_is_asked(answer: str, left: int, tmp_path: Path) -> None:
    import pty

    root = tmp_path / "results" / "sessions"
    make_folder(root, IDS[0])
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mien", "sessions", "delete", "last", "--sessions", str(root)]
    run = subprocess.Popen(command, cwd=REPOSITORY, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.write(ours, answer.encode())
    out, _ = run.communicate(timeout=900)
    os.close(ours)
    os.close(theirs)
    assert run.returncode == 0
    assert "Delete 1 session?" in out
    assert len([path for path in root.iterdir() if path.name != "privacy"]) == left


def test_the_default_database_is_used_once_it_is_there(mien: MienHere, no_home: Path) -> None:
    from mien.sessions.database_url import open_database

    database = open_database()
    database.save(kept("2026-01-01_00-00-00-mine"))
    database.close()
    assert "2026-01-01_00-00-00-mine" in mien("list")[1]


def test_what_goes_wrong_is_one_line_and_the_right_code(mien: MienHere, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello " * 1000)
    sqlite3.connect(tmp_path / "newer.db").executescript(
        "CREATE TABLE schema_version (version INTEGER); INSERT INTO schema_version VALUES (99)"
    ).close()
    for arguments, code, said in (
        (("--db", "text.db"), 3, "not an SQLite database"),
        (("--db", "newer.db"), 3, "newer Mien"),
        (("--db", "mysql://h/d"), 2, "of the kind 'mysql'"),
        (("--db", "postgresql://u:secret@127.0.0.1:9/d?connect_timeout=2"), 4, "cannot use the database"),
    ):
        ended, _, err = mien("list", *arguments)
        assert ended == code
        assert said in err
        assert err.count("\n") == 1
        assert "secret" not in err


def test_sessions_of_one_id_are_all_deleted(mien: MienHere, folders: list[Path]) -> None:
    copy = folders[0].parent / "a copy"
    shutil.copytree(folders[0], copy)
    assert mien("delete", str(folders[0]), str(copy), "--yes")[0] == 0
    assert not folders[0].exists()
    assert not any((copy / name).exists() for name in ("summary.json", "observations.csv"))


def test_a_row_from_another_working_folder_leads_to_its_session(
    mien: MienHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(Path("lessons"), IDS[0])
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.save(kept(IDS[0], state="ended", folder=f"lessons/{IDS[0]}"))
    database.save(kept(IDS[1], state="ended", folder="gone"))
    database.close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, _ = mien("delete", *IDS, "--db", str(tmp_path / "s.db"), "--yes")
    assert code == 0
    assert not (tmp_path / "lessons" / IDS[0]).exists()
    assert out.endswith(f"not erased, because it was not found: {tmp_path / 'gone'}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_is_not_followed(mien: MienHere, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "archive", IDS[0])
    Path("mylink").symlink_to(folder)
    code, _, err = mien("delete", "mylink", "--yes")
    assert (code, "mylink is a link" in err, str(folder) in err) == (2, True, True)
    assert (folder / "observations.csv").is_file()


def test_a_zip_holds_screenshots_and_no_earlier_session(mien: MienHere, tmp_path: Path) -> None:
    for name in ("before", "after"):
        folder = make_folder(tmp_path / "results" / "sessions", IDS[0])
        (folder / f"screenshot-{name}.png").write_bytes(b"")
    assert mien("export", IDS[0], "--out", "x.zip")[0] == 0
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        names = archive.namelist()
    assert [name for name in names if "screenshot" in name or "earlier" in name] == [f"{IDS[0]}/screenshot-after.png"]
