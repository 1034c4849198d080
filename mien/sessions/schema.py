"""The tables of the database, and their migrations.

Every database is built by running all migrations in order, so a new database and a migrated one
have the same schema. A released migration is never edited; changes are new migrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import JSON, Column, Connection, Float, Integer, MetaData, String, Table, func, inspect, select, text

from mien.emotions import EMOTIONS
from mien.errors import DataError

LABEL_COLUMNS: Final = tuple(f"{name}_s" for name in EMOTIONS)
"""Columns of seconds by expression; NULL in a session in which expressions could not be read."""
_LOCK: Final = 0x6D69656E  # "mien": the advisory lock that is held while a PostgreSQL database is migrated

_metadata = MetaData()
version_table = Table("schema_version", _metadata, Column("version", Integer, nullable=False))
sessions = Table(
    "sessions",
    _metadata,
    Column("session_id", String, primary_key=True),
    *(Column(name, String) for name in ("started_at", "state", "source", "model", "detector", "version", "folder")),
    *(Column(name, String) for name in ("policy", "rule", "person")),
    *(Column(name, Float) for name in ("duration_s", "presence_share")),
    *(
        Column(name, Integer)
        for name in ("frames", "frames_with_face", "faces_max", "captured", "dropped", "readings", "uncertain")
    ),
    Column("unread", JSON),
)
tracks = Table(
    "tracks",
    _metadata,
    Column("session_id", String, primary_key=True),
    Column("track_id", String, primary_key=True),
    Column("first_s", Float),
    Column("last_s", Float),
    Column("readings", Integer),
    Column("uncertain", Integer),
    *(Column(name, Float) for name in (*LABEL_COLUMNS, "facing_s", "away_s")),
)
intervals = Table(
    "intervals",
    _metadata,
    Column("session_id", String, primary_key=True),
    Column("from_s", Float, primary_key=True),
    Column("to_s", Float),
    *(Column(name, Float) for name in (*LABEL_COLUMNS, "unread_s", "facing_s", "away_s", "empty_s")),
)
transitions = Table(
    "transitions",
    _metadata,
    Column("session_id", String, primary_key=True),
    Column("before", String, primary_key=True),
    Column("after", String, primary_key=True),
    Column("count", Integer),
)
events = Table(
    "events",
    _metadata,
    Column("session_id", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("t_s", Float),
    Column("kind", String),
    Column("track_id", String),
    Column("details", JSON),
)
TABLES: Final = (sessions, tracks, intervals, transitions, events)

_NAMES_1: Final = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
_SECONDS_1: Final = ", ".join(f"{name}_s DOUBLE PRECISION NOT NULL" for name in _NAMES_1)
_NULLABLE_SECONDS: Final = tuple(f"{name}_s DOUBLE PRECISION" for name in _NAMES_1)
_OF_SESSION: Final = "session_id VARCHAR NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE"


def _rebuilt(table: str, key: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return statements that rebuild a table with other columns; SQLite cannot change a column."""
    names = ", ".join(("session_id", *(column.split()[0] for column in columns)))
    return (
        f"CREATE TABLE {table}_new ({_OF_SESSION}, {', '.join(columns)}, PRIMARY KEY (session_id, {key}))",
        f"INSERT INTO {table}_new ({names}) SELECT {names} FROM {table}",  # noqa: S608  names of columns above
        f"DROP TABLE {table}",
        f"ALTER TABLE {table}_new RENAME TO {table}",
    )


