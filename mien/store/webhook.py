"""Telling a server of the user's own that something happened, signed so that it can trust the message.

Messages follow the Standard Webhooks specification 1.0 (https://www.standardwebhooks.com), so
that ready-made libraries check them: HMAC-SHA256 over the message's name, the time of sending
and the body. The name is the same at every attempt; a receiver that knows it passes it over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import uuid4

from mien.errors import UsageError
from mien.store.courier import Fate, Outcome
from mien.store.http import check_url, send
from mien.store.lrs import outcome_of
from mien.store.outbox import Message
from mien.store.session_records import EventRecord

_PREFIX: Final = "whsec_"
_TOLD: Final = ("rule", "message")
_LEAST_SECRET: Final = 24
"""Bytes, as the specification asks for."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """A server that the user named.

    Attributes:
        url: where messages are posted.
        secret: ``whsec_`` and at least 24 random bytes in base64; known to both sides, never sent or shown.
    """

    url: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        check_url(self.url, "the webhook (MIEN_WEBHOOK)")
        if len(self.key) < _LEAST_SECRET:
            raise UsageError(
                f"the webhook's secret (MIEN_WEBHOOK_SECRET) must be whsec_ and at least {_LEAST_SECRET} random bytes in base64. "
                "Make one: python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
            )

    @property
    def key(self) -> bytes:
        """The secret as bytes, none for a secret that is not one."""
        try:
            return base64.b64decode(self.secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            return b""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> WebhookSettings | None:
        """Return what ``MIEN_WEBHOOK`` and ``MIEN_WEBHOOK_SECRET`` say; None where no server is named.

        Raises:
            UsageError: one of them cannot be used.
        """
        if not environment.get("MIEN_WEBHOOK"):
            return None
        return cls(environment["MIEN_WEBHOOK"], environment.get("MIEN_WEBHOOK_SECRET", ""))


def sign(key: bytes, message_id: str, sent_s: int, body: bytes) -> str:
    """Return the signature of a message.

    Args:
        key: what both sides know.
        message_id: the message's name.
        sent_s: time of this attempt, in whole seconds since 1970: a receiver refuses old ones.
        body: what is sent.

    >>> key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    digest = hmac.new(key, f"{message_id}.{sent_s}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")


def event_message(event: EventRecord, session_id: str, at: datetime) -> tuple[str, str]:
    """Return name and body of the message for an event; of its details, only those of ``_TOLD`` are told.

    Args:
        event: what happened.
        session_id: in which session.
        at: when, with a time zone.
    """
    told = {name: event.details[name] for name in _TOLD if name in event.details}
    document = {
        "type": f"mien.{event.kind}",
        "timestamp": at.isoformat(timespec="milliseconds"),
        "data": {"session": session_id, "t_s": round(event.t_s, 3), "face": event.track_id or None, **told},
    }
    return f"msg_{uuid4().hex}", json.dumps(document, ensure_ascii=False, allow_nan=False)


class WebhookSender:
    """Posts messages to a server, one at a time, signed anew at each attempt.

    Args:
        settings: which server.
        clock: seconds since 1970.
    """

    def __init__(self, settings: WebhookSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock

    def __call__(self, message: Message) -> Outcome:
        """Return what became of one message."""
        body, sent_s = message.body.encode(), int(self._clock())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Mien",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(sent_s),
            "webhook-signature": sign(self._settings.key, message.message_id, sent_s, body),
        }
        answer = send("POST", self._settings.url, headers, body)
        if 200 <= answer.status < 300:
            return Outcome(Fate.TAKEN)
        if answer.status == 410:
            return Outcome(Fate.NEVER, "HTTP 410: the server wants no more messages")
        return outcome_of(answer)
