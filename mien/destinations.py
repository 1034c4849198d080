"""Decides where a session is recorded: its folder, a database, a learning record store, a webhook.

Settings are checked before the first frame, so that a wrong one ends the command and not the session.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mien.errors import DeviceError, NotPermittedError
from mien.messaging.http import is_local_url
from mien.messaging.lrs import LrsSettings
from mien.messaging.sinks import outgoing_sinks
from mien.messaging.webhook import WebhookSettings
from mien.privacy.oversight import Oversight
from mien.privacy.policy import Policy
from mien.sessions.begun import check_erasures
from mien.sessions.database_sink import DatabaseSink
from mien.sessions.database_url import DATABASE_VARIABLE, database_url, is_on_this_computer, open_database
from mien.sessions.folder import SessionFolder, mark_session
from mien.sessions.layout import check_folder, is_running
from mien.sessions.recorder import SessionRecorder, Sink
from mien.sessions.records import KeptSession, SessionRecord
from mien.summaries.views import write_views


def open_recorder(
    oversight: Oversight, session: SessionRecord, database: str = "", environment: Mapping[str, str] = os.environ
) -> SessionRecorder:
    """Return the recorder of a session with the sinks that its policy permits.

    The database is created or migrated at once; no connection to it stays open. The sinks are opened with the first frame.

    Args:
        oversight: what may be stored, and what may leave this computer.
        session: the session at its start.
        database: path or URL of the database; "" for the one in ``MIEN_DB``, or none.
        environment: names the servers; see ``LrsSettings`` and ``WebhookSettings``.

    Raises:
        NotPermittedError: a destination is on another computer, and the policy forbids that.
        MienError: the database cannot be opened, or a server's address is invalid.
    """
    database = database or environment.get(DATABASE_VARIABLE, "")
    _require_permitted(oversight.policy, database, environment)
    opened = open_database(database) if database and oversight.keeps else None
    if opened is not None:
        opened.close()  # it connects again when the session is first stored
    location = opened.location if opened is not None else ""

    if oversight.keeps:
        if is_running(Path(session.folder)):
            raise DeviceError(
                f"{session.folder} is being written by another session or analysis. Choose another folder with --out"
            )
        check_folder(Path(session.folder), oversight.person)
        check_erasures(Path(session.folder), oversight.state)

    def open_sinks() -> Iterator[Sink]:
        folder = Path(session.folder)
        yield SessionFolder(folder, KeptSession(session), write_views)
        mark_session(folder, oversight.policy, oversight.person, oversight.notice.version, location)
        if opened is not None:
            yield DatabaseSink(opened)
        yield from outgoing_sinks(session, environment)

    return SessionRecorder(session, open_sinks, keeps=oversight.keeps)


def _require_permitted(policy: Policy, database: str, environment: Mapping[str, str]) -> None:
    """Refuse destinations on other computers if the policy keeps data on this one.

    Raises:
        NotPermittedError: there is one; it is named.
        UsageError: an address is invalid.
    """
    lrs, webhook = LrsSettings.from_environment(environment), WebhookSettings.from_environment(environment)
    if policy.leaves_machine:
        return
    local = {
        "the learning record store": lrs is None or is_local_url(lrs.endpoint),
        "the webhook": webhook is None or is_local_url(webhook.url),
        "the database": not database or is_on_this_computer(database_url(database)),
    }
    for name in (each for each, is_local in local.items() if not is_local):
        raise NotPermittedError(
            f"{name} is on another computer, and under the rule {policy.rule.name} data must stay on this one. "
            "Use a local one, or declare a deployment that permits it: mien policy init"
        )
