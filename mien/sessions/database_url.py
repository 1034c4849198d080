"""Which database sessions are stored in: the option, ``MIEN_DB``, or the user's own file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mien.errors import UsageError, require
from mien.places import data_folder

if TYPE_CHECKING:
    from mien.sessions.database import Database

DATABASE_VARIABLE: Final = "MIEN_DB"
"""Environment variable that names the database if no option does."""


def database_file() -> Path:
    """Return the SQLite file that is used if no database is named."""
    return data_folder() / "sessions.db"


def database_url(named: str = "") -> str:
    """Return the URL of the database to use: ``named``, else ``$MIEN_DB``, else the user's own file.

    Args:
        named: a URL (``postgresql://…``, ``postgres://…``, ``sqlite:///…``), the path of an SQLite file, or "".

    Raises:
        UsageError: the URL of another kind of database, libpq parameters, or a database in memory.
    """
    named = named or os.environ.get(DATABASE_VARIABLE, "") or str(database_file())
    kind, mark, rest = named.partition("://")
    if named == ":memory:" or (kind == "sqlite" and rest.partition("?")[0] in ("", "/", "/:memory:")):
        raise UsageError(f"the database {named} would be in memory and lost when the program ends. Name a file: sqlite:///PATH")
    if not mark:
        if re.match(r"\s*[A-Za-z_]+\s*=", named):
            raise UsageError(
                "the database is given as parameters, KEY=VALUE; write them as a URL, postgresql+psycopg://USER@HOST/NAME. "
                "A file of such a name is ./KEY=VALUE"
            )
        if re.match(r"\s*[A-Za-z][A-Za-z0-9+.-]+:", named):  # one letter alone is a drive of Windows
            raise UsageError(
                "the database is neither a path nor a URL; a URL begins like postgresql+psycopg:// or sqlite:///. "
                "A file of such a name is ./NAME:…"
            )
        if "?" in named:
            raise UsageError(f"the database's path {named!r} contains '?', which begins parameters in a URL. Rename the file")
        return f"sqlite:///{named}"
    if kind in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if kind not in ("sqlite", "postgresql+psycopg"):
        what = f"of the kind {kind!r}" if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", kind) else "not a valid URL"
        raise UsageError(f"the database is {what}; use a path, sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME")
    return named


def is_on_this_computer(url: str) -> bool:
    """Return whether a database is on this computer: an SQLite file, or PostgreSQL at a local address only.

    Args:
        url: as ``database_url`` returns it.

    Raises:
        UsageError: not a valid URL.
        DeviceError: PostgreSQL's driver is not installed.
    """
    if url.startswith("sqlite"):
        return True
    _require_packages(url)
    from mien.sessions.postgres import connects_here, parse_url

    return connects_here(parse_url(url))


def open_database(named: str = "", *, create: bool = True) -> Database:
    """Return the database that ``database_url`` names, migrated if needed.

    Args:
        named: as for ``database_url``.
        create: whether to create it if it does not exist; commands that only read or erase sessions do not.

    Raises:
        UsageError: not a valid URL.
        DataError: the file is not a database of Mien, or one of a newer version; or it does not exist and is not to be created.
        DeviceError: SQLAlchemy or the driver is not installed, or the database cannot be reached.
    """
    url = database_url(named)
    _require_packages(url)
    from mien.sessions.database import Database

    return Database(url, create=create)


def _require_packages(url: str) -> None:
    require(("sqlalchemy",), "store", "The database of sessions")
    if url.startswith("postgresql"):
        require(("psycopg",), "postgres", "PostgreSQL")
