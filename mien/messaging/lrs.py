"""Delivery of statements to a learning record store (xAPI 1.0.3), exactly once.

Statements are sent with PUT under their own id. A conflict means that the store has the statement
already; the statement then counts as delivered, so retries create no duplicates.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from mien.errors import UsageError
from mien.messaging.delivery import DeliveryStatus, Outcome
from mien.messaging.http import Response, check_url, send
from mien.messaging.outbox import Message
from mien.visible import repeats, visible

XAPI_VERSION: Final = "1.0.3"
MIN_PERIOD_S: Final = 60.0
"""Shortest period of a statement, in seconds; shorter ones would amount to live monitoring."""
_PERMANENT: Final = (400, 413, 415, 422)
_RETRY_S: Final = 60.0
_MAX_QUOTED: Final = 200


@dataclass(frozen=True, slots=True)
class LrsSettings:
    """Settings of a learning record store.

    Attributes:
        endpoint: xAPI URL, without ``statements`` and without a query.
        user: user name for HTTP basic authentication, "" for none.
        password: password for HTTP basic authentication; never shown.
        period_s: period summarised by a statement, in seconds, at least ``MIN_PERIOD_S``.

    Raises:
        UsageError: a value is invalid.
    """

    endpoint: str
    user: str = ""
    password: str = field(default="", repr=False)
    period_s: float = 300.0

    def __post_init__(self) -> None:
        check_url(self.endpoint, "the learning record store (MIEN_LRS)")
        if "?" in self.endpoint:
            raise UsageError("the learning record store (MIEN_LRS) contains a query (?); its URL ends before statements")
        if self.endpoint.rstrip("/").casefold().endswith("/statements"):
            raise UsageError("the URL of the learning record store (MIEN_LRS) ends in /statements. Remove that: Mien adds it")
        if not self.period_s >= MIN_PERIOD_S:
            raise UsageError(f"the statement period is {self.period_s:g} s; it must be {MIN_PERIOD_S:g} s or more")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> LrsSettings | None:
        """Return settings from ``MIEN_LRS``, ``MIEN_LRS_USER``, ``MIEN_LRS_PASSWORD`` and ``MIEN_LRS_PERIOD``; None without
        ``MIEN_LRS``.

        Raises:
            UsageError: a variable is invalid.
        """
        if not environment.get("MIEN_LRS"):
            return None
        period = environment.get("MIEN_LRS_PERIOD", "300")
        try:
            period_s = float(period)
        except ValueError as error:
            raise UsageError(f"MIEN_LRS_PERIOD is {period!r}; it must be a number of seconds") from error
        return cls(
            environment["MIEN_LRS"], environment.get("MIEN_LRS_USER", ""), environment.get("MIEN_LRS_PASSWORD", ""), period_s
        )


class StatementSender:
    """Sends statements to a learning record store.

    Args:
        settings: settings of the store.
    """

    def __init__(self, settings: LrsSettings) -> None:
        self._url = settings.endpoint.rstrip("/") + "/statements?statementId="
        self._headers = {"X-Experience-API-Version": XAPI_VERSION, "Content-Type": "application/json"}
        self._secrets = [settings.password]
        if settings.user:
            token = base64.b64encode(f"{settings.user}:{settings.password}".encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {token}"
            self._secrets.append(token)

    def __call__(self, message: Message) -> Outcome:
        """Send one statement and return the outcome."""
        url = self._url + quote(message.message_id, safe="")
        response = send("PUT", url, self._headers, message.body.encode())
        known = response.status == 409 and not response.is_page  # the store already has this unique id
        return Outcome(DeliveryStatus.DELIVERED) if response.is_delivered or known else outcome_of(response, self._secrets)


def outcome_of(response: Response, secrets: Iterable[str]) -> Outcome:
    """Return the outcome for a response to a message that was not delivered.

    Args:
        response: the response, quoted only if it may explain what is wrong with the message.
        secrets: a response that contains one of these is not quoted.
    """
    if response.status == 0:
        return Outcome(DeliveryStatus.UNAVAILABLE, f"no response: {response.body}")
    phrase = next((status.phrase for status in HTTPStatus if status == response.status), "")
    reason = f"HTTP {response.status} {phrase}".rstrip()
    if response.status in _PERMANENT and not response.retry_after_s:
        text = visible(" ".join(response.body.split()))[:_MAX_QUOTED]
        is_quoted = bool(text) and not response.is_page and not repeats(response.body, secrets)
        return Outcome(DeliveryStatus.REJECTED, f"{reason}: {text}" if is_quoted else reason)
    wait_s = max(response.retry_after_s, _RETRY_S)
    if response.status in (401, 403):
        return Outcome(DeliveryStatus.UNAVAILABLE, f"{reason}. Check its user and password", wait_s)
    if response.status in (404, 405, 410) or 300 <= response.status < 400:
        return Outcome(DeliveryStatus.UNAVAILABLE, f"{reason}. Check its URL", wait_s)
    if 200 <= response.status < 300:
        return Outcome(
            DeliveryStatus.UNAVAILABLE,
            f"{reason}, but the response is a web page. Sign in to this network, or check the URL",
            wait_s,
        )
    if response.status in (429, 502, 503, 504, 511) or response.retry_after_s:
        return Outcome(DeliveryStatus.UNAVAILABLE, reason, response.retry_after_s)
    return Outcome(DeliveryStatus.RETRY, reason)
