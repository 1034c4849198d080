"""A persistent queue of outgoing messages.

The queue is one SQLite file that several processes may share. A message keeps its id over all attempts,
so that receivers can recognise duplicates. Messages are leased for delivery: no two processes send the
same one at the same time.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mien.errors import DataError, DeviceError, write_error
from mien.files import make_private, private_folder
from mien.sessions.erasure import empty_log

MAX_WAITING: Final = 10_000
"""Largest number of queued messages per destination: tens of megabytes at a few kilobytes each."""
LEASE_S: Final = 60.0
"""Seconds after which a leased message may be leased again, for example after the process was killed."""
_MAX_DELAY_S: Final = 2 * 3600.0
"""Messages due later than this were postponed by a wrong clock and are due now."""
_KEEP_SENT_S: Final = 90 * 86400.0
_BUSY_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
    destination TEXT NOT NULL, message_id TEXT NOT NULL, body TEXT NOT NULL, queued_s REAL NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL, next_s REAL NOT NULL, reason TEXT NOT NULL,
    session TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (destination, message_id)
);
CREATE INDEX IF NOT EXISTS due ON messages (destination, state, next_s);
"""
_IS_MESSAGE: Final = (
    "typeof(message_id) = 'text' AND length(message_id) BETWEEN 1 AND 100 AND message_id NOT GLOB '*[^-_a-zA-Z0-9]*' "
    "AND typeof(body) = 'text' AND typeof(reason) = 'text' AND typeof(queued_s) IN ('real', 'integer') "
    "AND queued_s BETWEEN 0 AND 1e11 "
    "AND typeof(attempts) = 'integer' AND attempts >= 0 AND typeof(next_s) IN ('real', 'integer') AND typeof(session) = 'text'"
)
"""Valid rows; SQLite accepts any type in any column. The message id becomes a header."""


