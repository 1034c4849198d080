"""Where one session is kept and told of: its folder, a database, servers; as far as the policy lets it leave.

Everything that can be known to be wrong is wrong before the first frame.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mien.errors import NotPermittedError
from mien.privacy.oversight import Oversight
from mien.privacy.sessions import mark_session
from mien.store.database_sink import DatabaseSink
from mien.store.http import is_this_computer
from mien.store.keeper import SessionKeeper
from mien.store.lrs import LrsSettings
from mien.store.outgoing import outgoing_sinks
from mien.store.place import database_url, open_database
from mien.store.session_folder import SessionFolder
from mien.store.session_records import KeptSession, SessionRecord
from mien.store.sinks import Sink
from mien.store.webhook import WebhookSettings

DATABASE_VARIABLE = "MIEN_DB"


class Keeping:
    """What a session is kept in, opened and judged before it begins.

    Args:
        oversight: what may be kept, and what may leave this computer.
        database: the database that was asked for, "" for the one in ``MIEN_DB``, or none.
        environment: names the servers; see ``LrsSettings`` and ``WebhookSettings``.

    Raises:
        NotPermittedError: something is asked for that may not leave this machine under this policy.
        MienError: the database or a server is named in a way that cannot be used, or cannot be reached.
    """

    def __init__(self, oversight: Oversight, database: str = "", environment: Mapping[str, str] = os.environ) -> None:
        self._oversight, self._environment = oversight, environment
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
        self._database: Sink | None = DatabaseSink(open_database(wish)) if wish else None

    def begin(self, session: SessionRecord) -> SessionKeeper:
        """Return what keeps a session, its folder made; nothing does where nobody agreed to that.

        Raises:
            DeviceError: the disk refuses.
        """
        if not self._oversight.keeps:
            return SessionKeeper(session, [])
        folder, policy = Path(session.folder), self._oversight.policy
        sinks: list[Sink] = [SessionFolder(folder, KeptSession(session))]
        mark_session(folder, policy, self._oversight.person, self._oversight.notice.version)
        if self._database is not None:
            sinks.append(self._database)
        return SessionKeeper(session, [*sinks, *outgoing_sinks(session, self._environment)])
