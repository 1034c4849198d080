"""What a running session sends to servers the user named, and to nobody where none is named.

Sums every few minutes and interventions go to a learning record store, events to a webhook.
Never a frame, a face, a landmark or an embedding. Whatever happens on the way, messages wait
on disk and the session does not wait for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from mien.places import data_folder
from mien.store.courier import Courier
from mien.store.lrs import LrsSettings, StatementSender
from mien.store.outbox import Outbox
from mien.store.session_records import NO_SECONDS, EventRecord, IntervalRecord, KeptSession, SessionRecord
from mien.store.sinks import Sink
from mien.store.webhook import WebhookSender, WebhookSettings, event_message
from mien.store.xapi import Statement, XapiSession, encoded

INTERVENTION: Final = "intervention"
"""Events whose kind begins so are told to the outside; all others stay here."""


def outgoing_sinks(session: SessionRecord, environment: Mapping[str, str] = os.environ) -> list[Sink]:
    """Return a sink for each server that is named in the environment: none, one or two.

    Args:
        session: at its start.
        environment: see ``LrsSettings`` and ``WebhookSettings``.

    Raises:
        UsageError: a server is named in a way that cannot be used.
        DeviceError: the disk refuses the queue.
    """
    lrs, webhook = LrsSettings.from_environment(environment), WebhookSettings.from_environment(environment)
    sinks: list[Sink] = []
    if lrs is not None:
        sinks.append(XapiSink(session, lrs, outbox_file()))
    if webhook is not None:
        sinks.append(WebhookSink(session, webhook, outbox_file()))
    return sinks


def outbox_file() -> Path:
    """Return the file in which messages wait."""
    return data_folder() / "outbox.db"


class _CarriedSink(Sink):
    """Tells a server by a courier.

    Args:
        name: of the server, for people.
        courier: carries the messages.
    """

    def __init__(self, name: str, courier: Courier) -> None:
        self.name, self._courier = name, courier

    def erase(self) -> int:
        return self._courier.drop()

    def abandon(self) -> None:
        self._courier.abandon()

    def notices(self) -> list[str]:
        return self._courier.take_notices()


class XapiSink(_CarriedSink):
    """Tells a learning record store of a session: its beginning, sums by period, interventions, its end.

    Args:
        session: at its start.
        settings: which store.
        queue: the file in which statements wait.
        courier: carries them; one of its own where none is given.
    """

    def __init__(self, session: SessionRecord, settings: LrsSettings, queue: Path, courier: Courier | None = None) -> None:
        name = "learning record store"
        super().__init__(name, courier or Courier(Outbox(queue, f"lrs {settings.endpoint}"), StatementSender(settings), name))
        self._period_s = settings.period_s
        self._told = KeptSession(session)
        self._periods = self._interventions = 0
        self._start_s: float | None = None
        self._waiting: list[EventRecord] = []
        self._names = XapiSession.new(session)
        self._send(self._names.began())

    def add(self, event: EventRecord) -> None:
        if event.kind.startswith(INTERVENTION):
            self._waiting.append(event)
            self._tell_interventions()

    def tick(self, kept: KeptSession) -> None:
        self._start_s = kept.intervals[0].from_s if kept.intervals else None
        self._tell_interventions()
        if kept.session.duration_s - self._told.session.duration_s >= self._period_s:
            self._tell_period(kept)

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self._start_s = kept.intervals[0].from_s if kept.intervals else 0.0
        self._tell_interventions()
        if self._periods and kept.session.duration_s > self._told.session.duration_s:
            self._tell_period(kept)
        self._send(self._names.ended(kept))
        self._courier.close()
        return ()

    def _tell_period(self, kept: KeptSession) -> None:
        """Tell what was added since the last period."""
        part = difference(kept, self._told)
        self._send(self._names.showed(self._periods, self._told.session.duration_s, part))
        self._told, self._periods = kept, self._periods + 1

    def _tell_interventions(self) -> None:
        """Tell the interventions that wait for the session's start to be known on the source's clock."""
        if self._start_s is None:
            return
        for event in self._waiting:
            self._send(self._names.was_offered(self._interventions, event, event.t_s - self._start_s))
            self._interventions += 1
        self._waiting.clear()

    def _send(self, statement: Statement) -> None:
        self._courier.put(statement["id"], encoded(statement))


class WebhookSink(_CarriedSink):
    """Tells a server of the user's own of each intervention, at once.

    Args:
        session: at its start.
        settings: which server.
        queue: the file in which messages wait.
        courier: carries them; one of its own where none is given.
    """

    def __init__(self, session: SessionRecord, settings: WebhookSettings, queue: Path, courier: Courier | None = None) -> None:
        name = "webhook"
        super().__init__(name, courier or Courier(Outbox(queue, f"webhook {settings.url}"), WebhookSender(settings), name))
        self._session = session

    def add(self, event: EventRecord) -> None:
        if event.kind.startswith(INTERVENTION):
            at = self._session.started_at + timedelta(seconds=max(0.0, event.t_s))
            self._courier.put(*event_message(event, self._session.session_id, at))

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self._courier.close()
        return ()


def difference(kept: KeptSession, before: KeptSession) -> KeptSession:
    """Return what was added to a session since an earlier moment, as one slice without tracks and events."""
    late, early = kept.session, before.session
    sums = [_totals(each) for each in (kept, before)]
    seconds = [a - b for a, b in zip(*sums, strict=True)]
    labels = len(NO_SECONDS)
    part = IntervalRecord(early.duration_s, late.duration_s, tuple(seconds[:labels]), *seconds[labels:])
    counted = replace(
        late,
        duration_s=late.duration_s - early.duration_s,
        readings=late.readings - early.readings,
        uncertain=late.uncertain - early.uncertain,
    )
    return KeptSession(counted, intervals=(part,))


def _totals(kept: KeptSession) -> list[float]:
    """Return seconds by expression, then unread, facing, away and empty, over a whole session."""
    rows = [(*row.label_s, row.unread_s, row.facing_s, row.away_s, row.empty_s) for row in kept.intervals]
    return [sum(column) for column in zip(*rows, strict=True)] if rows else [0.0] * (len(NO_SECONDS) + 4)
