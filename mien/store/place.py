"""Where sessions are kept unless the user says otherwise. Names places; opens and makes nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mien.errors import UsageError, require
from mien.places import data_folder

if TYPE_CHECKING:
    from mien.store.database import Database

DATABASE_VARIABLE: Final = "MIEN_DB"
"""Names the database where no option does."""
SESSIONS: Final = Path("results/sessions")
"""Folder of the sessions' folders."""
ANALYSES: Final = Path("results/analyses")
"""The same for recordings that were analysed."""


def database_file() -> Path:
    """Return the SQLite file that is used where no database is named."""
    return data_folder() / "sessions.db"


def database_url(wish: str = "") -> str:
    """Return the database to use: the one asked for, else ``$MIEN_DB``, else the user's own file.

    Args:
        wish: a URL (``postgresql+psycopg://…``, ``sqlite:///…``), a path of an SQLite file, or "".

    Raises:
        UsageError: a URL of another kind of database.
    """
    wish = wish or os.environ.get(DATABASE_VARIABLE, "") or str(database_file())
    if "://" not in wish:
        return f"sqlite:///{wish}"
    kind = wish.split("://", 1)[0]
    if kind == "postgresql":
        return wish.replace("postgresql://", "postgresql+psycopg://", 1)
    if kind not in ("sqlite", "postgresql+psycopg"):
        raise UsageError(
            f"the database is of the kind {kind!r}; use a path, sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME"
        )
    return wish


def open_database(wish: str = "") -> Database:
    """Return the database that ``database_url`` names, made or brought up to date.

    Raises:
        UsageError: not a usable URL.
        DataError: the file is not a database of Mien, or one of a newer Mien.
        DeviceError: SQLAlchemy or the driver is not installed, or the database cannot be reached.
    """
    url = database_url(wish)
    require(("sqlalchemy",), "store", "The database of sessions")
    if url.startswith("postgresql"):
        require(("psycopg",), "postgres", "PostgreSQL")
    from mien.store.database import Database

    return Database(url)
