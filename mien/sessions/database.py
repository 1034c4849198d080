"""Sessions in a database: an SQLite file, or PostgreSQL by URL.

Each call writes one transaction, so a reader sees a session completely or as it was before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from sqlalchemy import URL, Connection, Engine, Table, create_engine, delete, event, func, insert, select, update
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from mien.documents import conform, parse_json, record_from
from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, NoDatabaseError, StorageError, write_error
from mien.files import close_to_others, make_private, private_folder
from mien.sessions import schema
from mien.sessions.erasure import erase_deleted
from mien.sessions.postgres import location_of, parse_url, place_of, reason_of, with_deadline
from mien.sessions.records import (
    UNKNOWN_START,
    EventRecord,
    IntervalRecord,
    KeptSession,
    SessionRecord,
    TrackRecord,
    TransitionRecord,
)

_ORDERS: Final = (
    (schema.tracks, "first_s"),
    (schema.intervals, "from_s"),
    (schema.transitions, "before"),
    (schema.events, "number"),
)
"""Tables of the parts of a session, and the columns that sort them."""
_CREATED_BY: Final = "Check --db or MIEN_DB; only commands that store sessions, such as mien live, create a database"


class Database:
    """The sessions of a database, which is created or migrated when it is opened.

    Args:
        url: an SQLAlchemy URL of SQLite or PostgreSQL.
        create: whether to create it if it does not exist.

    Attributes:
        place: path or URL of the database, without passwords.
        location: absolute path of the SQLite file, or URL of the server's database without user and password.
        WAIT_S: timeout for other programs that write, in seconds.

    Raises:
        UsageError: not a valid URL.
        DataError: the file is not a database of Mien, or one of a newer version; or it does not exist and is not to be created.
        DeviceError: here or later, if the database cannot be reached or a statement fails.
    """

    WAIT_S: ClassVar = 30.0

    def __init__(self, url: str, *, create: bool = True) -> None:
        parsed = parse_url(url)
        self._url = parsed
        self._file: Path | None = None  # an existing SQLite file, whose removal would go unnoticed otherwise
        if parsed.get_backend_name() == "sqlite":
            self.place = parsed.database or ""
            self.location = str(Path(self.place).absolute())
            if not create and not Path(self.place).is_file():
                raise NoDatabaseError(f"there is no database {self.place}. {_CREATED_BY}")
            self._engine = sqlite_engine(url, Path(self.place))
        else:
            self.place, self.location = place_of(parsed), location_of(parsed)
            self._engine = _postgres_engine(parsed)
        try:
            with self._reading() as connection:
                current = schema.is_current(connection, self.place)
                if not current and not create and not schema.is_there(connection):
                    raise NoDatabaseError(f"{self.place} is not a database of Mien. {_CREATED_BY}")
            if not current:
                with self._writing() as connection:
                    schema.migrate(connection)
        except BaseException:
            self._engine.dispose()
            raise
        if self._engine.dialect.name == "sqlite":
            self._file = Path(self.place)

    def save(self, kept: KeptSession, *, must_exist: bool = False) -> None:
        """Insert or update a session: events are added, all else is replaced. The path of its folder becomes absolute.

        Args:
            kept: the session.
            must_exist: only update it, so that a session that another program has deleted does not come back.

        Raises:
            StorageError: ``must_exist``, and the session is not stored.
        """
        session_id, folder = kept.session.session_id, kept.session.folder
        row = asdict(kept.session) | {
            "started_at": _as_text(kept.session.started_at),
            "folder": str(Path(folder).absolute()) if folder else "",
        }
        with self._writing() as connection:
            changed = connection.execute(update(schema.sessions).where(_of(schema.sessions, session_id)).values(row))
            if must_exist and not changed.rowcount:
                raise StorageError(f"the session was deleted from {self.place} by another program")
            if not changed.rowcount:
                connection.execute(insert(schema.sessions), row)
            for table, records in _sums(kept):
                connection.execute(delete(table).where(_of(table, session_id)))
                _insert(connection, table, [_row(kept.session, record) for record in records])
            there = connection.scalar(select(func.count()).select_from(schema.events).where(_of(schema.events, session_id)))
            new = [
                {"session_id": session_id, "number": number, **asdict(record), "details": dict(record.details)}
                for number, record in enumerate(kept.events)
                if number >= (there or 0)
            ]
            _insert(connection, schema.events, new)

    def sessions(self) -> list[SessionRecord]:
        """Return all sessions, oldest first; broken rows as far as they can be read."""
        columns = schema.sessions.c
        with self._reading() as connection:
            rows = connection.execute(select(schema.sessions).order_by(columns.started_at, columns.session_id)).mappings().all()
        return [session for row in rows if (session := _readable(dict(row))) is not None]

    def has(self, session_id: str) -> bool:
        """Return whether a session is stored."""
        with self._reading() as connection:
            return connection.scalar(select(func.count()).where(_of(schema.sessions, session_id))) != 0

    def load(self, session_id: str) -> KeptSession | None:
        """Return a complete session; None if the id is unknown.

        Raises:
            DataError: its rows are broken.
        """
        with self._reading() as connection:
            rows = connection.execute(select(schema.sessions).where(_of(schema.sessions, session_id))).mappings().all()
            parts = [
                connection.execute(
                    select(table).where(_of(table, session_id)).order_by(table.c[order], *table.primary_key.columns)
                ).mappings().all()
                for table, order in _ORDERS
            ]  # fmt: skip
        if not rows:
            return None
        tracks, intervals, transitions, events = ([dict(row) for row in part] for part in parts)
        try:
            return KeptSession(
                _session(dict(rows[0])),
                tuple(record_from(TrackRecord, _with_label_s(row), "a track") for row in tracks),
                tuple(record_from(IntervalRecord, _with_label_s(row), "a time slice") for row in intervals),
                tuple(record_from(TransitionRecord, row, "a transition") for row in transitions),
                tuple(record_from(EventRecord, row, "an event") for row in events),
            )
        except ValueError as error:
            raise DataError(
                f"the session {session_id} in {self.place} is corrupt ({error}). Delete it: mien sessions delete {session_id}"
            ) from error

    def delete(self, session_id: str) -> bool:
        """Delete all rows of a session; return whether there were any.

        In an SQLite file their bytes are overwritten; PostgreSQL frees them later (VACUUM).

        Raises:
            DeviceError: another program holds the file. The rows are deleted, but their bytes may remain; run the command again.
        """
        with self._writing() as connection:
            found = bool(connection.execute(delete(schema.sessions).where(_of(schema.sessions, session_id))).rowcount)
        if self._file is not None:
            erase_deleted(self._file)  # also after an attempt that deleted the rows and failed here
        return found

    def close(self) -> None:
        """Close all connections. Later calls open new ones."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Yield a connection; errors of the database are raised as errors of Mien."""
        if self._file is not None and not self._file.exists():
            raise DeviceError(f"the database {self.place} was removed while it was in use")
        try:
            with self._engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            if "file is not a database" in str(error.orig):
                raise DataError(f"{self.place} is not an SQLite database. Name another file") from error
            raise write_error(f"cannot use the database {self.place}: {reason_of(error.orig, self._url)}", error.orig) from error
        except SQLAlchemyError as error:
            raise DeviceError(f"cannot use the database {self.place}: {reason_of(error, self._url)}") from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a connection in a write transaction."""
        with self._reading() as connection:
            connection = connection.execution_options(mien_writes=True)
            with connection.begin():
                yield connection


def sqlite_engine(url: str, path: Path) -> Engine:
    """Return an engine whose writers wait for one another and do not block readers (WAL)."""
    try:
        if path.name and path.name != ":memory:":
            private_folder(path.parent)
            for each in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))):
                close_to_others(each)
            make_private(path)  # SQLite would make it world-readable; the log gets the same permissions
    except OSError as error:
        raise write_error(f"cannot use the database {path}: {error.strerror}. Name another one with --db", error) from error
    engine = create_engine(url, connect_args={"timeout": Database.WAIT_S}, json_deserializer=_plain_or_none)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions are started below, not by the driver
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # BEGIN IMMEDIATE waits for other writers; a read transaction that is upgraded would fail instead
        writes = connection.get_execution_options().get("mien_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: URL) -> Engine:
    """Return an engine whose statements wait for locks for ``WAIT_S``, or the user's own limit."""
    engine = create_engine(with_deadline(url), json_deserializer=_plain_or_none)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        limit = f"{Database.WAIT_S:g}s"
        connection.execute("SELECT set_config('lock_timeout', %s, false) WHERE current_setting('lock_timeout') = '0'", (limit,))
        connection.commit()

    return engine


