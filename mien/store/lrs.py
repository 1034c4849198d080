"""A learning record store (xAPI 1.0.3): handing it one statement, so that it holds each exactly once.

A statement is put under its own id. A store that has it already says so, and that counts as
taken: sending again after a cut line cannot double anything.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from mien.errors import UsageError
from mien.store.courier import Fate, Outcome
from mien.store.http import Answer, check_url, send
from mien.store.outbox import Message

XAPI_VERSION: Final = "1.0.3"
LEAST_PERIOD_S: Final = 60.0
"""Statements sum up at least this long: shorter ones would come near to watching a face live."""
_NEVER: Final = (400, 413, 415, 422)


@dataclass(frozen=True, slots=True)
class LrsSettings:
    """A learning record store that the user named.

    Attributes:
        endpoint: its xAPI URL, below which ``statements`` lies.
        user: for HTTP's basic authentication, "" for none.
        password: the same; never shown.
        period_s: a statement sums up this much of a session, in seconds.
    """

    endpoint: str
    user: str = ""
    password: str = field(default="", repr=False)
    period_s: float = 300.0

    def __post_init__(self) -> None:
        check_url(self.endpoint, "the learning record store (MIEN_LRS)")
        if not self.period_s >= LEAST_PERIOD_S:
            raise UsageError(f"the period of statements is {self.period_s:g} s; it must be {LEAST_PERIOD_S:g} s or more")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> LrsSettings | None:
        """Return what ``MIEN_LRS``, ``MIEN_LRS_USER``, ``_PASSWORD`` and ``_PERIOD`` say; None where no store is named.

        Raises:
            UsageError: one of them cannot be used.
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
    """Hands statements to a store, one at a time.

    Args:
        settings: which store.
    """

    def __init__(self, settings: LrsSettings) -> None:
        self._url = settings.endpoint.rstrip("/") + "/statements?statementId="
        self._headers = {"X-Experience-API-Version": XAPI_VERSION, "Content-Type": "application/json"}
        if settings.user:
            token = base64.b64encode(f"{settings.user}:{settings.password}".encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {token}"

    def __call__(self, message: Message) -> Outcome:
        """Return what became of one statement."""
        url = self._url + quote(message.message_id, safe="")
        answer = send("PUT", url, self._headers, message.body.encode())
        if answer.status in (200, 204, 409):  # 409: a statement of this id is there, and nobody else makes ids like ours
            return Outcome(Fate.TAKEN)
        return outcome_of(answer)


def outcome_of(answer: Answer) -> Outcome:
    """Return what an answer other than success means for a message."""
    if answer.status == 0:
        return Outcome(Fate.CLOSED, f"it does not answer: {answer.body}")
    said = " ".join(answer.body.split())[:200]
    reason = f"HTTP {answer.status}" + (f": {said}" if said else "")
    if answer.status in _NEVER:
        return Outcome(Fate.NEVER, reason)
    if answer.status in (401, 403):
        return Outcome(Fate.CLOSED, f"{reason}. Check its user and password", 60.0)
    if answer.status in (404, 405, 410) or 300 <= answer.status < 400:
        return Outcome(Fate.CLOSED, f"{reason}. Check its URL", 60.0)
    if answer.status in (429, 502, 503, 504):
        return Outcome(Fate.CLOSED, reason, answer.retry_after_s)
    return Outcome(Fate.LATER, reason, answer.retry_after_s)
