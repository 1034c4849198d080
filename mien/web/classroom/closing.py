"""Closing of bins: their numbers are published once, and their contributions are deleted in the same transaction.

Any number of server processes may close bins concurrently, and each of them may be killed at any time. First, the bin
stops accepting messages. Then its numbers are computed, and they are stored and the contributions deleted in one
transaction, unless another process has already done so. Each attempt draws new noise from random bytes that are not
stored; only one attempt is ever stored, and the others are never visible.

A bin that is long overdue, because no server was running or the database was restored from a backup, becomes a gap: its
contributions are deleted unread. A restored backup therefore cannot publish a bin a second time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update

from mien.errors import DeviceError
from mien.privacy.lesson_bins import Contribution, LessonPlan, PublishedBin, publish
from mien.web.classroom import schema
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.locks import lock_classes
from mien.web.classroom.store import plan_of

GRACE_S: Final = 1.0
"""Delay in seconds from the end of a bin to its closing, in which messages received before the end are committed."""
LATE_S: Final = 120.0
"""A bin that is overdue by more than this many seconds becomes a gap."""
Publish = Callable[[LessonPlan, int, int, list[Contribution], bytes], PublishedBin]


class Closer:
    """Closes bins that are over.

    Args:
        database: the database.
        clock: returns seconds since 1970.
        publish: computes the published numbers of a bin.
        on_end: called by ``report_ended`` with the id of each class whose lesson ended.
        on_close: called by ``close_due`` with the number of bins that it closed, even if it then fails.
    """

    def __init__(
        self,
        database: ClassDatabase,
        clock: Callable[[], float],
        publish: Publish = publish,
        on_end: Callable[[str], None] | None = None,
        on_close: Callable[[int], None] | None = None,
    ) -> None:
        self._database, self._clock, self._publish = database, clock, publish
        self._on_end, self._on_close = on_end, on_close

    def close_due(self) -> int:
        """Close all bins that are over, and end lessons whose last bin is closed; return the number of bins closed.

        Raises:
            DeviceError: the database cannot be used; the remaining bins are closed by the next call.
            Exception: bins of a class could not be closed; those of all other classes were.
        """
        columns, now_s = schema.classes.c, self._clock()
        over = (columns.next_bin < columns.bins) & (columns.started_s + (columns.next_bin + 1) * columns.bin_s + GRACE_S <= now_s)
        query = select(columns.class_id).where(
            columns.started_s.is_not(None), columns.ended_s.is_(None), over | (columns.closed < columns.next_bin)
        )
        with self._database.reading() as connection:
            due = list(connection.scalars(query))
        closed, failed = 0, None
        try:
            for class_id in due:
                try:
                    for _ in self._close(class_id):
                        closed += 1
                except DeviceError:
                    raise
                except Exception as error:  # noqa: BLE001  an error in one class must not keep the others open
                    failed = error
        finally:
            if closed:
                self._database.forget_soon()
                if self._on_close is not None:
                    self._on_close(closed)
        self._database.forget_due()
        if failed is not None:
            raise failed
        return closed

    def report_ended(self) -> None:
        """Call ``on_end`` for each lesson that ended and was not reported yet.

        A lesson counts as reported once ``on_end`` has returned. If it raises, or the process is killed, a later call or
        another process repeats it, so that ``on_end`` may be called more than once.

        Raises:
            MienError: the database cannot be used, or ``on_end`` failed.
        """
        if self._on_end is None:
            return
        columns = schema.classes.c
        with self._database.reading() as connection:
            ended = list(connection.scalars(select(columns.class_id).where(columns.unreported == 1)))
        failed = None
        for class_id in ended:
            try:
                self._on_end(class_id)
            except Exception as error:  # noqa: BLE001  as in close_due
                failed = error
                continue
            with self._database.writing() as connection:
                connection.execute(update(schema.classes).where(columns.class_id == class_id).values(unreported=0))
        if failed is not None:
            raise failed

    def end(self, class_id: str) -> bool:
        """End a lesson now; return whether it was not over yet.

        A bin that is over is published first, without delay. Contributions to the current bin are deleted unread.
        """
        closed = len(list(self._close(class_id, grace_s=0.0)))
        columns = schema.classes.c
        statement = update(schema.classes).where(columns.class_id == class_id, columns.ended_s.is_(None))
        with self._database.writing() as connection:
            lock_classes(connection, [class_id])
            now_s = self._clock()
            values = {"started_s": func.coalesce(columns.started_s, now_s), "revision": columns.revision + 1}
            ended = bool(connection.execute(statement.values(**values, **self._ended(now_s))).rowcount)
            for table in schema.OF_PARTICIPANTS:
                connection.execute(delete(table).where(table.c.class_id == class_id))
        self._database.forget_deleted()
        return ended or closed > 0  # the last bin ends the lesson

    def _close(self, class_id: str, grace_s: float = GRACE_S) -> Iterator[int]:
        """Close all bins of a class that have been over for ``grace_s``; yield the number of each when it is closed."""
        while (row := self._stop_accepting(class_id, grace_s)) is not None:
            number, now_s = row["closed"], self._clock()
            plan = plan_of(row)
            if now_s > row["started_s"] + (number + 1) * plan.bin_s + GRACE_S + LATE_S:
                numbers, state = PublishedBin(number), "gap"
            else:
                joined, contributions = self._contributions(class_id, number, plan)
                numbers, state = self._publish(plan, number, joined, contributions, secrets.token_bytes(32)), "closed"
            if self._store(class_id, plan, numbers, state):
                yield number

    def _stop_accepting(self, class_id: str, grace_s: float) -> dict[str, Any] | None:
        """Stop accepting messages for bins that are over; return the row of the class if one of them is not closed yet."""
        columns = schema.classes.c
        with self._database.writing() as connection:
            found = lock_classes(connection, [class_id]).get(class_id)
            if found is None or found["started_s"] is None or found["ended_s"] is not None:
                return None
            over = min(int((self._clock() - grace_s - found["started_s"]) // found["bin_s"]), found["bins"])
            if over > found["next_bin"]:
                connection.execute(update(schema.classes).where(columns.class_id == class_id).values(next_bin=over))
                found["next_bin"] = over
        return found if found["closed"] < found["next_bin"] else None

    def _contributions(self, class_id: str, number: int, plan: LessonPlan) -> tuple[int, list[Contribution]]:
        """Return the number of participants of a class and their contributions to a bin that accepts no more messages."""
        columns = schema.contributions.c
        ms = [columns[name] for name in schema.MS_COLUMNS] if plan.expressions else []
        query = select(columns.measured_ms, columns.facing_ms, columns.signal, *ms)
        with self._database.reading() as connection:
            there = (schema.participants.c.class_id == class_id, schema.participants.c.has_left == 0)
            joined = connection.scalar(select(func.count()).where(*there)) or 0
            rows = connection.execute(query.where(columns.class_id == class_id, columns.bin == number)).all()
        found = [
            Contribution(measured / 1000, facing / 1000, tuple(value / 1000 for value in expressions), signal)
            for measured, facing, signal, *expressions in rows
        ]
        return joined, found

    def _store(self, class_id: str, plan: LessonPlan, numbers: PublishedBin, state: str) -> bool:
        """Store the numbers of a bin and delete its contributions; return False if another process has already done so."""
        number, columns = numbers.number, schema.classes.c
        is_last = number + 1 == plan.bins
        values: dict[str, Any] = {"closed": number + 1, "revision": columns.revision + 1}
        if is_last:
            values |= self._ended(self._clock())
        with self._database.writing() as connection:
            statement = update(schema.classes).where(
                columns.class_id == class_id, columns.closed == number, columns.ended_s.is_(None)
            )
            if not connection.execute(statement.values(**values)).rowcount:
                return False
            row = {"class_id": class_id, "bin": number, "state": state, "numbers": asdict(numbers)}
            connection.execute(insert(schema.bins), row)
            sent = schema.contributions.c
            connection.execute(delete(schema.contributions).where(sent.class_id == class_id, sent.bin <= number))
            if is_last:
                for table in schema.OF_PARTICIPANTS:
                    connection.execute(delete(table).where(table.c.class_id == class_id))
        return True

    def _ended(self, now_s: float) -> dict[str, Any]:
        """Return the values of a class whose lesson ends now."""
        return {"ended_s": now_s, "unreported": int(self._on_end is not None)}
