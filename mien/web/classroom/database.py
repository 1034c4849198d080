"""The class server's database: an SQLite file, or PostgreSQL by URL, shared by any number of server processes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from mien.errors import DataError, DeviceError, NoDatabaseError, require
from mien.places import data_folder
from mien.sessions.database import sqlite_engine
from mien.sessions.database_url import database_url
from mien.sessions.postgres import parse_url, place_of, reason_of, with_deadline
from mien.web.classroom import schema

DATABASE_VARIABLE: Final = "MIEN_CLASS_DB"
"""Environment variable that names the database if no option does."""
_CREATED_BY: Final = f"Check --db and {DATABASE_VARIABLE}; mien class serve creates a new one"
_POOL: Final = 8
"""Connections of a process to PostgreSQL."""


def class_database_url(named: str = "") -> str:
    """Return the database URL: ``named``, else ``$MIEN_CLASS_DB``, else a file in the user's data folder.

    Raises:
        UsageError: the URL is of an unsupported kind of database.
    """
    return database_url(named or os.environ.get(DATABASE_VARIABLE, "") or str(data_folder() / "classes.db"))


def open_class_database(named: str = "", *, create: bool = False) -> ClassDatabase:
    """Open the class server's database.

    Args:
        named: see ``class_database_url``.
        create: whether the file and its tables are created if they do not exist; only a server does that.

    Raises:
        UsageError: the URL is not valid.
        NoDatabaseError: the file does not exist, or is not a database of a class server.
        MienError: the database cannot be opened, or a package for it is missing.
    """
    url = class_database_url(named)
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        require(("psycopg",), "postgres", "PostgreSQL")
    elif not create and not Path(parsed.database or "").exists():
        raise NoDatabaseError(f"there is no database {parsed.database}. {_CREATED_BY}")
    return ClassDatabase(url, create=create)


class ClassDatabase:
    """The database, which is created or migrated when it is opened.

    Args:
        url: SQLAlchemy URL of an SQLite or PostgreSQL database.
        create: whether tables are created in a database without them.

    Attributes:
        engine: the SQLAlchemy engine.
        place: path or URL of the database, without passwords.

    Raises:
        UsageError: the URL is not valid.
        DataError: the file is not a database of the class server, or was written by a newer version.
        NoDatabaseError: the database has no tables, and ``create`` is False.
        DeviceError: the database cannot be reached or rejects the connection; later calls raise it too.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        parsed = self._url = parse_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._must_forget = False
        if self.is_sqlite:
            self.place = parsed.database or ""
            self.engine = sqlite_engine(url, Path(self.place))

            @event.listens_for(self.engine, "connect")
            def prepare(connection: Any, _: object) -> None:
                # commits do not wait for the disk: a killed process loses nothing, a power failure at most the latest messages
                connection.execute("PRAGMA synchronous = NORMAL")
        else:
            self.place = place_of(parsed)
            self.engine = create_engine(with_deadline(parsed), pool_size=_POOL, max_overflow=_POOL, pool_pre_ping=True)
        try:
            with self.reading() as connection:
                current = schema.is_current(connection, self.place)
                if not create and not schema.is_there(connection):
                    raise NoDatabaseError(f"{self.place} is not a database of a class server. {_CREATED_BY}")
            if not current:
                with self.writing() as connection:
                    schema.migrate(connection)
        except BaseException:
            self.engine.dispose()
            raise

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def forget_soon(self) -> None:
        """Note that rows were deleted; ``forget_due`` then truncates the log once for many small deletions."""
        self._must_forget = True

    def forget_due(self) -> None:
        """Truncate the log if rows were deleted since it was last truncated."""
        if self._must_forget:
            self.forget_deleted()

    def forget_deleted(self) -> None:
        """Truncate SQLite's write-ahead log, which still contains deleted rows; does nothing for PostgreSQL.

        If another process is reading from the log, ``forget_due`` tries again.
        """
        self._must_forget = False
        if not self.is_sqlite:
            return
        try:
            connection = self.engine.raw_connection()
            try:
                is_busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._must_forget = self._must_forget or bool(is_busy)
            finally:
                connection.close()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise DeviceError(f"cannot use the database {self.place}: {reason_of(error, self._url)}") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction; database errors are raised as errors of Mien."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            if "file is not a database" in str(error.orig):
                raise DataError(f"{self.place} is not an SQLite database. Name another file") from error
            raise DeviceError(f"cannot use the database {self.place}: {reason_of(error.orig, self._url)}") from error
        except SQLAlchemyError as error:
            raise DeviceError(f"cannot use the database {self.place}: {reason_of(error, self._url)}") from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a write transaction, which is committed on exit."""
        with self.reading() as connection:
            connection = connection.execution_options(mien_writes=True)
            with connection.begin():
                yield connection

    def check_writable(self) -> None:
        """Check that the database can be written to, with an update that changes nothing.

        Raises:
            DeviceError: it cannot.
        """
        with self.writing() as connection:
            connection.execute(schema.version_table.update().values(version=schema.version_table.c.version))
