"""Sessions in a database: SQLite in a file of the user's, or PostgreSQL by URL.

What is written is one transaction a call, so a reader sees a session whole or as it was
before. It knows records and tables; it knows no frame, no clock and no thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, delete, event, func, insert, make_url, select, update
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, UsageError
from mien.store import schema
from mien.store.session_records import EventRecord, IntervalRecord, KeptSession, SessionRecord, TrackRecord, TransitionRecord
from mien.store.sinks import BUSY_S

_ORDERS: Final = (
    (schema.tracks, "first_s"),
    (schema.intervals, "from_s"),
    (schema.transitions, "before"),
    (schema.events, "number"),
)
"""The parts of a session, and the columns they are sorted by."""


class Database:
    """The sessions of one database; made or brought up to date when it is opened.

    Args:
        url: of SQLAlchemy's form, SQLite or PostgreSQL.

    Raises:
        UsageError: not a URL.
        DataError: the file is not a database of Mien, or one of a newer Mien.
        DeviceError: here or later, when the database cannot be reached or refuses.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise UsageError(
                f"{_without_password(url)} is not a database's URL; use sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME"
            ) from error
        self._file: Path | None = None  # SQLite's, once it is there: its removal would otherwise go unnoticed
        if parsed.get_backend_name() == "sqlite":
            self.place = parsed.database or ""
            self._engine = _sqlite_engine(url, Path(self.place))
        else:
            self.place = parsed.render_as_string(hide_password=True)
            self._engine = create_engine(url)
        try:
            with self._reading() as connection:
                current = schema.is_current(connection, self.place)
            if not current:
                with self._writing() as connection:
                    schema.migrate(connection)
        except BaseException:
            self._engine.dispose()
            raise
        if self._engine.dialect.name == "sqlite":
            self._file = Path(self.place)

    def save(self, kept: KeptSession) -> None:
        """Write a session, or bring it up to date: events are added, the rest is replaced."""
        session_id = kept.session.session_id
        row = asdict(kept.session) | {"started_at": _as_text(kept.session.started_at)}
        with self._writing() as connection:
            changed = connection.execute(update(schema.sessions).where(_of(schema.sessions, session_id)).values(row))
            if not changed.rowcount:
                connection.execute(insert(schema.sessions), row)
            for table, records in _sums(kept):
                connection.execute(delete(table).where(_of(table, session_id)))
                _insert(connection, table, [_row(session_id, record) for record in records])
            there = connection.scalar(select(func.count()).select_from(schema.events).where(_of(schema.events, session_id)))
            new = [
                {"session_id": session_id, "number": number, **asdict(record), "details": dict(record.details)}
                for number, record in enumerate(kept.events)
                if number >= (there or 0)
            ]
            _insert(connection, schema.events, new)

    def sessions(self) -> list[SessionRecord]:
        """Return all sessions, the oldest first."""
        columns = schema.sessions.c
        with self._reading() as connection:
            rows = connection.execute(select(schema.sessions).order_by(columns.started_at, columns.session_id)).mappings().all()
        return [_session(dict(row)) for row in rows]

    def load(self, session_id: str) -> KeptSession | None:
        """Return a session with all that is kept of it; None for an unknown one."""
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
        return KeptSession(
            _session(dict(rows[0])),
            tuple(TrackRecord(**_without(_with_label_s(row), "session_id")) for row in tracks),
            tuple(IntervalRecord(**_without(_with_label_s(row), "session_id")) for row in intervals),
            tuple(TransitionRecord(**_without(row, "session_id")) for row in transitions),
            tuple(EventRecord(**_without(row, "session_id", "number")) for row in events),
        )

    def delete(self, session_id: str) -> bool:
        """Delete a session with all that is kept of it; return whether it was there.

        In an SQLite file its bytes are overwritten too; PostgreSQL does that in its own time.
        """
        with self._writing() as connection:
            found = bool(connection.execute(delete(schema.sessions).where(_of(schema.sessions, session_id))).rowcount)
        if self._file is not None:
            with self._reading() as connection:  # the log of changes holds what was deleted until it is emptied
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return found

    @property
    def is_file(self) -> bool:
        """Whether it is an SQLite file, at ``place``."""
        return self._file is not None

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Yield a connection; what the database refuses becomes a sentence."""
        if self._file is not None and not self._file.exists():
            raise DeviceError(f"the database {self.place} was removed while it was in use")
        try:
            with self._engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            if "file is not a database" in str(error.orig):
                raise DataError(f"{self.place} is not an SQLite database. Name another file") from error
            raise DeviceError(f"cannot use the database {self.place}: {_first_line(error.orig)}") from error
        except SQLAlchemyError as error:
            raise DeviceError(f"cannot use the database {self.place}: {_first_line(error)}") from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a connection within a transaction that writes."""
        with self._reading() as connection:
            connection = connection.execution_options(mien_writes=True)
            with connection.begin():
                yield connection


def _sqlite_engine(url: str, path: Path) -> Engine:
    """Return an engine whose connections wait for one another, and write beside readers (WAL)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f"cannot make the folder {path.parent}: {error.strerror}. Name another database with --db") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin below, not where the driver guesses
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a writer says so at once: a reader that turns writer cannot wait, it fails
        writes = connection.get_execution_options().get("mien_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _sums(kept: KeptSession) -> tuple[tuple[Table, Sequence[TrackRecord | IntervalRecord | TransitionRecord]], ...]:
    """Return what is replaced as a whole whenever a session is saved, by table."""
    return (schema.tracks, kept.tracks), (schema.intervals, kept.intervals), (schema.transitions, kept.transitions)


def _of(table: Table, session_id: str) -> Any:
    return table.c.session_id == session_id


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _row(session_id: str, record: TrackRecord | IntervalRecord | TransitionRecord) -> dict[str, Any]:
    """Return a record as columns: seconds by expression become one column each."""
    row = {"session_id": session_id, **asdict(record)}
    if isinstance(record, TransitionRecord):
        return row
    return row | dict(zip(schema.LABEL_COLUMNS, row.pop("label_s"), strict=True))


def _with_label_s(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns as a record's fields."""
    label_s = tuple(row.pop(name) for name in schema.LABEL_COLUMNS)
    assert len(label_s) == len(EMOTIONS)
    return row | {"label_s": label_s}


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _session(row: dict[str, Any]) -> SessionRecord:
    return SessionRecord(**row | {"started_at": datetime.fromisoformat(row["started_at"])})


def _as_text(moment: datetime) -> str:
    """Return a moment as text that sorts by time: UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _without_password(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//…@", url)


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
