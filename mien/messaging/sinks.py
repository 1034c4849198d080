"""Sinks that send a running session to the configured servers; none are configured by default.

Periodic summaries and interventions go to a learning record store, interventions to a webhook. Frames,
faces, landmarks and embeddings are never sent. Messages are queued on disk, and the session does not
wait for delivery.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mien.messaging.delivery import DeliveryWorker
from mien.messaging.lrs import LrsSettings, StatementSender
from mien.messaging.outbox import Outbox
from mien.messaging.webhook import WebhookSender, WebhookSettings, event_message
from mien.messaging.xapi import Statement, XapiSession, encoded
from mien.places import data_folder
from mien.sessions.recorder import Sink
from mien.sessions.records import NO_SECONDS, EventRecord, IntervalRecord, KeptSession, SessionRecord

INTERVENTION: Final = "intervention"
"""Prefix of the kinds of events that are sent; all others stay on this computer."""
_LRS: Final = "lrs"
_WEBHOOK: Final = "webhook"
_KINDS: Final = {_LRS: "learning record store", _WEBHOOK: "webhook"}
"""Display names of the kinds of servers, by the first word of a destination."""


def outgoing_sinks(session: SessionRecord, environment: Mapping[str, str] = os.environ) -> Iterator[Sink]:
    """Yield a sink for each server configured in the environment: none, one or two.

    Args:
        session: the session at its start.
        environment: see ``LrsSettings`` and ``WebhookSettings``.

    Raises:
        UsageError: a setting is invalid.
        DeviceError: the queue cannot be written.
    """
    lrs, webhook = LrsSettings.from_environment(environment), WebhookSettings.from_environment(environment)
    if lrs is not None:
        yield XapiSink(session, lrs, outbox_file())
    if webhook is not None:
        yield WebhookSink(session, webhook, outbox_file())


def drop_messages(session_ids: Sequence[str]) -> int:
    """Delete the messages of sessions that were not sent, and return their number.

    Raises:
        DeviceError: the queue cannot be written.
    """
    with open_queue() as queue:
        return queue.drop_sessions(session_ids) if queue else 0


def unsent_messages(session_ids: Sequence[str]) -> list[dict[str, str | float]]:
    """Return the messages of sessions that were not sent; see ``Outbox.unsent``.

    Raises:
        DeviceError: the queue cannot be read.
    """
    with open_queue() as queue:
        return queue.unsent(session_ids) if queue else []


@contextmanager
def open_queue() -> Iterator[Outbox | None]:
    """Yield the message queue of all destinations, None if there is none.

    Raises:
        DeviceError: the queue cannot be read or written.
        DataError: it is not an SQLite database.
    """
    if not outbox_file().is_file():
        yield None
        return
    with closing(Outbox(outbox_file(), "")) as outbox:
        yield outbox


def server_of(destination: str) -> str:
    """Return the display name of a destination: the kind of server and its host, since the rest of a URL may be a secret.

    >>> server_of("webhook https://hooks.school.example/secret")
    'webhook at hooks.school.example'
    """
    kind, _, url = destination.partition(" ")
    try:
        host = urlsplit(url).hostname
    except ValueError:  # a damaged row of the queue, such as "lrs https://[::1"
        host = None
    return f"{_KINDS.get(kind, kind)} at {host or 'an unknown host'}"


def outbox_file() -> Path:
    """Return the path of the message queue."""
    return data_folder() / "outbox.db"


def lrs_worker(settings: LrsSettings, queue: Path, session: str = "") -> DeliveryWorker:
    """Return a worker that delivers queued statements to a learning record store.

    Args:
        settings: settings of the store.
        queue: path of the message queue.
        session: id of the session that the statements are about; "" for none.

    Raises:
        DeviceError: the queue cannot be read or written.
        DataError: it is not an SQLite database.
    """
    outbox = Outbox(queue, f"{_LRS} {settings.endpoint}", session=session)
    return DeliveryWorker(outbox, StatementSender(settings), _KINDS[_LRS])


class _QueuedSink(Sink):
    """Sends to a server through a delivery worker.

    Args:
        name: display name of the server.
        worker: delivers the messages.
    """

    def __init__(self, name: str, worker: DeliveryWorker) -> None:
        self.name, self._worker = name, worker

    def erase(self, *, findable: bool = False) -> int:
        return self._worker.drop()

    def abandon(self) -> None:
        self._worker.abandon()

    def notices(self) -> list[str]:
        return self._worker.take_notices()


class XapiSink(_QueuedSink):
    """Sends statements about a session to a learning record store: start, periods, interventions, end.

    Args:
        session: the session at its start.
        settings: settings of the store.
        queue: path of the message queue.
        worker: delivers the statements; None for a new one.
    """

    def __init__(self, session: SessionRecord, settings: LrsSettings, queue: Path, worker: DeliveryWorker | None = None) -> None:
        super().__init__(_KINDS[_LRS], worker or lrs_worker(settings, queue, session.session_id))
        self._period_s = settings.period_s
        self._reported = KeptSession(session)
        self._periods = self._interventions = 0
        self._start_s: float | None = None
        self._pending: list[EventRecord] = []
        self._statements = XapiSession.new(session)
        self._send(self._statements.initialized())

    def add(self, event: EventRecord) -> None:
        if event.kind.startswith(INTERVENTION):
            self._pending.append(event)
            self._send_interventions()

    def tick(self, kept: KeptSession) -> None:
        self._start_s = kept.intervals[0].from_s if kept.intervals else None
        self._send_interventions()
        if kept.session.duration_s - self._reported.session.duration_s >= self._period_s:
            self._send_period(kept)

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self._start_s = kept.intervals[0].from_s if kept.intervals else 0.0
        self._send_interventions()
        if self._periods and kept.session.duration_s > self._reported.session.duration_s:
            self._send_period(kept)
        self._send(self._statements.terminated(kept))
        self._worker.close()
        return ()

    def _send_period(self, kept: KeptSession) -> None:
        """Send the statement about the time since the last period."""
        part = difference(kept, self._reported)
        self._send(self._statements.showed(self._periods, self._reported.session.duration_s, part))
        self._reported, self._periods = kept, self._periods + 1

    def _send_interventions(self) -> None:
        """Send pending interventions once the start of the session is known on the source's clock."""
        if self._start_s is None:
            return
        for event in self._pending:
            self._send(self._statements.was_offered(self._interventions, event, event.t_s - self._start_s))
            self._interventions += 1
        self._pending.clear()

    def _send(self, statement: Statement) -> None:
        self._worker.put(statement["id"], encoded(statement))


