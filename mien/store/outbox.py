"""Messages that wait on disk until the other side has taken them, whatever happens in between.

The queue is one SQLite file that several programs may share. A message has its name when it
is put in, so that one that is sent again after a cut line is known for the same on the other
side. Who wants to send takes messages on loan: no two programs send one at the same time.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mien.errors import DataError, DeviceError

MAX_WAITING: Final = 10_000
"""Messages for one destination; at a few kilobytes each, a store that never answers costs tens of megabytes."""
LOAN_S: Final = 60.0
"""A message that was taken and not given back for so long may be taken by another program: the first one was killed."""
_REMEMBERED_S: Final = 90 * 86400.0
_BUSY_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
    destination TEXT NOT NULL, message_id TEXT NOT NULL, body TEXT NOT NULL, queued_s REAL NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL, next_s REAL NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (destination, message_id)
);
CREATE INDEX IF NOT EXISTS due ON messages (destination, state, next_s);
"""


@dataclass(frozen=True, slots=True)
class Message:
    """Something to send.

    Attributes:
        message_id: its name, the same at every attempt.
        body: what is sent, as text.
        queued_s: when it was put in, in seconds since 1970.
        attempts: how often it was tried before.
    """

    message_id: str
    body: str
    queued_s: float
    attempts: int = 0


class Outbox:
    """The messages of one destination.

    Args:
        path: the queue's file, shared by all destinations; made if missing.
        destination: for whom.
        clock: seconds since 1970.

    Raises:
        DeviceError: here or later, when the disk refuses.
        DataError: the file is no SQLite database.
    """

    def __init__(self, path: Path, destination: str, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.destination = destination
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeviceError(f"cannot make the folder {path.parent}: {error.strerror}") from error
        with self._open() as connection:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute("DELETE FROM messages WHERE state = 'sent' AND next_s < ?", (clock() - _REMEMBERED_S,))

    def put(self, message_id: str, body: str) -> None:
        """Put a message in; one of a name that was put in before is passed over.

        Raises:
            DeviceError: as many as can wait are waiting, or the disk refuses.
        """
        with self._open() as connection:
            if self._count(connection, "waiting") >= MAX_WAITING:
                raise DeviceError(
                    f"{MAX_WAITING:,} messages wait for {self.destination}. They are sent once it answers; no more are taken"
                )
            connection.execute(
                "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, 'waiting', 0, 0, '')",
                (self.destination, message_id, body, self._clock()),
            )

    def take(self, limit: int = 5) -> list[Message]:
        """Return messages that are due, the oldest first, on loan."""
        now = self._clock()
        with self._open() as connection:
            rows = connection.execute(
                "SELECT message_id, body, queued_s, attempts FROM messages WHERE destination = ? AND state = 'waiting' "
                "AND next_s <= ? ORDER BY queued_s, rowid LIMIT ?",
                (self.destination, now, limit),
            ).fetchall()
            connection.executemany(
                "UPDATE messages SET next_s = ? WHERE destination = ? AND message_id = ?",
                [(now + LOAN_S, self.destination, row[0]) for row in rows],
            )
        return [Message(*row) for row in rows]

    def sent(self, message: Message) -> None:
        """Note that a message has arrived; its name is remembered for ninety days, its body is not."""
        self._end(message, "sent", "")

    def refused(self, message: Message, reason: str) -> None:
        """Note that a message will never be taken, and why; its body is kept for whoever looks into it."""
        self._end(message, "refused", reason)

    def postpone(self, message: Message, delay_s: float, reason: str, tried: bool = True) -> None:
        """Give a message back, to be due after ``delay_s``; ``tried`` says whether that counts as an attempt."""
        with self._open() as connection:
            connection.execute(
                "UPDATE messages SET next_s = ?, attempts = attempts + ?, reason = ? WHERE destination = ? AND message_id = ?",
                (self._clock() + delay_s, int(tried), reason, self.destination, message.message_id),
            )

    def drop(self, message_ids: Sequence[str]) -> int:
        """Forget messages that wait, and return how many did; their bytes are overwritten."""
        with self._open() as connection:
            before = connection.total_changes
            connection.executemany(
                "DELETE FROM messages WHERE destination = ? AND message_id = ? AND state <> 'sent'",
                [(self.destination, message_id) for message_id in message_ids],
            )
            dropped = connection.total_changes - before
        with self._lock:
            if self._connection is not None:  # the log of changes holds what was deleted until it is emptied
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dropped

    def count(self, state: str = "waiting") -> int:
        """Return how many messages are ``waiting``, ``sent`` or ``refused``."""
        with self._open() as connection:
            return self._count(connection, state)

    def reasons(self) -> list[str]:
        """Return why messages were refused, each reason once."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT DISTINCT reason FROM messages WHERE destination = ? AND state = 'refused' ORDER BY reason",
                (self.destination,),
            ).fetchall()
        return [str(row[0]) for row in rows]

    def close(self) -> None:
        """Let go of the file; it is opened again when it is needed."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _end(self, message: Message, state: str, reason: str) -> None:
        with self._open() as connection:
            connection.execute(
                "UPDATE messages SET state = ?, reason = ?, next_s = ?, body = CASE ? WHEN 'sent' THEN '' ELSE body END "
                "WHERE destination = ? AND message_id = ?",
                (state, reason, self._clock(), state, self.destination, message.message_id),
            )

    def _count(self, connection: sqlite3.Connection, state: str) -> int:
        row = connection.execute(
            "SELECT count(*) FROM messages WHERE destination = ? AND state = ?", (self.destination, state)
        ).fetchone()
        return int(row[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection within one transaction; what the disk refuses becomes a sentence."""
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = _connect(self.path)
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):
                raise DataError(f"{self.path} is not a queue of messages. Delete or move it") from error
            raise DeviceError(f"cannot use the queue of messages {self.path}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    """Return a connection that several threads may use in turn."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        # a commit need not wait for the disk: a kill loses nothing so, and a power cut at most the newest
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