@dataclass(frozen=True, slots=True)
class Message:
    """A queued message.

    Attributes:
        message_id: unique id, the same for every attempt.
        body: text to send.
        queued_s: time of queueing, in seconds since 1970.
        attempts: number of earlier attempts.
    """

    message_id: str
    body: str
    queued_s: float
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages to one destination that were not sent.

    Attributes:
        destination: as given to ``Outbox``.
        state: ``waiting`` or ``refused``.
        messages: their number.
        since_s: time at which the oldest was queued, in seconds since 1970.
        reason: why the latest attempt failed; "" before the first.
    """

    destination: str
    state: str
    messages: int
    since_s: float
    reason: str


class Outbox:
    """The message queue of one destination.

    Args:
        path: the queue file, shared by all destinations; created if missing.
        destination: name of the destination.
        clock: returns seconds since 1970.
        session: id of the session that queues messages, by which they can be deleted; "" for none.

    Raises:
        DeviceError: the file cannot be read or written, here or in a later call.
        DataError: the file is not an SQLite database.
    """

    def __init__(self, path: Path, destination: str, clock: Callable[[], float] = time.time, session: str = "") -> None:
        self.path = path
        self.destination = destination
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            private_folder(path.parent)
            make_private(path)
        except OSError as error:
            raise write_error(f"cannot use the message queue {path}: {error.strerror}", error) from error
        with self._open() as connection:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            if "session" not in {row[1] for row in connection.execute("PRAGMA table_info(messages)")}:  # of version 0.1
                connection.execute("ALTER TABLE messages ADD COLUMN session TEXT NOT NULL DEFAULT ''")
            connection.execute(f"DELETE FROM messages WHERE NOT ({_IS_MESSAGE})")  # noqa: S608  a constant
            connection.execute("DELETE FROM messages WHERE state = 'sent' AND next_s < ?", (clock() - _KEEP_SENT_S,))

    def put(self, message_id: str, body: str) -> None:
        """Queue a message; known ids are ignored.

        Raises:
            DeviceError: the queue is full or cannot be written.
        """
        with self._open() as connection:
            if self._count(connection, "waiting") >= MAX_WAITING:
                raise DeviceError(f"{MAX_WAITING:,} messages are already queued; no more are accepted until the server responds")
            connection.execute(
                "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, 'waiting', 0, 0, '', ?)",
                (self.destination, message_id, body, self._clock(), self._session),
            )

    def take(self, limit: int) -> list[Message]:
        """Lease and return at most ``limit`` due messages, oldest first."""
        now = self._clock()
        with self._open() as connection:
            rows = connection.execute(
                "SELECT message_id, body, queued_s, attempts FROM messages WHERE destination = ? AND state = 'waiting' "
                "AND NOT next_s BETWEEN ? AND ? ORDER BY queued_s, rowid LIMIT ?",
                (self.destination, math.nextafter(now, math.inf), now + _MAX_DELAY_S, limit),
            ).fetchall()
            connection.executemany(
                "UPDATE messages SET next_s = ? WHERE destination = ? AND message_id = ?",
                [(now + LEASE_S, self.destination, row[0]) for row in rows],
            )
        return [Message(*row) for row in rows]

    def sent(self, message: Message) -> None:
        """Mark a message as sent; its id is kept for ninety days, its body and session are deleted."""
        self._end(message, "sent", "")

    def refused(self, message: Message, reason: str) -> None:
        """Mark a message as permanently rejected, with the reason; its body is kept for inspection."""
        self._end(message, "refused", reason)

    def postpone(self, message: Message, delay_s: float, reason: str, tried: bool = True) -> None:
        """Release a message, due again after ``delay_s`` seconds; ``tried`` counts it as an attempt."""
        with self._open() as connection:
            connection.execute(
                "UPDATE messages SET next_s = ?, attempts = attempts + ?, reason = ? WHERE destination = ? AND message_id = ?",
                (self._clock() + delay_s, int(tried), reason, self.destination, message.message_id),
            )

    def drop(self, message_ids: Sequence[str]) -> int:
        """Delete messages that were not sent, and return their number; their bytes are overwritten.

        Raises:
            DeviceError: another program is reading the file, so the bytes remain; call this again.
        """
        return self._delete("destination = ? AND message_id = ?", [(self.destination, message_id) for message_id in message_ids])

    def drop_sessions(self, session_ids: Sequence[str]) -> int:
        """Delete messages of sessions that were not sent, to any destination; otherwise as ``drop``."""
        return self._delete("session = ?", [(session_id,) for session_id in session_ids if session_id])

    def drop_older(self, queued_before_s: float, spared_sessions: Sequence[str] = ()) -> int:
        """Delete messages to any destination that were queued earlier and not sent; otherwise as ``drop``.

        Args:
            queued_before_s: seconds since 1970.
            spared_sessions: ids of sessions whose messages are kept.
        """
        return self._delete(_older(spared_sessions), [(queued_before_s, *spared_sessions)])

    def count_older(self, queued_before_s: float, spared_sessions: Sequence[str] = ()) -> int:
        """Return the number of messages that ``drop_older`` would delete."""
        with self._open() as connection:
            row = connection.execute(
                f"SELECT count(*) FROM messages WHERE {_older(spared_sessions)} AND state <> 'sent'",  # noqa: S608  placeholders
                (queued_before_s, *spared_sessions),
            ).fetchone()
        return int(row[0])

    def _delete(self, condition: str, parameters: Sequence[tuple[str | float, ...]]) -> int:
        with self._open() as connection:
            before = connection.total_changes
            connection.executemany(f"DELETE FROM messages WHERE {condition} AND state <> 'sent'", parameters)  # noqa: S608  a constant
            dropped = connection.total_changes - before
        with self._lock:
            # even if an earlier call deleted the messages and then failed here
            if self._connection is not None:
                empty_log(self._connection, self.path)
        return dropped

    def count(self, state: str = "waiting") -> int:
        """Return the number of messages in a state: ``waiting``, ``sent`` or ``refused``."""
        with self._open() as connection:
            return self._count(connection, state)

    def backlog(self) -> list[Backlog]:
        """Return the messages to all destinations that were not sent, by destination and state."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT destination, state, count(*), min(queued_s), coalesce((SELECT reason FROM messages AS latest "
                "WHERE latest.destination = messages.destination AND latest.state = messages.state AND reason <> '' "
                "ORDER BY next_s DESC LIMIT 1), '') FROM messages WHERE state <> 'sent' "
                "GROUP BY destination, state ORDER BY destination, state"
            ).fetchall()
        return [Backlog(*row) for row in rows]

    def unsent(self, session_ids: Sequence[str]) -> list[dict[str, str | float]]:
        """Return the messages of sessions that were not sent, to any destination, oldest first, by the names of the columns."""
        names = ("destination", "message_id", "body", "queued_s", "state", "reason")
        sessions = ", ".join("?" * len(session_ids))
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT {', '.join(names)} FROM messages WHERE state <> 'sent' AND session <> '' "  # noqa: S608  constants
                f"AND session IN ({sessions}) ORDER BY queued_s, rowid",
                tuple(session_ids),
            ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def reasons(self) -> list[str]:
        """Return the distinct reasons of rejected messages, sorted."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT DISTINCT reason FROM messages WHERE destination = ? AND state = 'refused' ORDER BY reason",
                (self.destination,),
            ).fetchall()
        return [str(row[0]) for row in rows]

    def close(self) -> None:
        """Close the file; it is reopened when needed."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _end(self, message: Message, state: str, reason: str) -> None:
        with self._open() as connection:
            connection.execute(
                "UPDATE messages SET state = ?, reason = ?, next_s = ?, body = CASE ? WHEN 'sent' THEN '' ELSE body END, "
                "session = CASE ? WHEN 'sent' THEN '' ELSE session END WHERE destination = ? AND message_id = ?",
                (state, reason, self._clock(), state, state, self.destination, message.message_id),
            )

    def _count(self, connection: sqlite3.Connection, state: str) -> int:
        row = connection.execute(
            "SELECT count(*) FROM messages WHERE destination = ? AND state = ?", (self.destination, state)
        ).fetchone()
        return int(row[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection within one transaction; database errors become DeviceError or DataError."""
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = _connect(self.path)
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    if self._connection.in_transaction:  # on a full disk SQLite has rolled back already
                        self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):
                raise DataError(f"{self.path} is not a message queue. Delete or move it") from error
            raise write_error(f"cannot use the message queue {self.path}: {error}", error) from error


def _older(spared_sessions: Sequence[str]) -> str:
    """Return the condition of messages that were queued before a time, without those of some sessions."""
    return f"queued_s < ? AND session NOT IN ({', '.join('?' * len(spared_sessions))})"


def _connect(path: Path) -> sqlite3.Connection:
    """Return a connection that threads may share."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        # commits do not wait for the disk: a killed process loses nothing, a power failure at most the newest commits
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