class WebhookSink(_QueuedSink):
    """Sends each intervention to a webhook immediately.

    Args:
        session: the session at its start.
        settings: settings of the webhook.
        queue: path of the message queue.
        worker: delivers the messages; None for a new one.
    """

    def __init__(
        self, session: SessionRecord, settings: WebhookSettings, queue: Path, worker: DeliveryWorker | None = None
    ) -> None:
        name = _KINDS[_WEBHOOK]
        if worker is None:
            outbox = Outbox(queue, f"{_WEBHOOK} {settings.url}", session=session.session_id)
            worker = DeliveryWorker(outbox, WebhookSender(settings), name)
        super().__init__(name, worker)
        self._session = session

    def add(self, event: EventRecord) -> None:
        if event.kind.startswith(INTERVENTION):
            at = self._session.started_at + timedelta(seconds=max(0.0, event.t_s))
            self._worker.put(*event_message(event, self._session.session_id, at))

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self._worker.close()
        return ()


def difference(kept: KeptSession, before: KeptSession) -> KeptSession:
    """Return the difference between a session and an earlier state of it, as one interval without tracks and events."""
    later, earlier = kept.session, before.session
    sums = [_totals(each) for each in (kept, before)]
    seconds = [a - b for a, b in zip(*sums, strict=True)]
    labels = len(NO_SECONDS)
    part = IntervalRecord(earlier.duration_s, later.duration_s, tuple(seconds[:labels]), *seconds[labels:])
    counted = replace(
        later,
        duration_s=later.duration_s - earlier.duration_s,
        readings=later.readings - earlier.readings,
        uncertain=later.uncertain - earlier.uncertain,
    )
    return KeptSession(counted, intervals=(part,))


def _totals(kept: KeptSession) -> list[float]:
    """Return seconds by expression, then unread, facing, away and empty, over a whole session."""
    rows = [(*row.label_s, row.unread_s, row.facing_s, row.away_s, row.empty_s) for row in kept.intervals]
    return [sum(column) for column in zip(*rows, strict=True)] if rows else [0.0] * (len(NO_SECONDS) + 4)
