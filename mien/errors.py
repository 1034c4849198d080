"""Errors that a user can cause, with their exit codes.

A message says what is wrong, which value caused it, and what to do. Any other exception is a bug
and is shown with its traceback.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Final


class MienError(Exception):
    """Base class of all errors that a user can cause."""

    exit_code = 1


class UsageError(MienError):
    """An option, an argument or a setting is invalid."""

    exit_code = 2


class FaultsError(UsageError):
    """A document of the user, such as a rules file, is invalid; the message lists all faults, one per line."""


class NotPermittedError(UsageError):
    """The deployment declaration does not permit the request."""


class DataError(MienError):
    """Input data is missing, broken or of the wrong kind."""

    exit_code = 3


class NoDatabaseError(DataError):
    """The database that was named does not exist."""


class BundleError(DataError):
    """A model file is broken or incompatible with this version."""


class DeviceError(MienError):
    """A camera, a screen, a disk, the network or a package is unavailable."""

    exit_code = 4


class StorageError(DeviceError):
    """Data could not be stored: the disk is full, or the folder or the database was removed during the run."""

    exit_code = 5


_FULL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))
"""Error numbers for a full disk, an exceeded quota and an exceeded file size limit."""
_FULL_DATABASE: Final = {"sqlite_errorname": ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"), "sqlstate": ("53100",)}
"""How errors of SQLite and PostgreSQL say that the disk is full.

``SQLITE_IOERR_SHMSIZE``: no space for the index of the write-ahead log.
"""


def is_full(error: BaseException | None) -> bool:
    """Return whether a write to a file or a database failed because no space is left."""
    in_database = any(getattr(error, name, None) in values for name, values in _FULL_DATABASE.items())
    return in_database or (isinstance(error, OSError) and error.errno in _FULL)


def write_error(message: str, error: BaseException | None) -> DeviceError:
    """Return the error for a failed write: ``StorageError`` if the disk is full or the folder is missing."""
    missing = isinstance(error, OSError) and error.errno == errno.ENOENT
    return StorageError(message) if missing or is_full(error) else DeviceError(message)


def nearest(value: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'demo'?`` for a likely typo, "" if no known value is similar.

    >>> nearest("demmo", ["auto", "demo"])
    " Did you mean 'demo'?"
    """
    spellings = {word.lower(): word for word in known}
    close = get_close_matches(value.lower(), spellings, n=1, cutoff=0.6)
    return f" Did you mean {spellings[close[0]]!r}?" if close else ""


def install_command(extra: str) -> str:
    """Return the command that installs an extra into the Python that runs, from where Mien itself was installed.

    A clone is named by its folder: Mien is not in a package index.
    """
    source = _source_folder()
    editable = "-e " if source and (source / "mien").is_dir() and Path(__file__).is_relative_to(source) else ""
    return f"{_shortened(Path(sys.executable))} -m pip install {editable}'{_shortened(source) if source else 'mien'}[{extra}]'"


def missing_extra(package: str, extra: str, purpose: str) -> DeviceError:
    """Return the error for an optional package that is not installed."""
    return DeviceError(f"{purpose} needs the package {package}. Install it with: {install_command(extra)}")


def missing_package(packages: Iterable[str]) -> str | None:
    """Return the first package that is not installed, None if all are."""
    return next((package for package in packages if find_spec(package) is None), None)


def require(packages: tuple[str, ...], extra: str, purpose: str) -> None:
    """Check that optional packages are installed, before a long job starts.

    Raises:
        DeviceError: a package is missing; the first one is named.
    """
    package = missing_package(packages)
    if package is not None:
        raise missing_extra(package, extra, purpose)


def _source_folder() -> Path | None:
    """Return the folder that Mien runs in or was installed from; None where that is unknown."""
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote

    clone = Path(__file__).resolve().parent.parent
    if (clone / "pyproject.toml").is_file():
        return clone
    try:
        record = json.loads(distribution("mien").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    address = record.get("url", "")
    folder = Path(unquote(address.removeprefix("file://"))) if address.startswith("file://") else None
    return folder if folder is not None and folder.is_dir() else None


def _shortened(path: Path) -> str:
    """Return a path as it is typed in the working folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
