"""Participants of a class: joining, leaving and sending messages.

A participant is identified by a random token that is deleted at the end of the lesson. A person from a learning platform
remains one participant for the whole lesson, even if they join repeatedly: the newest page replaces the previous one.

Messages are written in batches, so that thousands of learners need few commits. A message is confirmed only after its
transaction has been committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, text, update

from mien.errors import NotPermittedError, UsageError
from mien.privacy.lesson_bins import MAX_SIGNALS
from mien.privacy.level import Level
from mien.web.classroom import schema
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.links import new_token, token_hash
from mien.web.classroom.locks import lock_classes
from mien.web.classroom.messages import INTERVAL_S, SentMessage
from mien.web.classroom.store import ClassRecord

MAX_PARTICIPANTS: Final = 30_000
_EXTRA_MESSAGES: Final = 3
"""Messages allowed per participant and bin beyond one per interval, for those delayed by a network failure."""

_UPDATE: Final = text(
    "UPDATE class_participants SET last_number = :last_number, bin = :bin, messages = :messages, signal_bin = :signal_bin, "
    "signals = :signals WHERE secret = :row_secret"
)
_JOIN: Final = text(
    "INSERT INTO class_participants "
    "(secret, class_id, notice, last_number, bin, messages, signal_bin, signals, person, has_left) "
    "VALUES (:secret, :class_id, :notice, 0, -1, 0, -1, 0, :person, 0) ON CONFLICT (class_id, person) DO UPDATE SET "
    "replaced = class_participants.secret, secret = excluded.secret, notice = excluded.notice, last_number = 0, has_left = 0"
)
"""A person who joins again keeps their counts of messages in the bin and signals in the lesson, which are limited."""
_COUNTED: Final = ("measured_ms", "facing_ms", *schema.MS_COLUMNS)
_ADD: Final = text(
    f"INSERT INTO class_contributions (class_id, bin, secret, {', '.join(_COUNTED)}, signal) "  # noqa: S608  column names
    f"VALUES (:class_id, :bin, :secret, {', '.join(f':{name}' for name in _COUNTED)}, :signal) "
    "ON CONFLICT (class_id, bin, secret) DO UPDATE SET "
    + ", ".join(f"{name} = class_contributions.{name} + excluded.{name}" for name in _COUNTED)
    + ", signal = CASE WHEN excluded.signal >= 0 THEN excluded.signal ELSE class_contributions.signal END"
)


class MessageOutcome(Enum):
    """The outcome of a message."""

    COUNTED = "counted"
    UNKNOWN = "unknown"
    """The participant has left or never joined."""
    CONTINUED = "continued"
    """The same person has joined from a newer page."""
    REPEATED = "repeated"
    """A message with this or a higher number has already been counted."""
    TOO_MANY = "too many"
    WAITING = "waiting"
    """The lesson has not started."""
    ENDED = "ended"
    NOT_PERMITTED = "not permitted"
    """It contains expressions, which may not be read in this class."""
    INCOMPLETE = "incomplete"
    """It lacks expressions, which this class counts."""


class Participants:
    """The participants of all classes.

    Args:
        database: the database.
        clock: returns seconds since 1970.
    """

    def __init__(self, database: ClassDatabase, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def person_of(self, link: str) -> str | None:
        """Return the keyed hash of the person for whom a link to join was issued; None for a shared link.

        Raises:
            NotPermittedError: the link is for one person, who is no longer known: the lesson is over, or the database was
                restored from a backup. As a shared link, it would let one person take part several times.
        """
        links, persons = schema.links.c, schema.persons.c
        both = schema.links.outerjoin(schema.persons, links.secret == persons.secret)
        query = select(links.personal, persons.person).select_from(both).where(links.secret == token_hash(link))
        with self._database.reading() as connection:
            found = connection.execute(query).first()
        if found is not None and found.personal and found.person is None:
            raise NotPermittedError("this link is no longer valid. Open the class again from your course")
        return None if found is None else found.person

    def has_agreed(self, record: ClassRecord, person: str | None, notice: str) -> bool:
        """Return whether a person currently takes part in a class and has consented to this notice."""
        columns = schema.participants.c
        there = (columns.class_id == record.class_id, columns.person == person, columns.has_left == 0, columns.notice == notice)
        if person is None:
            return False
        with self._database.reading() as connection:
            return bool(connection.scalar(select(func.count()).where(*there)))

    def join(self, record: ClassRecord, notice: str, person: str | None = None) -> str:
        """Add a participant who consented; return their token, which is random and valid until the lesson ends.

        If the person already takes part, the new token replaces the previous one, so that they count once.

        Args:
            record: the class.
            notice: hash of the notice to which they consented.
            person: keyed hash of the person; None if they cannot be recognised.

        Raises:
            NotPermittedError: the lesson is over.
            UsageError: the class is full.
        """
        token = new_token()
        with self._database.writing() as connection:
            found = lock_classes(connection, [record.class_id], shared=True).get(record.class_id)
            if found is None or found["ended_s"] is not None:
                raise NotPermittedError("this lesson is over")
            people = connection.scalar(select(func.count()).where(schema.participants.c.class_id == record.class_id)) or 0
            if people >= MAX_PARTICIPANTS:
                raise UsageError("this class is full")
            secret = token_hash(token)
            row = {"secret": secret, "class_id": record.class_id, "notice": notice, "person": person}
            connection.execute(_JOIN, row)
            before = connection.scalar(select(schema.participants.c.replaced).where(schema.participants.c.secret == secret))
            if before is not None:
                sent = schema.contributions.c
                moved = update(schema.contributions).where(sent.class_id == record.class_id, sent.secret == before)
                connection.execute(moved.values(secret=secret))
        return token

    def leave(self, token: str) -> bool:
        """Erase a participant and their contributions to open bins; return whether there was one.

        A person's keyed hash and number of signals are kept until the lesson ends. Otherwise they could leave and join
        again to get a second privacy budget.

        Raises:
            NotPermittedError: the same person has joined from a newer page.
        """
        secret, columns = token_hash(token), schema.participants.c
        gone = {"secret": token_hash(new_token()), "replaced": None, "has_left": 1}  # an unused token
        with self._database.writing() as connection:
            lock_classes(connection, connection.scalars(select(columns.class_id).where(columns.secret == secret)), shared=True)
            there = update(schema.participants).where(columns.secret == secret, columns.person.is_not(None))
            found = connection.execute(there.values(**gone)).rowcount
            found = found or connection.execute(delete(schema.participants).where(columns.secret == secret)).rowcount
            connection.execute(delete(schema.contributions).where(schema.contributions.c.secret == secret))
            if not found and secret in _replaced(connection, [secret]):
                raise NotPermittedError("you are taking part from another window. Leave there")
        self._database.forget_soon()
        return bool(found)

    def add(self, batch: Sequence[tuple[str, SentMessage]]) -> list[MessageOutcome]:
        """Add messages in one transaction; return the outcome of each.

        Args:
            batch: pairs of a participant's hash and a message.

        Raises:
            DeviceError: the database cannot be used; nothing was added.
        """
        with self._database.writing() as connection:
            return _add(connection, batch, self._clock())


def _add(connection: Connection, batch: Sequence[tuple[str, SentMessage]], now_s: float) -> list[MessageOutcome]:
    columns = schema.participants.c
    wanted = sorted({secret for secret, _ in batch})
    # no bin of these classes is closed meanwhile: closing locks a class exclusively
    theirs = connection.scalars(select(columns.class_id).where(columns.secret.in_(wanted)).distinct())
    lessons = lock_classes(connection, theirs, shared=True)
    rows = select(schema.participants).where(columns.secret.in_(wanted)).order_by(columns.secret).with_for_update()
    people = {row["secret"]: dict(row) for row in connection.execute(rows).mappings()}
    continued = _replaced(connection, [secret for secret in wanted if secret not in people])
    outcomes: list[MessageOutcome] = []
    added: list[dict[str, Any]] = []
    changed: dict[str, dict[str, Any]] = {}
    for secret, message in batch:
        person = people.get(secret)
        lesson = lessons.get(person["class_id"]) if person else None
        if person is None or lesson is None:
            outcomes.append(MessageOutcome.CONTINUED if secret in continued else MessageOutcome.UNKNOWN)
            continue
        outcome, number = _outcome(person, lesson, message, now_s)
        outcomes.append(outcome)
        if outcome is not MessageOutcome.COUNTED:
            continue
        person["messages"] = person["messages"] + 1 if person["bin"] == number else 1
        person["bin"], person["last_number"] = number, message.number
        signal = message.signal
        if signal >= 0 and person["signal_bin"] != number:
            if person["signals"] < MAX_SIGNALS:
                person["signal_bin"], person["signals"] = number, person["signals"] + 1
            else:
                signal = -1
        changed[secret] = person
        if message.measured_ms or signal >= 0:
            row = {"class_id": person["class_id"], "bin": number, "secret": secret, "signal": signal}
            expressions = message.expression_ms or (0,) * len(schema.MS_COLUMNS)
            counts = (message.measured_ms, message.facing_ms, *expressions)
            added.append(row | dict(zip(_COUNTED, counts, strict=True)))
    if changed:
        connection.execute(_UPDATE, [row | {"row_secret": secret} for secret, row in changed.items()])
    if added:
        connection.execute(_ADD, added)
    return outcomes


def _replaced(connection: Connection, secrets: list[str]) -> set[str]:
    """Return the hashes that have been replaced by a newer token."""
    column = schema.participants.c.replaced
    return set(connection.scalars(select(column).where(column.in_(secrets)))) if secrets else set()


def _outcome(person: dict[str, Any], lesson: dict[str, Any], message: SentMessage, now_s: float) -> tuple[MessageOutcome, int]:
    """Return the outcome of a message and its bin."""
    if lesson["started_s"] is None:
        return MessageOutcome.WAITING, 0
    number = max(int((now_s - lesson["started_s"]) // lesson["bin_s"]), lesson["next_bin"])
    if lesson["ended_s"] is not None or number >= lesson["bins"]:
        return MessageOutcome.ENDED, 0
    if message.number <= person["last_number"]:
        return MessageOutcome.REPEATED, 0
    if person["bin"] == number and person["messages"] >= lesson["bin_s"] // INTERVAL_S + _EXTRA_MESSAGES:
        return MessageOutcome.TOO_MANY, 0
    if message.measured_ms:
        if message.expression_ms is not None and lesson["level"] != Level.FULL.value:
            return MessageOutcome.NOT_PERMITTED, 0
        if message.expression_ms is None and lesson["level"] == Level.FULL.value:
            return MessageOutcome.INCOMPLETE, 0
    return MessageOutcome.COUNTED, number