def _sums(kept: KeptSession) -> tuple[tuple[Table, Sequence[TrackRecord | IntervalRecord | TransitionRecord]], ...]:
    """Return the records that are replaced whenever a session is saved, by table."""
    return (schema.tracks, kept.tracks), (schema.intervals, kept.intervals), (schema.transitions, kept.transitions)


def _of(table: Table, session_id: str) -> Any:
    return table.c.session_id == session_id


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _row(session: SessionRecord, record: TrackRecord | IntervalRecord | TransitionRecord) -> dict[str, Any]:
    """Return a record as columns; seconds by expression are one column each, NULL if expressions may not be read."""
    row = {"session_id": session.session_id, **asdict(record)}
    if isinstance(record, TransitionRecord):
        return row
    label_s = row.pop("label_s")
    return row | dict(zip(schema.LABEL_COLUMNS, label_s if session.has_expressions else [None] * len(label_s), strict=True))


def _with_label_s(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns as a record's fields."""
    label_s = tuple(row.pop(name) or 0.0 for name in schema.LABEL_COLUMNS)
    assert len(label_s) == len(EMOTIONS)
    return row | {"label_s": label_s}


def _session(row: dict[str, Any]) -> SessionRecord:
    """Return a row as a record.

    Raises:
        ValueError: a column has the wrong type.
    """
    return record_from(SessionRecord, row | {"started_at": datetime.fromisoformat(str(row["started_at"]))}, "the session")


def _readable(row: dict[str, Any]) -> SessionRecord | None:
    """Return as much of a broken row as can be read; None if its id is not valid."""
    try:
        return _session(row)
    except ValueError:
        person = row["person"] if isinstance(row["person"], str) else ""
    try:
        name = conform(row["session_id"], str, "session_id")
        return SessionRecord(name, UNKNOWN_START, state="interrupted", source="(cannot be read)", person=person)
    except ValueError:
        return None


def _plain_or_none(text: Any) -> Any:
    """Return the value of a JSON column; None if it is not JSON."""
    try:
        return parse_json(text) if isinstance(text, str | bytes) else None  # bytes from PostgreSQL
    except ValueError:
        return None


def _as_text(moment: datetime) -> str:
    """Return a time as text that sorts by time: UTC, in milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
