"""What may leave this computer is judged before the first frame, for every place that a session can be kept in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from kept_sessions import kept
from test_cli import mien
from test_policy import ROWS
from writing import SESSION as WRITTEN
from writing import frames, kill, recorder

from mien.destinations import open_recorder
from mien.errors import NotPermittedError, UsageError
from mien.privacy.chain import state_folder
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import Deployment, deployment_text
from mien.privacy.level import Level
from mien.privacy.notice import notice_for
from mien.privacy.oversight import Oversight
from mien.privacy.policy import decide
from mien.sessions.archive import Archive
from mien.sessions.database import Database
from mien.summaries.views import write_views

SESSION = kept().session
SECRET = "whsec_" + "A" * 44


def oversight(folder: Path, deployment: Deployment) -> Oversight:
    """Return what governs a session of somebody who agreed to everything."""
    (folder / "deployment.toml").write_text(deployment_text(deployment))
    if deployment.legal_basis != "consent":
        return Oversight(folder / "deployment.toml", folder)
    policy = decide(deployment)
    if policy.level is not Level.REFUSED:
        for purpose in ("show", "keep"):
            ConsentLedger(state_folder(folder)).record("ada", purpose, "granted", notice_for(policy))
    return Oversight(folder / "deployment.toml", folder, "ada")


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(
    ("environment", "database"),
    [
        ({"MIEN_LRS": "https://lrs.example.org/xAPI"}, ""),
        ({"MIEN_WEBHOOK": "https://hook.example.org", "MIEN_WEBHOOK_SECRET": SECRET}, ""),
        ({"MIEN_DB": "postgresql://someone@db.example.org/mien"}, ""),
        ({}, "postgresql://someone@db.example.org/mien"),
    ],
)
def test_another_computer_is_refused_wherever_nothing_leaves_this_one(
    row: str, environment: dict[str, str], database: str, tmp_path: Path
) -> None:
    deployment, level, _ = ROWS[row]
    if level is Level.REFUSED:
        with pytest.raises(NotPermittedError):
            oversight(tmp_path, deployment)
        return
    here = oversight(tmp_path, deployment)
    if row in ("own-use", "software-test"):
        with pytest.raises(NotPermittedError, match="is on another computer"):
            open_recorder(here, SESSION, database, environment)
    elif not (database or "MIEN_DB" in environment):  # nobody listens there: the database would be asked at once
        open_recorder(here, SESSION, database, environment)


def test_this_computer_is_permitted_to_own_use(tmp_path: Path) -> None:
    here = {"MIEN_LRS": "http://127.0.0.1:9/xAPI", "MIEN_WEBHOOK": "http://localhost:9", "MIEN_WEBHOOK_SECRET": SECRET}
    open_recorder(Oversight(None, tmp_path), SESSION, str(tmp_path / "sessions.db"), here)
    assert (tmp_path / "sessions.db").is_file()


def test_a_database_that_is_removed_before_the_first_frame_does_not_end_the_session(tmp_path: Path) -> None:
    path, session = tmp_path / "sessions.db", replace(SESSION, folder=str(tmp_path / "s"))
    recorder = open_recorder(Oversight(None, tmp_path), session, str(path), {})
    assert [each.name for each in tmp_path.iterdir()] == ["sessions.db"]  # no write-ahead log, so no connection is open
    path.unlink()
    for result in frames(5):
        recorder.update(result)
    assert recorder.finish("ended").session.frames == 5
    assert ["was removed while it was in use" in notice for notice in recorder.take_notices()] == [True]
    assert (tmp_path / "s" / "summary.json").is_file()
    assert not path.exists()


def test_a_wrong_server_is_refused_before_anything_is_watched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="MIEN_LRS"):
        open_recorder(Oversight(None, tmp_path), SESSION, "", {"MIEN_LRS": "lrs.example.org"})


def test_live_says_so_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    live = ("live", "--source", "demo", "--duration-s", "0.2", "--headless", "--out", "out")
    refused = mien(*live, cwd=tmp_path, MIEN_LRS="https://lrs.example.org/xAPI")
    assert refused.returncode == 2
    assert "the learning record store is on another computer" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_session_stands_in_its_folder_and_in_the_database(tmp_path: Path) -> None:
    live = ("live", "--source", "demo", "--duration-s", "0.4", "--headless", "--db", "mine.db")
    ran = mien(*live, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (folder,) = (tmp_path / "results" / "sessions").iterdir()
    listing = mien("sessions", "list", "--db", "mine.db", cwd=tmp_path).stdout
    assert folder.name in listing
    shown = mien("sessions", "export", "last", "--db", "mine.db", "--format", "json", "--out", "a.json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert json.loads((tmp_path / "a.json").read_text())["frames"] == 10


def test_erasing_reaches_the_folder_and_the_database(tmp_path: Path) -> None:
    ran = mien("live", "--source", "demo", "--duration-s", "0.4", "--headless", "--db", "mine.db", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (folder,) = (tmp_path / "results" / "sessions").iterdir()
    status = mien("privacy", "status", "--db", "mine.db", cwd=tmp_path)
    assert status.stdout.count(folder.name) == 1
    exported = mien("privacy", "export", "--db", "mine.db", "--out", "all.json", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    parts = json.loads((tmp_path / "all.json").read_text())["sessions"][folder.name]
    assert {"observations.csv", "mine.db"} <= set(parts)
    (tmp_path / "all.json").unlink()
    erased = mien("privacy", "erase", "--all", "--yes", "--db", "mine.db", cwd=tmp_path)
    assert erased.returncode == 0, erased.stderr
    assert not folder.exists()
    left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert folder.name.encode() not in left
    assert mien("privacy", "status", "--db", "mine.db", cwd=tmp_path).stdout.startswith("0 sessions")


def test_a_truncated_folder_does_not_replace_a_whole_session_in_the_database(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    folder = tmp_path / "sessions" / WRITTEN.session_id
    running = recorder(folder)
    for result in frames(50):
        running.update(result)
    kill(running)  # the folder's disk was full; the database got everything
    whole = kept(WRITTEN.session_id, state="ended", duration_s=100.0, frames=2500)
    database.save(whole)
    archive = Archive(tmp_path / "sessions", database)
    (listed,) = archive.sessions()
    assert (listed.record.frames, listed.record.duration_s) == (2500, 100.0)
    assert archive.load(listed, write_views).session.frames == 2500
    (again,) = archive.sessions()
    assert database.load(WRITTEN.session_id).session.frames == 2500
    assert archive.load(again, write_views).session.frames == 2500
    database.close()
