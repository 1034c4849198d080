"""Sessions in a database: the same on SQLite and on PostgreSQL, with several writers, and from an older file."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from kept_sessions import START, kept, seconds
from sqlalchemy import create_engine, inspect

from mien.errors import DataError, DeviceError, UsageError
from mien.sessions import schema
from mien.sessions.database import Database
from mien.sessions.database_url import database_file, database_url, open_database
from mien.sessions.records import EventRecord, IntervalRecord, SessionRecord, TrackRecord


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


def test_a_row_that_another_program_holds_is_not_waited_for_without_limit(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.save(kept("s1"))
    database.close()
    monkeypatch.setattr(Database, "WAIT_S", 0.2)
    there = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with closing(Database(database_url)) as here, there.connect() as connection:
        connection.exec_driver_sql("BEGIN" if database_url.startswith("postgres") else "BEGIN IMMEDIATE")
        connection.exec_driver_sql("UPDATE sessions SET version = '' WHERE session_id = 's1'")
        with pytest.raises(DeviceError, match="lock"):
            here.delete("s1")
        connection.exec_driver_sql("ROLLBACK")
        assert here.delete("s1")
    there.dispose()


def test_nothing_of_a_deleted_session_is_left_in_an_sqlite_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    for k in range(20):
        database.save(kept(f"secret-session-{k}", events=20, source=f"secret-place-{k}"))
    database.save(kept("other"))
    assert any(b"secret-" in path.read_bytes() for path in tmp_path.iterdir())
    for k in range(20):
        assert database.delete(f"secret-session-{k}")
    assert not any(b"secret-" in path.read_bytes() for path in tmp_path.iterdir())
    assert database.load("other") == kept("other")
    database.close()


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
from kept_sessions import kept
from mien.sessions.database import Database
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
        _, said = writer.communicate(timeout=900)
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
    assert holder.wait(timeout=900) == 0
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
    assert database_url() == database_url("postgres://u@h/d") == "postgresql+psycopg://u@h/d"
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
    with pytest.raises(DeviceError, match=r"the folder .*text\.db"):
        open_database(str(tmp_path / "text.db" / "x" / "s.db"))
    with pytest.raises(DeviceError, match="cannot use the database postgresql") as caught:
        open_database("postgresql://u:secret@127.0.0.1:9/d?connect_timeout=2")
    assert "secret" not in str(caught.value)
    assert "database postgresql://u@127.0.0.1:9/d: " in str(caught.value)
    assert "refused" in str(caught.value)
    with pytest.raises(UsageError, match="not a database URL") as wrong:
        open_database("postgresql://u:secret@host:port/d")
    assert "secret" not in str(wrong.value)


def test_a_server_that_says_nothing_ends_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.sessions.postgres._CONNECT_S", 2)  # libpq's least
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeviceError, match="timeout"):
        open_database(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d")


FIRST_SCHEMA = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (1);
CREATE TABLE sessions (session_id VARCHAR PRIMARY KEY, started_at VARCHAR NOT NULL, state VARCHAR NOT NULL,
    source VARCHAR NOT NULL, model VARCHAR NOT NULL, detector VARCHAR NOT NULL, version VARCHAR NOT NULL, folder VARCHAR NOT NULL,
    duration_s DOUBLE PRECISION NOT NULL, frames INTEGER NOT NULL, frames_with_face INTEGER NOT NULL, faces_max INTEGER NOT NULL,
    captured INTEGER NOT NULL, dropped INTEGER NOT NULL, readings INTEGER NOT NULL, uncertain INTEGER NOT NULL);
CREATE INDEX sessions_by_start ON sessions (started_at);
CREATE TABLE tracks (session_id VARCHAR NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE, track_id VARCHAR NOT NULL,
    first_s DOUBLE PRECISION NOT NULL, last_s DOUBLE PRECISION NOT NULL, readings INTEGER NOT NULL, uncertain INTEGER NOT NULL,
    angry_s DOUBLE PRECISION NOT NULL, disgust_s DOUBLE PRECISION NOT NULL, fear_s DOUBLE PRECISION NOT NULL,
    happy_s DOUBLE PRECISION NOT NULL, neutral_s DOUBLE PRECISION NOT NULL, sad_s DOUBLE PRECISION NOT NULL,
    surprise_s DOUBLE PRECISION NOT NULL, PRIMARY KEY (session_id, track_id));
CREATE TABLE intervals (session_id VARCHAR NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
    from_s DOUBLE PRECISION NOT NULL, to_s DOUBLE PRECISION NOT NULL,
    angry_s DOUBLE PRECISION NOT NULL, disgust_s DOUBLE PRECISION NOT NULL, fear_s DOUBLE PRECISION NOT NULL,
    happy_s DOUBLE PRECISION NOT NULL, neutral_s DOUBLE PRECISION NOT NULL, sad_s DOUBLE PRECISION NOT NULL,
    surprise_s DOUBLE PRECISION NOT NULL, PRIMARY KEY (session_id, from_s));
CREATE TABLE events (session_id VARCHAR NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE, number INTEGER NOT NULL,
    t_s DOUBLE PRECISION NOT NULL, kind VARCHAR NOT NULL, track_id VARCHAR NOT NULL, details JSON NOT NULL,
    PRIMARY KEY (session_id, number));
"""
"""What version 1 was, written down once more: the program's own migrations must not vouch for themselves."""


