"""Tables of the class server and their migrations.

A database is created by running all migrations in order. A released migration is never edited; changes are new
migrations. Contributions exist only until their bin closes, participants and persons only until their lesson ends.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    func,
    inspect,
    select,
    text,
)

from mien.emotions import EMOTIONS
from mien.errors import DataError

MS_COLUMNS: Final = tuple(f"{name}_ms" for name in EMOTIONS)
"""Columns with the milliseconds of each expression."""
_LOCK: Final = 0x6D69656E636C  # "miencl": advisory lock of ``lock``

_metadata = MetaData()
version_table = Table("class_schema", _metadata, Column("version", Integer, nullable=False))
classes = Table(
    "classes",
    _metadata,
    Column("class_id", String, primary_key=True),
    Column("series", String),
    Column("title", String),
    Column("level", String),
    Column("bin_s", Integer),
    Column("bins", Integer),
    Column("k", Integer),
    Column("budget", Float),
    Column("created_s", Float),
    Column("started_s", Float),
    Column("ended_s", Float),
    Column("next_bin", Integer),
    Column("closed", Integer),
    Column("revision", BigInteger),
    Column("declaration", JSON(none_as_null=True)),
    Column("unreported", Integer),
)
"""``unreported`` is 1 from the end of a lesson until it was reported (``Closer.report_ended``)."""
links = Table(
    "class_links",
    _metadata,
    Column("secret", String, primary_key=True),
    Column("class_id", String),
    Column("kind", String),
    Column("created_s", Float),
    Column("expires_s", Float),
    Column("personal", Integer),
)
"""``personal`` is 1 for a link to join that was issued for one person, whom ``persons`` names until the lesson ends."""
participants = Table(
    "class_participants",
    _metadata,
    Column("secret", String, primary_key=True),
    Column("class_id", String),
    Column("notice", String),
    Column("last_number", Integer),
    Column("bin", Integer),
    Column("messages", Integer),
    Column("signal_bin", Integer),
    Column("signals", Integer),
    Column("person", String),
    Column("replaced", String),
    Column("has_left", Integer),
)
"""``person`` is the keyed hash of a person from a learning platform, else NULL. Rows with a person are kept until the lesson
ends: ``has_left`` is 1 after the person left, and ``replaced`` is the hash of their previous token."""
persons = Table(
    "class_persons",
    _metadata,
    Column("secret", String, primary_key=True),
    Column("class_id", String),
    Column("person", String),
)
"""The person for whom a link to join was issued, by the link's hash."""
contributions = Table(
    "class_contributions",
    _metadata,
    Column("class_id", String, primary_key=True),
    Column("bin", Integer, primary_key=True),
    Column("secret", String, primary_key=True),
    Column("measured_ms", Integer),
    Column("facing_ms", Integer),
    *(Column(name, Integer) for name in MS_COLUMNS),
    Column("signal", Integer),
)
bins = Table(
    "class_bins",
    _metadata,
    Column("class_id", String, primary_key=True),
    Column("bin", Integer, primary_key=True),
    Column("state", String),
    Column("numbers", JSON),
)
marks = Table(
    "class_marks",
    _metadata,
    Column("class_id", String, primary_key=True),
    Column("mark_id", String, primary_key=True),
    Column("kind", String),
    Column("at_s", Float),
    Column("text", String),
)
server = Table("class_server", _metadata, Column("url", String, nullable=False))
"""One row: the address of the server that last used the database, for links to it."""
TABLES: Final = (classes, links, participants, persons, contributions, bins, marks, server)
OF_PARTICIPANTS: Final = (contributions, participants, persons)
"""Tables whose rows are deleted at the end of the lesson."""

