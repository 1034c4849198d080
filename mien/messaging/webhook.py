"""Signed webhook messages.

Messages follow the Standard Webhooks specification 1.0 (https://www.standardwebhooks.com), so that
existing libraries can verify them: HMAC-SHA256 over message id, timestamp and body. The id is the same
for every attempt, so that receivers can ignore duplicates.
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
from urllib.parse import urlsplit
from uuid import uuid4

from mien.errors import UsageError
from mien.messaging.delivery import DeliveryStatus, Outcome
from mien.messaging.http import check_url, send
from mien.messaging.lrs import outcome_of
from mien.messaging.outbox import Message
from mien.sessions.records import EventRecord

_PREFIX: Final = "whsec_"
_SENT_DETAILS: Final = ("rule", "message")
_MIN_SECRET_BYTES: Final = 24
"""Minimum length by the specification."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Settings of a webhook.

    Attributes:
        url: URL to post to.
        secret: shared secret, ``whsec_`` and at least 24 random bytes in base64; never sent or shown.

    Raises:
        UsageError: a value is invalid.
    """

    url: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        check_url(self.url, "the webhook (MIEN_WEBHOOK)")
        if len(self.key) < _MIN_SECRET_BYTES:
            raise UsageError(
                f"the webhook secret (MIEN_WEBHOOK_SECRET) must be whsec_ and {_MIN_SECRET_BYTES} or more bytes in base64. "
                "Make one: python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
            )

    @property
    def key(self) -> bytes:
        """The secret as bytes; empty if it is invalid."""
        try:
            return base64.b64decode(self.secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            return b""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> WebhookSettings | None:
        """Return settings from ``MIEN_WEBHOOK`` and ``MIEN_WEBHOOK_SECRET``; None without ``MIEN_WEBHOOK``.

        Raises:
            UsageError: a variable is invalid.
        """
        if not environment.get("MIEN_WEBHOOK"):
            return None
        return cls(environment["MIEN_WEBHOOK"], environment.get("MIEN_WEBHOOK_SECRET", ""))


def sign(key: bytes, message_id: str, sent_s: int, body: bytes) -> str:
    """Return the signature of a message.

    Args:
        key: shared secret.
        message_id: id of the message.
        sent_s: time of the attempt, in whole seconds since 1970; receivers reject old ones.
        body: message body.

    >>> key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    digest = hmac.new(key, f"{message_id}.{sent_s}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")


def event_message(event: EventRecord, session_id: str, at: datetime) -> tuple[str, str]:
    """Return id and body of the message for an event; of its details, only ``_SENT_DETAILS`` are included.

    Args:
        event: the event.
        session_id: id of the session.
        at: time of the event, with time zone.
    """
    details = {name: event.details[name] for name in _SENT_DETAILS if name in event.details}
    document = {
        "type": f"mien.{event.kind}",
        "timestamp": at.isoformat(timespec="milliseconds"),
        "data": {"session": session_id, "t_s": round(event.t_s, 3), "face": event.track_id or None, **details},
    }
    return f"msg_{uuid4().hex}", json.dumps(document, ensure_ascii=False, allow_nan=False)


class WebhookSender:
    """Posts messages to a webhook, with a new signature for each attempt.

    Args:
        settings: settings of the webhook.
        clock: returns seconds since 1970.
    """

    def __init__(self, settings: WebhookSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        parts = urlsplit(settings.url)
        # including the path, because the URL of some receivers is a secret
        self._secrets = [settings.secret, settings.secret.removeprefix(_PREFIX), parts.path.strip("/"), parts.query]

    def __call__(self, message: Message) -> Outcome:
        """Send one message and return the outcome."""
        body, sent_s = message.body.encode(), int(self._clock())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(sent_s),
            "webhook-signature": sign(self._settings.key, message.message_id, sent_s, body),
        }
        response = send("POST", self._settings.url, headers, body)
        if response.is_delivered:
            return Outcome(DeliveryStatus.DELIVERED)
        if response.status == 410 and not response.is_page:
            return Outcome(DeliveryStatus.REJECTED, "HTTP 410: the server accepts no more messages")
        return outcome_of(response, self._secrets)