def write_first_schema(url: str) -> None:
    """Fill an empty database with three sessions as version 1 kept them."""
    statements = [line for line in FIRST_SCHEMA.split(";") if line.strip()]
    for k in range(3):
        statements += [
            f"INSERT INTO sessions VALUES ('old-{k}', '2026-01-0{k + 1}T08:00:00.000+00:00', 'ended', 'camera 0', 'mien-s', "
            f"'yunet', '0.4', '', 60.5, 900, 880, 1, 950, 50, 880, 44)",
            f"INSERT INTO tracks VALUES ('old-{k}', 'k3f9', 0, 60, 880, 44, 0, 0, 0, 40.25, 18, 0, 0)",
            *(f"INSERT INTO intervals VALUES ('old-{k}', {t}, {t + 10}, 0, 0, 0, 7, 3, 0, 0)" for t in range(0, 60, 10)),
            *(f"INSERT INTO events VALUES ('old-{k}', {n}, {n}.5, 'note', '', '{{\"n\": {n}}}')" for n in range(4)),
        ]
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def check_first_schema(database: Database) -> None:
    sessions = database.sessions()
    assert [session.session_id for session in sessions] == ["old-0", "old-1", "old-2"]
    assert sessions[1] == SessionRecord(
        "old-1", datetime(2026, 1, 2, 8, tzinfo=UTC), "ended", "camera 0", "mien-s", "yunet", "0.4", "",
        60.5, 900, 880, 1, 950, 50, 880, 44,
    )  # fmt: skip
    for session in sessions:
        found = database.load(session.session_id)
        assert found is not None
        assert found.tracks == (TrackRecord("k3f9", 0, 60, 880, 44, seconds(happy=40.25, neutral=18)),)
        assert found.intervals == tuple(IntervalRecord(t, t + 10, seconds(happy=7, neutral=3)) for t in range(0, 60, 10))
        assert found.events == tuple(EventRecord(n + 0.5, "note", "", {"n": n}) for n in range(4))


@pytest.mark.parametrize("named", [":memory:", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://?timeout=5"])
def test_a_database_in_memory_is_refused(named: str) -> None:
    with pytest.raises(UsageError, match="lost when the program ends"):
        open_database(named)


def test_an_older_database_keeps_all_its_rows_and_takes_new_ones(database_url: str) -> None:
    write_first_schema(database_url)
    for _ in range(2):  # once brought up to date, once as it then is
        database = Database(database_url)
        check_first_schema(database)
        database.close()
    database = Database(database_url)
    database.save(kept())
    assert database.load("s1") == kept()
    database.close()


def test_several_programs_may_find_an_older_database_at_once(database_url: str) -> None:
    write_first_schema(database_url)
    opening = "import sys; from mien.sessions.database import Database; Database(sys.argv[1]).close()"
    programs = [
        subprocess.Popen([sys.executable, "-c", opening, database_url], stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for program in programs:
        _, said = program.communicate(timeout=900)
        assert program.returncode == 0, said
    database = Database(database_url)
    check_first_schema(database)
    database.close()


def test_a_migration_that_fails_leaves_the_older_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_first_schema(database_url)
    broken = (*schema.MIGRATIONS[:-1], (*schema.MIGRATIONS[-1], "ALTER TABLE nowhere ADD COLUMN x INTEGER"))
    monkeypatch.setattr(schema, "MIGRATIONS", broken)
    with pytest.raises(DeviceError, match="nowhere"):
        Database(database_url)
    monkeypatch.undo()
    database = Database(database_url)
    check_first_schema(database)
    database.close()


def test_a_newer_database_is_left_alone(database: Database, database_url: str) -> None:
    database.save(kept())
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(schema.version_table.update().values(version=schema.VERSION + 1))
    engine.dispose()
    with pytest.raises(DataError, match=f"newer Mien \\(schema {schema.VERSION + 1}; this one knows {schema.VERSION}\\)"):
        Database(database_url)