_NAMES_1: Final = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
_MS_1: Final = ", ".join(f"{name}_ms INTEGER NOT NULL" for name in _NAMES_1)
_OF_CLASS: Final = "class_id VARCHAR NOT NULL REFERENCES classes (class_id) ON DELETE CASCADE"
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE classes (class_id VARCHAR PRIMARY KEY, series VARCHAR NOT NULL, title VARCHAR NOT NULL, "
        "level VARCHAR NOT NULL, bin_s INTEGER NOT NULL, bins INTEGER NOT NULL, k INTEGER NOT NULL, "
        "budget DOUBLE PRECISION NOT NULL, created_s DOUBLE PRECISION NOT NULL, started_s DOUBLE PRECISION, "
        "ended_s DOUBLE PRECISION, next_bin INTEGER NOT NULL, closed INTEGER NOT NULL, revision BIGINT NOT NULL)",
        "CREATE INDEX classes_by_series ON classes (series)",
        "CREATE TABLE class_links (secret VARCHAR PRIMARY KEY, class_id VARCHAR REFERENCES classes (class_id) ON DELETE CASCADE, "
        "kind VARCHAR NOT NULL, created_s DOUBLE PRECISION NOT NULL, expires_s DOUBLE PRECISION NOT NULL)",
        "CREATE INDEX class_links_by_class ON class_links (class_id)",
        f"CREATE TABLE class_participants (secret VARCHAR PRIMARY KEY, {_OF_CLASS}, notice VARCHAR NOT NULL, "
        "last_number INTEGER NOT NULL, bin INTEGER NOT NULL, messages INTEGER NOT NULL, signal_bin INTEGER NOT NULL, "
        "signals INTEGER NOT NULL)",
        "CREATE INDEX class_participants_by_class ON class_participants (class_id)",
        f"CREATE TABLE class_contributions ({_OF_CLASS}, bin INTEGER NOT NULL, secret VARCHAR NOT NULL, "
        f"measured_ms INTEGER NOT NULL, facing_ms INTEGER NOT NULL, {_MS_1}, "
        "signal INTEGER NOT NULL, PRIMARY KEY (class_id, bin, secret))",
        f"CREATE TABLE class_bins ({_OF_CLASS}, bin INTEGER NOT NULL, state VARCHAR NOT NULL, numbers JSON NOT NULL, "
        "PRIMARY KEY (class_id, bin))",
        f"CREATE TABLE class_marks ({_OF_CLASS}, mark_id VARCHAR NOT NULL, kind VARCHAR NOT NULL, "
        "at_s DOUBLE PRECISION NOT NULL, text VARCHAR NOT NULL, PRIMARY KEY (class_id, mark_id))",
    ),
    ("ALTER TABLE classes ADD COLUMN declaration JSON",),
    (
        "ALTER TABLE class_participants ADD COLUMN person VARCHAR",
        "ALTER TABLE class_participants ADD COLUMN replaced VARCHAR",
        "ALTER TABLE class_participants ADD COLUMN has_left INTEGER NOT NULL DEFAULT 0",
        "CREATE UNIQUE INDEX class_participants_by_person ON class_participants (class_id, person)",
        "CREATE INDEX class_participants_by_replaced ON class_participants (replaced)",
        "CREATE TABLE class_persons (secret VARCHAR PRIMARY KEY REFERENCES class_links (secret) ON DELETE CASCADE, "
        f"{_OF_CLASS}, person VARCHAR NOT NULL)",
        "CREATE INDEX class_persons_by_class ON class_persons (class_id)",
    ),
    (
        "ALTER TABLE class_links ADD COLUMN personal INTEGER NOT NULL DEFAULT 0",
        "UPDATE class_links SET personal = 1 WHERE secret IN (SELECT secret FROM class_persons)",
    ),
    ("CREATE TABLE class_server (url VARCHAR NOT NULL)",),
    ("ALTER TABLE classes ADD COLUMN unreported INTEGER NOT NULL DEFAULT 0",),
)
"""Statements that migrate version k to version k + 1, in SQL that both SQLite and PostgreSQL support."""
VERSION: Final = len(MIGRATIONS)
"""Schema version that this release reads and writes."""


def is_current(connection: Connection, place: str) -> bool:
    """Return whether the database has the current schema.

    Raises:
        DataError: the database was written by a newer version, or is not one of the class server.
    """
    there = set(inspect(connection).get_table_names())
    if version_table.name not in there:
        foreign = there & {table.name for table in TABLES}
        if foreign:
            raise DataError(
                f"{place} contains tables of another program ({', '.join(sorted(foreign)[:3])}). Name another database"
            )
        return False
    version = _version(connection)
    if version > VERSION:
        raise DataError(
            f"{place} was written by a newer Mien (class schema {version}; this one knows {VERSION}). "
            "Update Mien, or name another database"
        )
    return version == VERSION


def is_there(connection: Connection) -> bool:
    """Return whether the database has tables of a class server."""
    return inspect(connection).has_table(version_table.name)


def lock(connection: Connection) -> None:
    """Wait for other transactions that hold this lock, and hold it until the end of the caller's write transaction."""
    if connection.dialect.name == "postgresql":  # SQLite allows only one write transaction at a time
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def migrate(connection: Connection) -> None:
    """Migrate a database inside the caller's transaction; rows are kept.

    If several processes do so at once, one migrates and the others wait.
    """
    lock(connection)
    version_table.create(connection, checkfirst=True)
    for statements in MIGRATIONS[_version(connection) :]:
        for statement in statements:
            connection.execute(text(statement))
    connection.execute(version_table.delete())
    connection.execute(version_table.insert(), {"version": VERSION})


def _version(connection: Connection) -> int:
    return int(connection.scalar(select(version_table.c.version)) or 0)
