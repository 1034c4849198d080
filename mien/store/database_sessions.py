"""The sessions of a database, for the rights of the people in them: listed, handed out, erased."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from mien.errors import UsageError
from mien.privacy.sessions import StoredSession
from mien.privacy.sqlite_erasure import erase_rows
from mien.store.database import Database
from mien.store.session_export import session_document


class DatabaseSessions:
    """A ``PersonalStore`` over a database.

    Args:
        database: open; closed by whoever opened it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def sessions(self) -> list[StoredSession]:
        """Return the sessions, oldest first."""
        return [
            StoredSession(
                session.session_id,
                session.started_at + timedelta(seconds=session.duration_s),
                session.person,
                0,  # how many bytes of a shared file are one session's, nobody can say
                (self._database.place,),
            )
            for session in self._database.sessions()
        ]

    def export(self, name: str) -> dict[str, Any]:
        """Return everything that is kept of a session as plain values.

        Raises:
            UsageError: no such session.
        """
        kept = self._database.load(name)
        if kept is None:
            raise UsageError(f"no session called {name!r} in {self._database.place}")
        document: dict[str, Any] = json.loads(json.dumps(session_document(kept)))
        return {self._database.place: document}

    def erase(self, name: str) -> int:
        """Erase a session; in an SQLite file its bytes are gone afterwards, PostgreSQL frees them in its own time (VACUUM).

        Raises:
            UsageError: no such session.
            DeviceError: another program holds the file; run it again.
        """
        if not self._database.delete(name):
            raise UsageError(f"no session called {name!r} in {self._database.place}")
        if self._database.is_file:
            erase_rows(Path(self._database.place), [])
        return 1
