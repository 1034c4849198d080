"""Erases rows from the database that a session's folder names, if it is not the one in use.

Folders may come from somebody else, so a file is first opened read-only, and opened for writing
only if it is a database of Mien.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mien.errors import MienError, StorageError
from mien.sessions.database_url import open_database
from mien.sessions.erasure import WAIT_S


def is_server(location: str) -> bool:
    """Return whether a location (``Database.location``) is a server's database and not a file.

    >>> is_server("postgresql://db.school.example:5432/mien"), is_server("/home/ada/sessions.db")
    (True, False)
    """
    return "://" in location


def is_lost(location: str) -> bool:
    """Return whether a location is a file that is not here; one that may not be looked at may be here."""
    try:
        return not is_server(location) and not Path(location).is_file()
    except OSError:
        return False


def is_same(one: str, other: str) -> bool:
    """Return whether two locations are the same database."""
    if one == other:
        return True
    try:
        return not is_server(one) and not is_server(other) and Path(one).samefile(other)
    except OSError:
        return False


def erase_in(location: str, session_id: str) -> int:
    """Erase the rows of a session from an SQLite file, and return 1 if there were any.

    Args:
        location: the database that the session's folder names.
        session_id: the session.

    Raises:
        StorageError: the rows may still be there: the file is not here or cannot be changed, or it is a server's database.
    """
    rows = f"its rows in the database {location} were not erased"
    if is_server(location):
        raise StorageError(
            f"{rows}. Run the command again with --db and the URL of that database; "
            f"if the server is gone for good: mien sessions delete --forget-database {session_id}"
        )
    if is_lost(location):
        raise StorageError(
            f"{rows}, because the file was not found. Connect the disk and run the command again; "
            "if the file was moved, pass it with --db. If it is gone for good: mien sessions "
            f"delete --forget-database {session_id}"
        )
    try:
        if not _is_of_mien(Path(location)):
            return 0
        with closing(open_database(location, create=False)) as database:
            return int(database.delete(session_id))
    except (MienError, sqlite3.Error, OSError) as error:
        raise StorageError(f"{rows}: {error}. Run the command again") from error


def _is_of_mien(path: Path) -> bool:
    """Return whether a file is a database of sessions; it is not changed."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", WAIT_S, uri=True)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {"schema_version", "sessions", "tracks", "intervals", "transitions", "events"} <= names
