"""Full disks, removed folders, lost databases: one sentence, and the session goes on."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres import running_postgres
from writing import SESSION, Clock, frames, recorder, rows

from mien.errors import DeviceError, MienError, StorageError, write_error
from mien.locks import is_in_use
from mien.messaging.outbox import Outbox
from mien.sessions.append_file import AppendFile
from mien.sessions.database import Database
from mien.sessions.database_sink import DatabaseSink
from mien.sessions.events import read_events
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import EventRecord
from mien.sessions.recovery import recover
from mien.summaries.views import write_views


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 kB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk; the limit on file sizes is tested without")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_turns_one_sink_off_with_one_sentence(small_disk: Path, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'sessions.db'}")
    folder = small_disk / "s"
    running = recorder(folder, DatabaseSink(database, Clock()))
    running.add(EventRecord(0.0, "note", details={"n": 1}))
    for result in frames(2000):
        running.update(result)
        running.add(EventRecord(result.t_s, "note"))
    (notice,) = running.take_notices()
    assert str(folder) in notice
    assert "No space left on device" in notice
    assert "saving stopped at" in notice
    assert running.take_notices() == []
    assert running.finish("ended").session.frames == 2000
    assert len(running.failures) == 1
    saved = rows(folder / "observations.partial.csv")
    assert 100 < len(saved) < 2000
    assert all(None not in row.values() for row in saved)  # no half line
    events = list(read_events(folder / "events.jsonl"))
    assert events[0].details == {"n": 1}
    again = Database(f"sqlite:///{tmp_path / 'sessions.db'}")
    (in_database,) = again.sessions()
    assert (in_database.state, in_database.frames) == ("ended", 2000)
    again.close()
    roomy = tmp_path / "rescued"
    shutil.copytree(folder, roomy)
    assert recover(roomy, write_views).session.frames_with_face == len(saved)


@pytest.mark.parametrize("name", ["summary.json", "summary.html", "summary.png", "observations.parquet"])
def test_whatever_refuses_at_the_end_is_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    running = recorder(tmp_path / "s")
    for result in frames(20):
        running.update(result)
    monkeypatch.setattr(Path, "replace", full)
    running.finish("ended")
    (failure,) = running.failures
    assert f"{name}: No space left on device" in failure.reason
    assert len(rows(tmp_path / "s/observations.csv")) == 20


@pytest.fixture
def full_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite files that cannot grow, as on a full disk."""
    connect = sqlite3.connect

    def full(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.execute("PRAGMA max_page_count = 1")  # or as many as there are
        return connection

    monkeypatch.setattr(sqlite3, "connect", full)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", full)


def test_a_database_that_cannot_grow_is_full_storage(tmp_path: Path, full_databases: None) -> None:
    with pytest.raises(StorageError):
        Outbox(tmp_path / "queue.db", "lrs")
    with pytest.raises(StorageError):
        Database(f"sqlite:///{tmp_path / 'sessions.db'}")


def test_no_room_for_the_index_of_a_databases_log_is_full_storage() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"  # what opening a file on a full tmpfs gives
    assert isinstance(write_error("cannot use the database", error), StorageError)
    error.sqlite_errorname = "SQLITE_IOERR_READ"
    assert not isinstance(write_error("cannot use the database", error), StorageError)


LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from writing import frames, recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
running = recorder(Path(sys.argv[1]))
for result in frames(2000):
    running.update(result)
print(running.take_notices())
print(running.finish("ended").session.frames)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
def test_a_limit_on_the_size_of_files_is_met_the_same_way(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "s"), str(Path(__file__).parent)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert answer.returncode == 0, answer.stderr
    said, processed = answer.stdout.splitlines()
    assert "File too large" in said
    assert processed == "2000"
    data = (tmp_path / "s" / "observations.partial.csv").read_bytes()
    assert data.endswith(b"\n")
    assert 99_000 < len(data) <= 100_000


def test_a_folder_removed_while_the_session_runs_is_said_once_and_not_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = recorder(folder)
    for result in frames(30):
        running.update(result)
    shutil.rmtree(folder)
    for result in frames(60, 30):
        running.update(result)
    (notice,) = running.take_notices()
    assert "was removed while the session ran" in notice
    assert running.finish("ended").session.frames == 90
    assert running.take_notices() == []
    assert not folder.exists()


def test_a_database_that_is_gone_does_not_end_the_session(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'sessions.db'}")
    running = recorder(tmp_path / "s", DatabaseSink(database, Clock()))
    for result in frames(10):
        running.update(result)
    for path in tmp_path.glob("sessions.db*"):
        path.unlink()
    for result in frames(200, 10):
        running.update(result)
        time.sleep(0.001)
    running.finish("ended")
    (notice,) = running.take_notices()
    assert "sessions.db was removed while it was in use" in notice
    assert len(rows(tmp_path / "s" / "observations.csv")) == 210


def test_a_session_that_is_deleted_while_it_runs_does_not_come_back(tmp_path: Path) -> None:
    database, other = (Database(f"sqlite:///{tmp_path / 'sessions.db'}") for _ in range(2))
    running = recorder(tmp_path / "s", DatabaseSink(database, Clock()))
    for result in frames(10):
        running.update(result)
    deadline = time.monotonic() + 60
    while not other.sessions() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert other.delete(SESSION.session_id)
    running.finish("ended")
    (failure,) = running.failures
    assert "deleted" in failure.reason
    assert other.sessions() == []
    other.close()


def test_a_session_of_less_than_a_second_is_erased_from_the_database(tmp_path: Path) -> None:
    database, other = (Database(f"sqlite:///{tmp_path / 'sessions.db'}") for _ in range(2))
    running = SessionRecorder(SESSION, lambda: [DatabaseSink(database)])
    running.update(next(frames(1)))
    running.finish("ended")
    assert len(other.sessions()) == 1
    assert running.erase() == 1
    assert other.sessions() == []
    other.close()


def test_a_database_server_that_stops_does_not_end_the_session(tmp_path: Path) -> None:
    if shutil.which("initdb") is None:
        pytest.skip("PostgreSQL is not installed: no initdb on the PATH")
    with running_postgres() as server:
        database = Database(server.create_database())
        running = recorder(tmp_path / "s", DatabaseSink(database, Clock()))
        for result in frames(50):
            running.update(result)
        deadline = time.monotonic() + 600
        while not database.sessions() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert database.sessions()[0].state == "running"
    for result in frames(200, 50):
        running.update(result)
        time.sleep(0.001)
    assert running.finish("ended").session.frames == 250
    (notice,) = running.take_notices()
    assert "cannot use the database postgresql" in notice
    assert len(rows(tmp_path / "s" / "observations.csv")) == 250


def test_a_folder_whose_first_file_cannot_be_written_is_not_in_use(tmp_path: Path) -> None:
    (tmp_path / "s" / "session.partial.json").mkdir(parents=True)
    with pytest.raises(MienError, match=r"session\.partial\.json"):
        recorder(tmp_path / "s")
    assert not is_in_use(tmp_path / "s" / "observations.partial.csv")
    assert "mien-disk" not in {thread.name for thread in threading.enumerate()}


def test_what_may_happen_to_a_file_by_itself(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "f")
    file.append("one\n")
    file.sync()
    assert is_in_use(tmp_path / "f")
    with pytest.raises(DeviceError, match="is being written by another session"):
        AppendFile(tmp_path / "f")
    assert (tmp_path / "f").read_text() == "one\n"
    (tmp_path / "f").rename(tmp_path / "g")
    file.sync()
    with pytest.raises(DeviceError, match="removed while the session ran"):
        file.append("two\n")
    file.close()
    assert not is_in_use(tmp_path / "g")
    (tmp_path / "text").write_text("")
    with pytest.raises(DeviceError, match="text is a file, not a folder"):
        AppendFile(tmp_path / "text" / "f")