MIGRATIONS: Final[tuple[Sequence[str], ...]] = (
    (
        "CREATE TABLE sessions (session_id VARCHAR PRIMARY KEY, started_at VARCHAR NOT NULL, state VARCHAR NOT NULL, "
        "source VARCHAR NOT NULL, model VARCHAR NOT NULL, detector VARCHAR NOT NULL, version VARCHAR NOT NULL, "
        "folder VARCHAR NOT NULL, duration_s DOUBLE PRECISION NOT NULL, frames INTEGER NOT NULL, "
        "frames_with_face INTEGER NOT NULL, faces_max INTEGER NOT NULL, captured INTEGER NOT NULL, "
        "dropped INTEGER NOT NULL, readings INTEGER NOT NULL, uncertain INTEGER NOT NULL)",
        "CREATE INDEX sessions_by_start ON sessions (started_at)",
        f"CREATE TABLE tracks ({_OF_SESSION}, track_id VARCHAR NOT NULL, first_s DOUBLE PRECISION NOT NULL, "
        f"last_s DOUBLE PRECISION NOT NULL, readings INTEGER NOT NULL, uncertain INTEGER NOT NULL, {_SECONDS_1}, "
        "PRIMARY KEY (session_id, track_id))",
        f"CREATE TABLE intervals ({_OF_SESSION}, from_s DOUBLE PRECISION NOT NULL, to_s DOUBLE PRECISION NOT NULL, {_SECONDS_1}, "
        "PRIMARY KEY (session_id, from_s))",
        f"CREATE TABLE events ({_OF_SESSION}, number INTEGER NOT NULL, t_s DOUBLE PRECISION NOT NULL, kind VARCHAR NOT NULL, "
        "track_id VARCHAR NOT NULL, details JSON NOT NULL, PRIMARY KEY (session_id, number))",
    ),
    (  # facing the screen, what was not read and why, transitions
        "ALTER TABLE sessions ADD COLUMN unread JSON NOT NULL DEFAULT '{}'",
        *(
            f"ALTER TABLE {table} ADD COLUMN {column} DOUBLE PRECISION NOT NULL DEFAULT 0"
            for table, column in (
                *(("tracks", column) for column in ("facing_s", "away_s")),
                *(("intervals", column) for column in ("unread_s", "facing_s", "away_s", "empty_s")),
            )
        ),
        f"CREATE TABLE transitions ({_OF_SESSION}, before VARCHAR NOT NULL, after VARCHAR NOT NULL, count INTEGER NOT NULL, "
        "PRIMARY KEY (session_id, before, after))",
    ),
    tuple(  # policy, rule and participant
        f"ALTER TABLE sessions ADD COLUMN {column} VARCHAR NOT NULL DEFAULT ''" for column in ("policy", "rule", "person")
    ),
    (  # NULL instead of 0 seconds of an expression if expressions may not be read
        *_rebuilt(
            "tracks",
            "track_id",
            (
                *("track_id VARCHAR NOT NULL", "readings INTEGER NOT NULL", "uncertain INTEGER NOT NULL"),
                *(f"{name} DOUBLE PRECISION NOT NULL" for name in ("first_s", "last_s", "facing_s", "away_s")),
                *_NULLABLE_SECONDS,
            ),
        ),
        *_rebuilt(
            "intervals",
            "from_s",
            (
                *(f"{name} DOUBLE PRECISION NOT NULL" for name in ("from_s", "to_s")),
                *(f"{name} DOUBLE PRECISION NOT NULL" for name in ("unread_s", "facing_s", "away_s", "empty_s")),
                *_NULLABLE_SECONDS,
            ),
        ),
    ),
    ("ALTER TABLE sessions ADD COLUMN presence_share DOUBLE PRECISION",),  # NULL in older sessions
)
"""Statements that migrate version k to version k + 1, in SQL common to SQLite and PostgreSQL."""

VERSION: Final = len(MIGRATIONS)
"""The schema version that this program reads and writes."""


def is_current(connection: Connection, place: str) -> bool:
    """Return whether the database has the current schema.

    Args:
        connection: to the database.
        place: its path or URL, for errors.

    Raises:
        DataError: it was written by a newer version, or is not a database of Mien.
    """
    there = set(inspect(connection).get_table_names())
    if version_table.name not in there:
        foreign = there & {table.name for table in TABLES} if connection.dialect.name != "sqlite" else there
        if foreign:
            raise DataError(f"{place} holds tables of another program ({', '.join(sorted(foreign)[:3])}). Name another database")
        return False
    version = _version(connection)
    if version > VERSION:
        raise DataError(
            f"{place} was written by a newer Mien (schema {version}; this one knows {VERSION}). "
            "Update Mien, or name another database"
        )
    return version == VERSION


def is_there(connection: Connection) -> bool:
    """Return whether the database has a schema of Mien, of whatever version."""
    return inspect(connection).has_table(version_table.name)


def migrate(connection: Connection) -> None:
    """Migrate a database inside the caller's transaction; rows are kept.

    If several programs do so at once, one migrates and the others wait.
    """
    if connection.dialect.name == "postgresql":  # SQLite serialises write transactions itself
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    version_table.create(connection, checkfirst=True)
    version = _version(connection)
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(text(statement))
    connection.execute(version_table.delete())
    connection.execute(version_table.insert(), {"version": VERSION})


def _version(connection: Connection) -> int:
    """Return the stored schema version; 0 if there is none."""
    found = connection.scalar(select(version_table.c.version)) or 0
    if type(found) is not int or found < 0:
        raise DataError(f"the database's schema_version is {str(found)[:40]!r}, which is not a version. Name another database")
    return found
