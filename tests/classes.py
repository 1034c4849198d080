"""A class server for tests: its application without a socket, a clock that the test moves, and simulated learners."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient

from mien.privacy.lesson_bins import Contribution, LessonPlan, PublishedBin, publish, vector
from mien.web.classroom.app import ClassApp, create_class_app
from mien.web.classroom.closing import GRACE_S, Closer
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.links import LinkKind
from mien.web.classroom.operation import Log
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.store import ClassStore

URL = "http://127.0.0.1:8732"
PLAN = LessonPlan(bin_s=30, bins=6)


class Clock:
    """Seconds since 1970 as a test wants them."""

    def __init__(self) -> None:
        self.now_s = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now_s


def exactly(plan: LessonPlan, number: int, joined: int, contributions: list[Contribution], _: bytes) -> PublishedBin:
    """Publish without noise: for tests of everything around the noise."""
    rows = [row for each in contributions if (row := vector(plan, each)) is not None]
    signals = tuple(float(sum(each.signal == k for each in contributions)) for k in range(3))
    if joined < plan.k:
        return PublishedBin(number)
    if len(rows) < plan.k:
        return PublishedBin(number, float(joined), signals)
    sums = [sum(column) / 1000 for column in zip(*rows, strict=True)]
    return PublishedBin(number, joined, signals, sums[0], sums[1] + sums[0] / 2, tuple(sums[2:]) if plan.expressions else None)


@dataclass
class Server:
    """A running application and what tests need of it."""

    web: ClassApp
    client: TestClient
    clock: Clock
    closer: Closer
    log: io.StringIO

    @property
    def store(self) -> ClassStore:
        return self.web.store

    def pass_bin(self, plan: LessonPlan = PLAN) -> int:
        """Let a bin pass and close it; return how many bins were closed."""
        self.clock.now_s += plan.bin_s + GRACE_S
        closed = self.closer.close_due()
        self.clock.now_s -= GRACE_S
        return closed

    def call(self, method: str, path: str, token: str = "", body: Any = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        return self.client.request(method, path, headers=headers | more.pop("headers", {}), content=content, **more)

    def invitation(self) -> str:
        return self.store.issue(LinkKind.OPEN)

    def join(self, token: str) -> str:
        """Join as a learner who read the notice; return the participant's token."""
        notice = self.call("GET", "/api/lesson", token).json()["notice"]["hash"]
        answer = self.call("POST", "/api/participants", token, {"notice": notice})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["participant"])

    def send(self, participant: str, number: int, **changes: Any) -> int:
        """Send a message; return the status."""
        return int(self.call("POST", "/api/messages", participant, message(number, **changes)).status_code)


def message(number: int, label: str = "neutral", **changes: Any) -> dict[str, Any]:
    body = {"number": number, "measured_s": 10.0, "facing_s": 9.0, "expression_s": {label: 10.0}} | changes
    return {key: value for key, value in body.items() if value is not None}


@contextmanager
def class_server(
    where: str,
    *,
    noise: bool = False,
    tick_s: float = 3600.0,
    on_end: Callable[[str], None] | None = None,
    log: io.StringIO | None = None,
    **settings: Any,
) -> Iterator[Server]:
    """Run the application on a database; bins are closed when the test says so, unless it ticks."""
    clock, log, database = Clock(), log or io.StringIO(), ClassDatabase(where)
    more: dict[str, Any] = {"clock": clock, "on_end": on_end} | ({} if noise else {"publish": exactly})
    try:
        web = create_class_app(ClassSettings(**({"url": URL} | settings)), database, log=Log(log), tick_s=tick_s, **more)
        with TestClient(web.app, base_url=URL) as client:
            yield Server(web, client, clock, Closer(database, clock, publish if noise else exactly, on_end), log)
    finally:
        database.close()
