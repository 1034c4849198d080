"""xAPI statements about lessons: class aggregates, sent to a learning record store if one is configured.

Each lesson results in one statement, made from its published numbers when it ends. The actor is the class server, never a
learner or a teacher. The id is derived from the class, so that a store keeps the statement once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from mien.errors import NotPermittedError
from mien.messaging.http import is_local_url
from mien.messaging.lrs import LrsSettings
from mien.messaging.sinks import lrs_worker, outbox_file
from mien.messaging.xapi import ACCOUNTS, BASE, EXTENSIONS, PROFILE, Statement, duration, encoded
from mien.privacy.lesson_bins import SIGNALS, view
from mien.version import VERSION
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.store import ClassRecord, ClassStore, ClosedBin

LESSON_TYPE: Final = f"{BASE}/activity-types/lesson"


def lesson_statement(record: ClassRecord, closed: list[ClosedBin]) -> Statement | None:
    """Return the statement about a lesson that ended; None if nothing was published.

    It contains only the mean of the published bins, which the teacher sees too.
    """
    if record.started_s is None or record.ended_s is None or not closed:
        return None
    mean = view(record.plan, [each.published for each in closed])
    if mean.people is None:
        return None
    name = uuid5(NAMESPACE_URL, f"{BASE}/lessons/{record.class_id}")
    found: dict[str, Any] = {f"{EXTENSIONS}/people": mean.people}
    if mean.measured is not None:
        found[f"{EXTENSIONS}/measured-people"] = mean.measured
        found[f"{EXTENSIONS}/facing-share"] = mean.facing
    if mean.expressions:
        found[f"{EXTENSIONS}/expression-shares"] = dict(zip(record.plan.categories, mean.expressions, strict=True))
    if mean.signals is not None:
        found[f"{EXTENSIONS}/signals"] = dict(zip(SIGNALS, mean.signals, strict=True))
    activity = {"type": LESSON_TYPE, "name": {"en": "A lesson of a class"}}
    return {
        "id": str(name),
        "actor": {"objectType": "Agent", "account": {"homePage": ACCOUNTS, "name": str(uuid5(name, "class"))}},
        "verb": {"id": f"{BASE}/verbs/showed", "display": {"en": "showed"}},
        "object": {"objectType": "Activity", "id": f"{BASE}/activities/lessons/{name}", "definition": activity},
        "context": {
            "registration": str(name),
            "platform": f"Mien {VERSION}",
            "contextActivities": {"category": [{"objectType": "Activity", "id": PROFILE}]},
        },
        "result": {"duration": duration(record.ended_s - record.started_s), "extensions": found},
        "timestamp": datetime.fromtimestamp(record.ended_s, UTC).isoformat(timespec="milliseconds"),
        "version": "1.0.0",
    }


@contextmanager
def statement_sender(database: ClassDatabase, settings: ClassSettings) -> Iterator[Callable[[str], None] | None]:
    """Yield a function that queues the statement about a class whose lesson ended; None without a learning record store.

    Raises:
        NotPermittedError: the store is on another computer, and the policy forbids that.
        UsageError: a setting of the store is invalid.
    """
    lrs = LrsSettings.from_environment()
    if lrs is None:
        yield None
        return
    policy, _ = settings.policy()
    if not policy.leaves_machine and not is_local_url(lrs.endpoint):
        raise NotPermittedError(
            f"the learning record store is on another computer, and under the rule {policy.rule.name} data must stay on this "
            "one. Use a local one, or declare a deployment that permits it: mien policy init"
        )
    store = ClassStore(database)
    worker = lrs_worker(lrs, outbox_file())

    def send(class_id: str) -> None:
        record = store.get(class_id)
        statement = None if record is None else lesson_statement(record, store.closed_bins(class_id))
        if statement is not None:
            worker.put(statement["id"], encoded(statement))

    try:
        yield send
    finally:
        worker.close()
