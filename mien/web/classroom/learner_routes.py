"""Routes of learners: notice, joining, messages and leaving. None of them returns data about other learners."""

from __future__ import annotations

from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mien.privacy.class_notice import class_notice
from mien.privacy.lesson_bins import MAX_SIGNALS, SIGNALS
from mien.privacy.level import Level
from mien.privacy.notice import Notice
from mien.privacy.policy import Policy
from mien.web.classroom.answers import Access, RefusedError, bearer, body_of, json_of
from mien.web.classroom.links import LinkKind, token_hash
from mien.web.classroom.messages import INTERVAL_S, MAX_BYTES, parse_message
from mien.web.classroom.participants import MessageOutcome, Participants
from mien.web.classroom.store import ClassRecord
from mien.web.classroom.writer import MessageWriter
from mien.web.networks import Networks, described_network
from mien.web.rate_limit import RateLimit, client_of

_REFUSALS: Final = {
    MessageOutcome.UNKNOWN: (401, "You are not in this class: you left, or the lesson is over."),
    MessageOutcome.CONTINUED: (403, "You are now taking part from another window. This one has ended."),
    MessageOutcome.REPEATED: (409, "This message or a later one has already been received."),
    MessageOutcome.TOO_MANY: (429, "Too many messages in this interval."),
    MessageOutcome.WAITING: (425, "The lesson has not started. Nothing was counted."),
    MessageOutcome.ENDED: (410, "The lesson is over. Nothing was counted."),
    MessageOutcome.NOT_PERMITTED: (422, "Expressions are not read in this class. Nothing was counted."),
    MessageOutcome.INCOMPLETE: (422, "The message has no expression_s, which this class counts. Nothing was counted."),
}


class LearnerRoutes:
    """The routes.

    Args:
        policy: the server's policy.
        networks: networks that pages load.
        gate: authorizes requests.
        participants: the participants of the classes.
        writer: stores messages.
    """

    def __init__(
        self,
        policy: Policy,
        networks: Networks,
        gate: Access,
        participants: Participants,
        writer: MessageWriter,
    ) -> None:
        self._policy, self._networks, self._gate = policy, networks, gate
        self._participants, self._writer = participants, writer
        self._joins = RateLimit(burst=2000, per_s=20)
        self._metrics = gate.metrics

    def routes(self) -> list[Route]:
        """Return all routes."""
        guarded = self._gate.guarded
        return [
            Route("/api/lesson", guarded(self._lesson)),
            Route("/api/participants", guarded(self._join), methods=["POST"]),
            Route("/api/participants", guarded(self._leave), methods=["DELETE"]),
            Route("/api/messages", guarded(self._message), methods=["POST"]),
        ]

    def settings(self, _: Request) -> Response:
        """Return the settings of the learner's page that do not depend on the class."""
        described: dict[str, Any] = {
            "detector": described_network(self._networks.detector, "/networks"),
            "model": None,
            "smoothing_s": 0.4,
            "rule": self._policy.rule.name,
            "notices": [],
            "keeps": "",
            "is_class": True,
        }
        return JSONResponse(described)

    async def _lesson(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.JOIN)
        notice = self._notice(record)
        person = await self._person(request, record)
        agreed = await run_in_threadpool(self._participants.has_agreed, record, person, notice.hash)
        model = self._networks.model if record.level is Level.FULL else None
        document: dict[str, Any] = {
            "title": record.title,
            "state": record.state,
            "bin_s": record.plan.bin_s,
            "interval_s": INTERVAL_S,
            "signals": list(SIGNALS),
            "max_signals": MAX_SIGNALS,
            "notice": {"text": notice.text, "version": notice.version, "hash": notice.hash},
            "agreed": agreed,
            "model": described_network(model, "/networks") if model else None,
        }
        return JSONResponse(document)

    async def _person(self, request: Request, record: ClassRecord) -> str | None:
        """Return the keyed hash of the person to whom the request's link belongs; None for a shared link or after the lesson."""
        if record.state == "ended":
            return None
        return await run_in_threadpool(self._participants.person_of, bearer(request))

    def _notice(self, record: ClassRecord) -> Notice:
        """Return the notice of a class, which names the institution responsible for it."""
        days, own = self._gate.store.retention_days(record), self._policy.deployment
        if record.declaration is None:
            return class_notice(own, record.plan, days)
        return class_notice(record.declaration, record.plan, days, host=own)

    async def _join(self, request: Request) -> Response:
        wait_s = self._joins.wait_s(client_of(request))
        if wait_s:
            raise RefusedError(429, "Too many people are joining from this address. Wait a little.", wait_s)
        record = await self._gate.class_of(request, LinkKind.JOIN)
        agreed = (await json_of(request)).get("notice")
        notice = self._notice(record)
        if agreed != notice.hash:
            raise RefusedError(409, "Consent must refer to the current notice. Reload the page and read it.")
        person = await self._person(request, record)
        token = await run_in_threadpool(self._participants.join, record, notice.hash, person)
        self._metrics.count("joins")
        return JSONResponse({"participant": token}, 201)

    async def _leave(self, request: Request) -> Response:
        if await run_in_threadpool(self._participants.leave, bearer(request)):
            self._metrics.count("leaves")
        return Response(status_code=204)

    async def _message(self, request: Request) -> Response:
        secret = token_hash(bearer(request))
        if not secret:
            raise self._gate.unknown(request)
        message = parse_message(await body_of(request, MAX_BYTES))
        outcome = await self._writer.add(secret, message)
        self._metrics.count("messages", f'outcome="{outcome.value}"')
        if outcome is MessageOutcome.COUNTED:
            return Response(status_code=204)
        status, sentence = _REFUSALS[outcome]  # of an unknown participant too: when a lesson ends, all its pages send one more
        raise RefusedError(status, sentence, INTERVAL_S if status in (425, 429) else 0)
