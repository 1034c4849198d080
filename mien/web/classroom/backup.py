"""Backups of the class server's database without participants and their contributions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mien.errors import DeviceError, UsageError
from mien.files import atomic_path
from mien.web.classroom import schema
from mien.web.classroom.database import ClassDatabase


def backup(database: ClassDatabase, out: Path) -> None:
    """Write a copy of an SQLite database while servers use it.

    Contributions, participants and persons are left out: a copy must not retain data that the server deletes, and must not
    be able to publish a bin a second time.

    Raises:
        UsageError: the database is PostgreSQL, which has its own tools.
        DeviceError: the copy cannot be written.
    """
    if not database.is_sqlite:
        raise UsageError(
            "a PostgreSQL database is backed up with its own tools: pg_dump --exclude-table-data=class_contributions "
            "--exclude-table-data=class_participants --exclude-table-data=class_persons"
        )
    try:
        with (
            atomic_path(out, private=True) as temporary,
            closing(sqlite3.connect(database.place)) as source,
            closing(sqlite3.connect(temporary)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA secure_delete = ON")
            target.execute("PRAGMA journal_mode = DELETE")
            for table in schema.OF_PARTICIPANTS:
                target.execute(f"DELETE FROM {table.name}")  # noqa: S608  a constant name
            target.commit()
            target.execute("VACUUM")
    except (OSError, sqlite3.Error) as error:
        raise DeviceError(f"cannot write the backup {out}: {error}") from error
