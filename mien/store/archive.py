"""Sessions wherever they are kept: in folders, in a database, or in both under one name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DataError, DeviceError, UsageError
from mien.locks import is_in_use
from mien.store.deletion import delete_folder
from mien.store.names import PARTIAL_NAME
from mien.store.place import DATABASE_VARIABLE, database_file, open_database
from mien.store.recovery import find_sessions, folder_session, holds_session, is_finished, load_folder, recover
from mien.store.session_records import KeptSession, SessionRecord

if TYPE_CHECKING:
    from mien.store.database import Database

LAST = "last"
"""Instead of a name: the session that began last."""


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session, and where it is.

    Attributes:
        session: what is known of it without reading much.
        folder: its folder, None where it has none (any more).
        in_database: whether the database has it.
    """

    session: SessionRecord
    folder: Path | None
    in_database: bool


class Archive:
    """The sessions of one folder and, where there is one, of a database.

    Args:
        root: folder of the sessions' folders.
        database: None for folders alone.
    """

    def __init__(self, root: Path, database: Database | None) -> None:
        self._root = root
        self._database = database

    def sessions(self) -> list[FoundSession]:
        """Return all sessions, the oldest first; what a finished folder says goes before what the database says."""
        stored = {session.session_id: session for session in self._database.sessions()} if self._database else {}
        found = [FoundSession(s, Path(s.folder), s.session_id in stored) for s in find_sessions(self._root)]
        for item in found:
            stored.pop(item.session.session_id, None)
        found += [FoundSession(session, _folder_of(session), True) for session in stored.values()]
        return sorted(found, key=lambda item: (item.session.started_at, item.session.session_id))

    def find(self, wish: str) -> FoundSession:
        """Return the session that is meant by its name, the beginning of its name, its folder, or ``last``.

        Raises:
            DataError: there is none.
            UsageError: several begin so.
        """
        folder = Path(wish)
        if folder.is_dir() and holds_session(folder):
            inside = folder_session(folder)
            stored = self._database.load(inside.session_id) if self._database else None
            return FoundSession(inside, folder, stored is not None)
        sessions = self.sessions()
        if wish == LAST and sessions:
            return sessions[-1]
        same = [item for item in sessions if item.session.session_id == wish]
        matching = same or [item for item in sessions if item.session.session_id.startswith(wish)]
        if not matching:
            raise DataError(f"no session {wish!r}. See them all: mien sessions list")
        if len(matching) > 1:
            names = ", ".join(item.session.session_id for item in matching[:3])
            raise UsageError(f"{len(matching)} sessions begin with {wish!r} ({names}, …). Name one of them")
        return matching[0]

    def load(self, found: FoundSession) -> KeptSession:
        """Return all that is kept of a session; one that was killed is finished first."""
        if found.folder is not None:
            if is_finished(found.folder) or is_in_use(found.folder / PARTIAL_NAME):
                return load_folder(found.folder)
            kept = load_folder(found.folder)
            with suppress(DeviceError):  # a folder that cannot be written can still be read
                recover(found.folder)
                if self._database is not None and found.in_database:
                    self._database.save(kept)
            return kept
        assert self._database is not None
        stored = self._database.load(found.session.session_id)
        if stored is None:
            raise DataError(f"the session {found.session.session_id} was deleted a moment ago")
        return stored

    def delete(self, found: FoundSession) -> list[Path]:
        """Delete a session wherever it is kept; return files in its folder that are not Mien's and were left.

        Raises:
            DeviceError: the session is running, or the disk refuses.
        """
        if found.folder is not None and is_in_use(found.folder / PARTIAL_NAME):
            raise DeviceError(f"the session {found.session.session_id} is still running. End it first")
        if self._database is not None:
            self._database.delete(found.session.session_id)
        return delete_folder(found.folder) if found.folder is not None else []


@contextmanager
def open_archive(root: Path, wish: str = "") -> Iterator[Archive]:
    """Yield the archive of a folder and of the user's database, where there is one.

    Args:
        root: folder of the sessions' folders.
        wish: the database as the user named it, or "".
    """
    with users_database(wish) as database:
        yield Archive(root, database)


@contextmanager
def users_database(wish: str = "") -> Iterator[Database | None]:
    """Yield the database that was asked for, by ``wish`` or ``MIEN_DB``, or else the user's own where there is one."""
    asked = bool(wish or environ.get(DATABASE_VARIABLE))
    if not asked and not (database_file().is_file() and find_spec("sqlalchemy")):
        yield None
        return
    database = open_database(wish)
    try:
        yield database
    finally:
        database.close()


def _folder_of(session: SessionRecord) -> Path | None:
    """Return the folder that a database names, where it is there and is this session's: paths may be another computer's."""
    folder = Path(session.folder)
    if not session.folder or not folder.is_dir():
        return None
    return folder if folder_session(folder).session_id == session.session_id else None
