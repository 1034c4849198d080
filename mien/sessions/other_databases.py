"""The database that a session's folder names, where it is not the one in use: its rows have to be erased as well.

Folders may come from somebody else, so a file is opened for writing only after a look at it without changing it.
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
    """Return whether a location is a file that is not here."""
    return not is_server(location) and not Path(location).is_file()


def is_same(one: str, other: str) -> bool:
    """Return whether two locations are the same database."""
    if one == other:
        return True
    files = not (is_server(one) or is_server(other) or is_lost(one) or is_lost(other))
    return files and Path(one).samefile(other)


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
        raise StorageError(f"{rows}, because that is not the database in use. Run the command again with that database as --db")
    if is_lost(location):
        raise StorageError(
            f"{rows}, because the file was not found. Connect the disk, or pass the file as --db if it was moved, then run the "
            f"command again; if it is gone for good: mien sessions delete {session_id}"
        )
    try:
        if not _is_of_mien(Path(location)):
            return 0
        with closing(open_database(location, create=False)) as database:
            return int(database.delete(session_id))
    except (MienError, sqlite3.Error) as error:
        raise StorageError(f"{rows}: {error}. Run the command again") from error


def _is_of_mien(path: Path) -> bool:
    """Return whether a file is a database of sessions; it is not changed."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", WAIT_S, uri=True)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {"schema_version", "sessions", "tracks", "intervals", "transitions", "events"} <= names
