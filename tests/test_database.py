"""Sessions in a database: the same on SQLite and on PostgreSQL, with several writers, and from an older file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, UsageError
from mien.store import schema
from mien.store.database import Database
from mien.store.place import database_file, database_url, open_database
from mien.store.session_records import EventRecord, IntervalRecord, KeptSession, SessionRecord, TrackRecord

START = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)


def seconds(**by_name: float) -> tuple[float, ...]:
    return tuple(by_name.get(name, 0.0) for name in EMOTIONS)


def kept(session_id: str = "s1", events: int = 2, **changes: object) -> KeptSession:
    session = SessionRecord(session_id, START, "running", "camera 0", "mien-s", "yunet", "0.4", "results/s1", 12.5, 300, 290, 2)
    return KeptSession(
        replace(session, **changes),
        (TrackRecord("k3f9", 0.0, 12.0, 280, 12, seconds(happy=8.25, sad=3)), TrackRecord("a0c1", 4.0, 5.0)),
        (IntervalRecord(0.0, 10.0, seconds(happy=8.25)), IntervalRecord(10.0, 12.5, seconds(sad=3))),
        tuple(
            EventRecord(float(k), "intervention", "k3f9", {"rule": "pause", "n": [k, None], "tür": "ü"}) for k in range(events)
        ),
    )


@pytest.fixture
def database(database_url: str):
    opened = Database(database_url)
    yield opened
    opened.close()


def test_what_is_saved_comes_back_the_same(database: Database) -> None:
    database.save(kept())
    assert database.load("s1") == kept()
    assert database.sessions() == [kept().session]
    assert database.load("other") is None


def test_saving_again_replaces_sums_and_adds_events(database: Database) -> None:
    database.save(kept(events=1))
    later = replace(kept(events=3, state="ended", frames=400), intervals=(IntervalRecord(0.0, 20.0, seconds(happy=9)),))
    database.save(later)
    assert database.load("s1") == later


def test_sessions_come_in_the_order_of_their_start_wherever_they_were_made(database: Database) -> None:
    tokyo = timezone(timedelta(hours=9))
    for name, moment in (("b", START), ("a", START + timedelta(hours=1)), ("c", (START - timedelta(hours=1)).astimezone(tokyo))):
        database.save(kept(name, started_at=moment))
    assert [session.session_id for session in database.sessions()] == ["c", "b", "a"]


def test_deleting_takes_everything_of_one_session_and_nothing_else(database: Database, database_url: str) -> None:
    database.save(kept("s1"))
    database.save(kept("s2"))
    assert database.delete("s1")
    assert not database.delete("s1")
    assert database.load("s2") == kept("s2")
    engine = create_engine(database_url)
    with engine.connect() as connection:
        for table in schema.TABLES:
            assert {row.session_id for row in connection.execute(table.select())} == {"s2"}
    engine.dispose()


def test_the_tables_are_those_the_program_believes_in(database: Database, database_url: str) -> None:
    engine = create_engine(database_url)
    found = {name: [c["name"] for c in inspect(engine).get_columns(name)] for name in inspect(engine).get_table_names()}
    engine.dispose()
    wanted = {table.name: [column.name for column in table.columns] for table in (*schema.TABLES, schema.version_table)}
    assert {name: sorted(columns) for name, columns in found.items()} == {n: sorted(columns) for n, columns in wanted.items()}


WRITER = """
import sys
from dataclasses import replace
sys.path.insert(0, sys.argv[3])
from test_database import kept
from mien.store.database import Database
database = Database(sys.argv[1])
for k in range(20):
    for events in (3, 7):
        database.save(kept(f"{sys.argv[2]}-{k}", events))
database.close()
"""


def test_four_processes_that_write_at_once_lose_nothing(database_url: str) -> None:
    """Each also tries to make the tables, since the database is empty when all of them start."""
    command = [sys.executable, "-c", WRITER, database_url]
    writers = [
        subprocess.Popen([*command, name, str(Path(__file__).parent)], stderr=subprocess.PIPE, text=True) for name in "abcd"
    ]
    for writer in writers:
        _, said = writer.communicate(timeout=200)
        assert writer.returncode == 0, said
    database = Database(database_url)
    assert len(database.sessions()) == 80
    for name in "abcd":
        for k in range(20):
            assert database.load(f"{name}-{k}") == kept(f"{name}-{k}", 7)
    database.close()


def test_a_reader_sees_a_session_whole_while_another_writes(database_url: str, database: Database) -> None:
    database.save(kept("w-0", 3))
    command = [sys.executable, "-c", WRITER, database_url, "w", str(Path(__file__).parent)]
    writer = subprocess.Popen(command)
    seen = set()
    while writer.poll() is None:
        found = database.load("w-0")
        assert found is not None
        seen.add(len(found.events))
    assert writer.returncode == 0
    assert seen <= {3, 7}


@pytest.mark.skipif(sys.platform == "win32", reason="the lock is held by a POSIX program")
def test_a_writer_waits_for_another_programs_lock(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    hold = (
        "import sqlite3,sys,time; c=sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE')\n"
        "print('x', flush=True); time.sleep(1)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "s.db")], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    database.save(kept())
    assert database.load("s1") == kept()
    assert holder.wait(timeout=20) == 0
    holder.stdout.close()
    database.close()


def test_sqlite_writes_beside_its_readers(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.save(kept())
    other = sqlite3.connect(tmp_path / "s.db")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
    database.save(kept("s2"))  # an open reader does not hold it up
    other.close()
    database.close()


def test_places_and_urls(monkeypatch: pytest.MonkeyPatch, no_home: Path) -> None:
    assert database_file() == no_home / ".local/share/mien/sessions.db"
    assert database_url() == f"sqlite:///{database_file()}"
    monkeypatch.setenv("MIEN_DB", "postgresql://u@h/d")
    assert database_url() == "postgresql+psycopg://u@h/d"
    assert database_url("mine.db") == "sqlite:///mine.db"
    with pytest.raises(UsageError, match="of the kind 'mysql'"):
        database_url("mysql://u@h/d")
    monkeypatch.delenv("MIEN_DB")
    open_database().close()
    assert database_file().is_file()


def test_what_cannot_be_used_is_said_without_the_password(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello " * 1000)
    with pytest.raises(DataError, match=r"text\.db is not an SQLite database"):
        open_database(str(tmp_path / "text.db"))
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE recipes (id)")
    foreign.close()
    with pytest.raises(DataError, match=r"tables of another program \(recipes\)"):
        open_database(str(tmp_path / "foreign.db"))
    with pytest.raises(DeviceError, match="cannot make the folder"):
        open_database(str(tmp_path / "text.db" / "x" / "s.db"))
    with pytest.raises(DeviceError, match="cannot use the database postgresql") as caught:
        open_database("postgresql://u:secret@127.0.0.1:9/d?connect_timeout=2")
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="not a database's URL") as wrong:
        open_database("postgresql://u:secret@host:port/d")
    assert "secret" not in str(wrong.value)


def test_a_newer_database_is_left_alone(database: Database, database_url: str) -> None:
    database.save(kept())
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(schema.version_table.update().values(version=schema.VERSION + 1))
    engine.dispose()
    with pytest.raises(DataError, match=f"newer Mien \\(schema {schema.VERSION + 1}; this one knows {schema.VERSION}\\)"):
        Database(database_url)
