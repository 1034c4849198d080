"""Where one session is kept and told of: its folder, a database, servers; as far as its rules allow.

Everything that can be known to be wrong is wrong before the first frame. Several threads may
use this at once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from mien.errors import NotPermittedError
from mien.privacy.oversight import KEEP, Oversight
from mien.privacy.release import ReleasedResult
from mien.privacy.sessions import mark_session
from mien.store.database_sink import DatabaseSink
from mien.store.http import is_this_computer
from mien.store.keeper import SessionKeeper
from mien.store.lrs import LrsSettings
from mien.store.outgoing import outgoing_sinks
from mien.store.place import DATABASE_VARIABLE, database_url, open_database
from mien.store.session_folder import SessionFolder
from mien.store.session_records import EventRecord, KeptSession, SessionRecord
from mien.store.sinks import Sink
from mien.store.webhook import WebhookSettings

_HEED_EVERY_S: Final = 1.0


class Keeping:
    """Keeps one session, from its first frame on.

    Args:
        oversight: what may be kept, and what may leave this computer.
        session: the session at its start.
        database: the database that was asked for, "" for the one in ``MIEN_DB``, or none.
        environment: names the servers; see ``LrsSettings`` and ``WebhookSettings``.

    Attributes:
        keeps: whether anything is kept.
        files: names of the files that ``finish`` made.

    Raises:
        NotPermittedError: something is asked for that may not leave this computer under this policy.
        MienError: the database or a server is named in a way that cannot be used, or cannot be reached.
    """

    def __init__(
        self, oversight: Oversight, session: SessionRecord, database: str = "", environment: Mapping[str, str] = os.environ
    ) -> None:
        self._oversight, self._session, self._environment = oversight, session, environment
        policy = oversight.policy
        wish = database or environment.get(DATABASE_VARIABLE, "")
        lrs, webhook = LrsSettings.from_environment(environment), WebhookSettings.from_environment(environment)
        servers = {
            "the learning record store": "" if lrs is None else lrs.endpoint,
            "the webhook": "" if webhook is None else webhook.url,
            "the database": database_url(wish) if wish else "",
        }
        for what, url in servers.items():
            if url and not (policy.leaves_machine or is_this_computer(url)):
                raise NotPermittedError(
                    f"{what} is on another computer, and under the rule {policy.rule.name} nothing leaves this one. "
                    "Declare whom you use it on (mien deploy init, then --deployment FILE), or name none"
                )
        self.keeps = oversight.keeps
        self.files: list[str] = []
        self._database: Sink | None = DatabaseSink(open_database(wish)) if wish and self.keeps else None
        self._keeper: SessionKeeper | None = None
        self._lock = threading.RLock()
        self._heeded_s = 0.0

    def update(self, result: ReleasedResult, captured: int, dropped: int) -> None:
        """Take in a frame's faces, and how many frames the source delivered and dropped so far.

        Raises:
            DeviceError: it is the first frame, and the folder cannot be made.
        """
        with self._lock:
            self._begun().update(result, captured, dropped)

    def add(self, event: EventRecord) -> None:
        """Take in an event."""
        with self._lock:
            self._begun().add(event)

    def export(self, more: Mapping[str, Any]) -> list[str]:
        """Bring the files that people read up to date, and go on; return their names, none where nothing is kept."""
        with self._lock:
            return [] if self._keeper is None else self._keeper.export(more)

    def heed(self) -> str:
        """About once a second, see what the person has taken back; return ``SHOW``, ``KEEP``, or "" for nothing new.

        Where keeping was taken back, what was kept is erased before this returns.
        """
        if time.monotonic() - self._heeded_s < _HEED_EVERY_S:
            return ""
        self._heeded_s = time.monotonic()
        taken_back = self._oversight.withdrawn()
        if taken_back != KEEP:
            return taken_back
        if not self.keeps:
            return ""
        self.erase()
        return KEEP

    def erase(self) -> None:
        """Erase what is kept of the session, wherever that is, and keep nothing from now on."""
        with self._lock:
            self.keeps = False
            self._oversight.erased(0 if self._keeper is None else self._keeper.erase())

    def finish(self, state: str, more: Mapping[str, Any]) -> KeptSession:
        """Save everything and return it; see ``SessionKeeper.finish``."""
        with self._lock:
            if self._keeper is None:
                return KeptSession(replace(self._session, state=state), more=more)
            kept = self._keeper.finish(state, more)
            self.files = self._keeper.files
            return kept

    def take_notices(self) -> Sequence[str]:
        """Return sentences for the user since the last call, above all of places that were given up."""
        with self._lock:
            return [] if self._keeper is None else self._keeper.take_notices()

    def _begun(self) -> SessionKeeper:
        """Return what keeps the session; it is made, and the folder with it, when it is first needed."""
        if self._keeper is None:
            self._keeper = SessionKeeper(self._session, self._places() if self.keeps else [])
        return self._keeper

    def _places(self) -> list[Sink]:
        folder = Path(self._session.folder)
        places: list[Sink] = [SessionFolder(folder, KeptSession(self._session))]
        mark_session(folder, self._oversight.policy, self._oversight.person, self._oversight.notice.version)
        if self._database is not None:
            places.append(self._database)
        return [*places, *outgoing_sinks(self._session, self._environment)]
