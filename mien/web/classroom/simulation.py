"""A class of simulated learners, with which one person can try out the teacher's page.

Simulated learners take part only in a class that is opened for them and has "simulated" in its title, never in a class of
other people. Numbers, noise and suppression work as in any class.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from mien.emotions import EMOTIONS
from mien.errors import DeviceError, NotPermittedError, UsageError
from mien.loopback import is_loopback
from mien.messaging.http import send
from mien.privacy.lesson_bins import SIGNALS, LessonPlan
from mien.privacy.policy import permit_expressions
from mien.web.classroom.links import token_hash
from mien.web.classroom.messages import INTERVAL_S, SentMessage
from mien.web.classroom.participants import Participants
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.store import ClassStore, OpenedClass

BIN_S: Final = 30
BINS: Final = 12
_LOOK_S: Final = 1.0
_ANSWER_S: Final = 5.0
_WEIGHTS: Final = {"neutral": 6.0, "happy": 2.0, "surprise": 0.7, "sad": 0.5}
_MEASURED: Final = 0.85
"""Probability that the face of a simulated learner is measured in an interval."""
_SIGNAL: Final = 0.02
"""Probability that a simulated learner sends a signal in an interval."""


def open_simulated_class(store: ClassStore, settings: ClassSettings, learners: int) -> OpenedClass:
    """Open a class for simulated learners.

    Args:
        store: the classes.
        settings: settings of the server.
        learners: number of simulated learners, for the title.

    Raises:
        NotPermittedError: a deployment is declared, or the server is not on this computer.
        DeviceError: the server does not answer.
    """
    policy, _ = settings.policy()
    last_host = urlsplit(store.address() or settings.url).hostname or ""
    if policy.leaves_machine or not is_loopback(last_host):
        raise NotPermittedError(
            "mien class simulate needs a trial server on this computer. Start one without a "
            "declaration, then pass the same --db: mien class serve --db trial.db"
        )
    if send("GET", f"{settings.url}/health", {}, timeout_s=_ANSWER_S).status == 0:
        raise DeviceError(f"no class server answers at {settings.url}. Start it with mien class serve, and keep it running")
    plan = LessonPlan(bin_s=BIN_S, bins=BINS, budget=settings.budget, expressions=permit_expressions(policy) is not None)
    return store.open_class(f"Trial with {learners} simulated learners", plan=plan)


def simulate_learners(
    store: ClassStore, class_id: str, learners: int, *, seed: int | None = None, wait: Callable[[float], None] = time.sleep
) -> int:
    """Let simulated learners join a class, send messages while its lesson runs, and leave.

    Args:
        store: the classes.
        class_id: a class of ``open_simulated_class``.
        learners: number of simulated learners.
        seed: seed of what they send; None for a random one.
        wait: waits for some seconds.

    Returns:
        The number of rounds in which messages were sent.

    Raises:
        UsageError: there is no such class.
        DeviceError: the database cannot be used.
    """
    record = store.get(class_id)
    if record is None:
        raise UsageError("there is no such class")
    drawn, participants = random.Random(seed), Participants(store.database, store.clock)  # noqa: S311  no secrets
    tokens: list[str] = []
    rounds = 0
    try:
        for _ in range(learners):
            tokens.append(participants.join(record, "simulated"))
        while (record := store.get(class_id)) is not None and record.state != "ended":
            if record.state == "running":
                rounds += 1
                participants.add([(token_hash(token), _message(drawn, rounds, record.plan.expressions)) for token in tokens])
            wait(INTERVAL_S if record.state == "running" else _LOOK_S)
    finally:
        for token in tokens:
            participants.leave(token)
    return rounds


def _message(drawn: random.Random, number: int, expressions: bool) -> SentMessage:
    """Return the message of one simulated learner."""
    signal = drawn.randrange(len(SIGNALS)) if drawn.random() < _SIGNAL else -1
    if drawn.random() > _MEASURED:
        return SentMessage(number, 0, 0, None, signal)
    measured_ms = drawn.randrange(6000, 1000 * INTERVAL_S + 1)
    facing_ms = round(measured_ms * drawn.uniform(0.5, 1.0))
    if not expressions:
        return SentMessage(number, measured_ms, facing_ms, None, signal)
    label = drawn.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    return SentMessage(number, measured_ms, facing_ms, tuple(measured_ms * (name == label) for name in EMOTIONS), signal)
