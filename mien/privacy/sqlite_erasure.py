"""Erasing rows of an SQLite database so that their bytes are gone from its files.

A plain DELETE leaves the bytes in free pages, in the write-ahead log and, in some modes, in
the rollback journal. Here deleted content is overwritten (``secure_delete``), the log is
emptied, and the file is built anew (``VACUUM``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, DeviceError

WAIT_S: Final = 10.0
"""How long other programs may hold the database before erasing gives up."""


def erase_rows(path: Path, statements: Sequence[tuple[str, Sequence[Any]]], wait_s: float = WAIT_S) -> int:
    """Run DELETE or UPDATE statements in one transaction, make their old bytes go away, and return how many rows changed.

    Args:
        path: the database.
        statements: SQL with its parameters.
        wait_s: how long to wait for other programs, in seconds.

    Raises:
        DataError: not an SQLite database, or a statement that does not fit it; nothing was changed.
        DeviceError: another program holds the database. Rows may be deleted and their bytes still
            there; run it again.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", wait_s, isolation_level=None, uri=True)) as database:
            database.execute("PRAGMA secure_delete = ON")
            database.execute("PRAGMA temp_store = MEMORY")  # VACUUM's copy stays off the disk
            logged = database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            if not logged:
                database.execute("PRAGMA journal_mode = DELETE")  # a journal that persists would keep the old pages
            database.execute("BEGIN IMMEDIATE")
            before = database.total_changes
            try:
                for sql, parameters in statements:
                    database.execute(sql, parameters)
            except sqlite3.Error:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
            changed = database.total_changes - before
            _empty_log(database, path)
            database.execute("VACUUM")
            _empty_log(database, path)
            return changed
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
        ):
            raise DeviceError(
                f"cannot erase from {path} ({error}). Close other programs that use it, and run it again"
            ) from error
        raise DataError(f"cannot erase from {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path} is not a whole SQLite database ({error})") from error


def _empty_log(database: sqlite3.Connection, path: Path) -> None:
    """Write the write-ahead log back and cut it to nothing; without one this does nothing."""
    busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise DeviceError(f"another program reads {path}, so erased rows still stand in its log. Close it, and run it again")
