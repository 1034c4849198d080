"""Classes, their links and their marks.

A class is one lesson. Classes with the same series are lessons of the same teacher, who may compare them. No function
returns data about a single participant.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import uuid4

from sqlalchemy import Connection, delete, func, insert, select, update

from mien.documents import record_from
from mien.errors import UsageError
from mien.privacy.deployment import Deployment, declare, declared_values
from mien.privacy.lesson_bins import LessonPlan, PublishedBin
from mien.privacy.level import Level
from mien.visible import visible
from mien.web.classroom import schema
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.links import LinkKind, is_same, new_token, token_hash
from mien.web.classroom.locks import lock_classes

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0
JOIN_LIFETIME_S: Final = DAY_S
"""Default lifetime of a link to join in seconds."""
MAX_TITLE: Final = 80
MAX_TEXT: Final = 500
MAX_MARKS: Final = 200
MAX_LINKS: Final = 100
"""Maximum number of links that a teacher may issue for a class, not counting short links."""
SHORT_LINK_S: Final = 12 * HOUR_S
"""Lifetime in seconds of a short link, which is issued for each launch from a learning platform."""
MarkKind = Literal["mark", "note"]
BinState = Literal["closed", "gap"]
"""A gap is a bin that was not evaluated because the server was down."""


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """One class, without data about its participants.

    Attributes:
        class_id: random id; it grants no access.
        series: id shared by the lessons of one teacher.
        title: the teacher's title.
        level: what may be read from faces.
        plan: bins and privacy budget.
        created_s: when it was opened, in seconds since 1970.
        started_s: when the lesson started, in seconds since 1970; None before.
        ended_s: when it ended, in seconds since 1970; None before.
        closed: number of closed bins.
        revision: increases with each change that a teacher sees.
        declaration: declaration of the institution responsible for the class; None for the server's own.
    """

    class_id: str
    series: str
    title: str
    level: Level
    plan: LessonPlan
    created_s: float
    started_s: float | None
    ended_s: float | None
    closed: int
    revision: int
    declaration: Deployment | None = None

    @property
    def state(self) -> str:
        """Return ``waiting``, ``running`` or ``ended``."""
        return "waiting" if self.started_s is None else "running" if self.ended_s is None else "ended"


@dataclass(frozen=True, slots=True)
class LessonMark:
    """A teacher's mark or note on the timeline.

    Attributes:
        mark_id: random id.
        kind: ``mark`` for an event in the lesson ("slide 12"), ``note`` for a comment.
        at_s: seconds since the start of the lesson.
        text: the text.
    """

    mark_id: str
    kind: str
    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class ClosedBin:
    """A bin that is over.

    Attributes:
        state: ``closed`` if it was published, ``gap`` if the server was down.
        published: its numbers; a gap has none.
    """

    state: str
    published: PublishedBin


@dataclass(frozen=True, slots=True)
class OpenedClass:
    """A new class and the tokens of its first two links, which cannot be retrieved again.

    Attributes:
        class_id: id of the class.
        teach: token of the link to teach.
        join: token of the link to join.
    """

    class_id: str
    teach: str = field(repr=False)
    join: str = field(repr=False)


class ClassStore:
    """The classes of a database.

    Args:
        database: the database.
        retention_s: time for which a class is kept after it was opened, and lifetime of a link to teach, in seconds.
        clock: returns seconds since 1970.
    """

    def __init__(
        self, database: ClassDatabase, *, retention_s: float = 30 * DAY_S, clock: Callable[[], float] = time.time
    ) -> None:
        self.database, self.retention_s, self.clock = database, retention_s, clock

    def open_class(
        self,
        title: str,
        *,
        plan: LessonPlan | None = None,
        series: str = "",
        join_lifetime_s: float = JOIN_LIFETIME_S,
        declaration: Deployment | None = None,
    ) -> OpenedClass:
        """Open a class in the state ``waiting``; return it with a link to teach and one to join.

        Args:
            title: the teacher's title; control characters are escaped.
            plan: bins and budget; None for the defaults. If it excludes expressions, this class does not read them.
            series: series of an earlier class of the same teacher; "" for a new series.
            join_lifetime_s: lifetime of the link to join in seconds.
            declaration: declaration of the institution responsible for the class; None for the server's own.

        Raises:
            UsageError: the title is empty or too long.
            DeviceError: the database cannot be used.
        """
        plan = plan or LessonPlan()
        class_id, now = uuid4().hex, self.clock()
        row = {
            "class_id": class_id,
            "series": series or uuid4().hex,
            "title": checked_text(title, "the title", MAX_TITLE),
            "level": (Level.FULL if plan.expressions else Level.OBSERVABLES).value,
            "bin_s": plan.bin_s,
            "bins": plan.bins,
            "k": plan.k,
            "budget": plan.budget,
            "created_s": now,
            "next_bin": 0,
            "closed": 0,
            "revision": 1,
            "declaration": None if declaration is None else declared_values(declaration),
        }
        with self.database.writing() as connection:
            connection.execute(insert(schema.classes), row)
            teach = self._issue(connection, LinkKind.TEACH, class_id, now + self.retention_s)
            join = self._issue(connection, LinkKind.JOIN, class_id, now + join_lifetime_s)
        return OpenedClass(class_id, teach, join)

    def issue(
        self, kind: LinkKind, class_id: str | None = None, lifetime_s: float | None = None, person: str | None = None
    ) -> str:
        """Return the token of a new link.

        Args:
            kind: what the link permits.
            class_id: the class; None for a link to open classes.
            lifetime_s: seconds until it expires; None for ``JOIN_LIFETIME_S`` (links to join) or the retention time (others).
            person: keyed hash of the person for whom a link to join is issued; None for a shared link.

        Raises:
            UsageError: there are too many links to the class.
            DeviceError: the database cannot be used.
        """
        columns = schema.links.c
        usual_s = JOIN_LIFETIME_S if kind is LinkKind.JOIN else self.retention_s
        lasts_s = usual_s if lifetime_s is None else lifetime_s
        counted = (columns.class_id == class_id, columns.expires_s - columns.created_s > SHORT_LINK_S + 1)  # rounding
        with self.database.writing() as connection:
            there = connection.scalar(select(func.count()).where(*counted)) or 0 if lasts_s > SHORT_LINK_S else 0
            if class_id is not None and there >= MAX_LINKS:
                raise UsageError(f"this class already has {MAX_LINKS} links. Revoke some of them first")
            token = self._issue(connection, kind, class_id, self.clock() + lasts_s, is_personal=person is not None)
            if person is not None:
                row = {"secret": token_hash(token), "class_id": class_id, "person": person}
                connection.execute(insert(schema.persons), row)
            return token

    def _issue(
        self, connection: Connection, kind: LinkKind, class_id: str | None, expires_s: float, *, is_personal: bool = False
    ) -> str:
        token = new_token()
        row = {"secret": token_hash(token), "class_id": class_id, "kind": kind.value, "created_s": self.clock()}
        connection.execute(insert(schema.links), row | {"expires_s": expires_s, "personal": int(is_personal)})
        return token

    def revoke(self, kind: LinkKind, class_id: str | None = None, *, but: str = "") -> int:
        """Revoke all links of a kind to a class with immediate effect; return their number.

        Args:
            kind: the kind of links.
            class_id: the class; None for links to open classes.
            but: token of a link to keep.
        """
        columns = schema.links.c
        wanted = (columns.kind == kind.value, columns.class_id == class_id, columns.secret != token_hash(but))
        with self.database.writing() as connection:
            lock_classes(connection, [] if class_id is None else [class_id])
            revoked = connection.execute(delete(schema.links).where(*wanted)).rowcount
        self.database.forget_soon()
        return revoked

    def remember_address(self, url: str) -> None:
        """Store the address at which a server runs, in place of an earlier one."""
        with self.database.writing() as connection:
            schema.lock(connection)  # servers that start together leave one row
            connection.execute(delete(schema.server))
            connection.execute(insert(schema.server), {"url": url})

    def address(self) -> str:
        """Return the address at which a server last ran; "" if none has."""
        with self.database.reading() as connection:
            return connection.scalar(select(schema.server.c.url)) or ""

    def has_invitation(self) -> bool:
        """Return whether there is a valid link to open classes."""
        columns = schema.links.c
        query = select(func.count()).where(columns.kind == LinkKind.OPEN.value, columns.expires_s > self.clock())
        with self.database.reading() as connection:
            return bool(connection.scalar(query))

    def permits(self, token: str, kind: LinkKind) -> bool:
        """Return whether a token belongs to a valid link of a kind."""
        return self._link(token, kind) is not None

    def class_of(self, token: str, kind: LinkKind) -> ClassRecord | None:
        """Return the class of a token; None if the token is unknown, revoked, expired or of another kind."""
        link = self._link(token, kind)
        return None if link is None or link["class_id"] is None else self.get(link["class_id"])

    def _link(self, token: str, kind: LinkKind) -> dict[str, Any] | None:
        secret = token_hash(token)
        if not secret:
            return None
        with self.database.reading() as connection:
            found = connection.execute(select(schema.links).where(schema.links.c.secret == secret)).mappings().first()
        if found is None or not is_same(found["secret"], secret) or found["kind"] != kind.value:
            return None
        return dict(found) if self.clock() < found["expires_s"] else None

    def get(self, class_id: str) -> ClassRecord | None:
        """Return a class; None for an unknown one."""
        with self.database.reading() as connection:
            row = connection.execute(select(schema.classes).where(schema.classes.c.class_id == class_id)).mappings().first()
        return None if row is None else _class(dict(row))

    def series(self, series: str) -> list[ClassRecord]:
        """Return the lessons of a series, oldest first."""
        columns = schema.classes.c
        with self.database.reading() as connection:
            rows = connection.execute(select(schema.classes).where(columns.series == series).order_by(columns.created_s))
            return [_class(dict(row)) for row in rows.mappings()]

    def start(self, class_id: str) -> bool:
        """Start the lesson; return False if it had already started."""
        columns = schema.classes.c
        statement = update(schema.classes).where(columns.class_id == class_id, columns.started_s.is_(None))
        with self.database.writing() as connection:
            return bool(connection.execute(statement.values(started_s=self.clock(), revision=columns.revision + 1)).rowcount)

    def erase(self, class_id: str) -> bool:
        """Erase a class and all its data; return whether it existed."""
        with self.database.writing() as connection:
            erased = _erase(connection, [class_id]) > 0
        self.database.forget_deleted()
        return erased

    def erase_old(self) -> int:
        """Erase expired links and classes whose retention time has expired; return the number of classes."""
        now = self.clock()
        columns, expiry = schema.classes.c, schema.links.c.expires_s
        with self.database.reading() as connection:
            old = list(connection.scalars(select(columns.class_id).where(columns.created_s < now - self.retention_s)))
            rows = connection.execute(select(schema.classes).where(columns.declaration.is_not(None))).mappings()
            others = [_class(dict(row)) for row in rows]
            old += [each.class_id for each in others if each.created_s < now - DAY_S * self.retention_days(each)]
            theirs = list(connection.scalars(select(schema.links.c.class_id).where(expiry < now).distinct()))
        if not old and not theirs:
            return 0
        with self.database.writing() as connection:
            lock_classes(connection, [*old, *(class_id for class_id in theirs if class_id is not None)])
            connection.execute(delete(schema.links).where(expiry < now))
            erased = _erase(connection, old)
        self.database.forget_deleted()
        return erased

    def retention_days(self, record: ClassRecord) -> int:
        """Return the retention time of a class in days: the shorter of those of the server and the institution."""
        usual = int(self.retention_s / DAY_S)
        return usual if record.declaration is None else min(usual, record.declaration.retention_days)

    def closed_bins(self, class_id: str) -> list[ClosedBin]:
        """Return the closed bins of a class in order."""
        columns = schema.bins.c
        with self.database.reading() as connection:
            rows = connection.execute(select(schema.bins).where(columns.class_id == class_id).order_by(columns.bin)).mappings()
            return [ClosedBin(row["state"], record_from(PublishedBin, row["numbers"], "a bin")) for row in rows]

    def marks(self, class_id: str) -> list[LessonMark]:
        """Return the marks and notes of a class, ordered by time."""
        columns = schema.marks.c
        with self.database.reading() as connection:
            query = select(schema.marks).where(columns.class_id == class_id).order_by(columns.at_s, columns.mark_id)
            return [
                LessonMark(row["mark_id"], row["kind"], row["at_s"], row["text"]) for row in connection.execute(query).mappings()
            ]

    def add_mark(self, record: ClassRecord, kind: MarkKind, text: str, at_s: float | None = None) -> LessonMark:
        """Add a mark or a note to the timeline.

        Args:
            record: the class.
            kind: ``mark`` or ``note``.
            text: the text; control characters are escaped.
            at_s: seconds since the start of the lesson; None for now.

        Raises:
            UsageError: the lesson has not started, the time is outside it, the text is empty or too long, or there are too
                many marks.
        """
        if record.started_s is None:
            raise UsageError("the lesson has not started. Start it first")
        at_s = self.clock() - record.started_s if at_s is None else at_s
        if not 0 <= at_s <= record.plan.length_s:
            raise UsageError(f"the mark is at {at_s:g} s; it must be within the lesson, 0 to {record.plan.length_s} s")
        mark = LessonMark(uuid4().hex, kind, round(at_s, 1), checked_text(text, "the text", MAX_TEXT))
        row = {"class_id": record.class_id, "mark_id": mark.mark_id, "kind": kind, "at_s": mark.at_s, "text": mark.text}
        with self.database.writing() as connection:
            lock_classes(connection, [record.class_id])
            there = connection.scalar(select(func.count()).where(schema.marks.c.class_id == record.class_id)) or 0
            if there >= MAX_MARKS:
                raise UsageError(f"there are already {MAX_MARKS} marks and notes. Remove one first")
            connection.execute(insert(schema.marks), row)
            _changed(connection, record.class_id)
        return mark

    def remove_mark(self, class_id: str, mark_id: str) -> bool:
        """Remove a mark or a note; return whether it existed."""
        columns = schema.marks.c
        with self.database.writing() as connection:
            lock_classes(connection, [class_id])
            statement = delete(schema.marks).where(columns.class_id == class_id, columns.mark_id == mark_id)
            removed = bool(connection.execute(statement).rowcount)
            if removed:
                _changed(connection, class_id)
        return removed

    def revisions(self, watched: dict[str, str]) -> dict[str, int]:
        """Return the revisions of watched classes in one query.

        Args:
            watched: class id by token hash of a link to teach.

        Returns:
            Revision by token hash; revoked and expired links and erased classes are omitted.
        """
        if not watched:
            return {}
        columns = schema.links.c
        query = (
            select(columns.secret, schema.classes.c.revision)
            .join(schema.classes, schema.classes.c.class_id == columns.class_id)
            .where(columns.secret.in_(list(watched)), columns.kind == LinkKind.TEACH.value, columns.expires_s > self.clock())
        )
        with self.database.reading() as connection:
            return {row.secret: row.revision for row in connection.execute(query)}


def checked_text(text: str, name: str, most: int) -> str:
    """Return a user's text with control characters escaped.

    Raises:
        UsageError: the text is empty or too long.
    """
    shown = visible(text.strip())
    if not shown or len(shown) > most:
        raise UsageError(f"{name} has {len(shown)} characters; it must have 1 to {most}")
    return shown


def plan_of(row: Any) -> LessonPlan:
    """Return the lesson plan in a row of the table of classes."""
    return LessonPlan(
        bin_s=row["bin_s"], bins=row["bins"], k=row["k"], budget=row["budget"], expressions=row["level"] == Level.FULL.value
    )


def _class(row: dict[str, Any]) -> ClassRecord:
    same = {
        name: row[name] for name in ("class_id", "series", "title", "created_s", "started_s", "ended_s", "closed", "revision")
    }
    declaration = None if row["declaration"] is None else declare(row["declaration"])
    return ClassRecord(**same, level=Level(row["level"]), plan=plan_of(row), declaration=declaration)


def _changed(connection: Connection, class_id: str) -> None:
    columns = schema.classes.c
    connection.execute(update(schema.classes).where(columns.class_id == class_id).values(revision=columns.revision + 1))


def _erase(connection: Connection, class_ids: list[str]) -> int:
    erased = 0
    lock_classes(connection, class_ids)
    for class_id in sorted(class_ids):
        for table in (*schema.OF_PARTICIPANTS, schema.bins, schema.marks, schema.links):
            connection.execute(delete(table).where(table.c.class_id == class_id))
        erased += connection.execute(delete(schema.classes).where(schema.classes.c.class_id == class_id)).rowcount
    return erased
