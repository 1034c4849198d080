"""Thread that stores messages in batches: messages received during a transaction are stored by the next one."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mien.errors import DeviceError
from mien.web.classroom.messages import SentMessage
from mien.web.classroom.operation import Metrics
from mien.web.classroom.participants import MessageOutcome, Participants

MAX_WAITING: Final = 20_000
MAX_BATCH: Final = 500
_Answer = MessageOutcome | BaseException


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A queued message and the future of its outcome."""

    secret: str
    message: SentMessage
    future: asyncio.Future[MessageOutcome]


class MessageWriter:
    """Stores messages in batches.

    Args:
        participants: stores the messages.
        metrics: counts batches and errors.
    """

    def __init__(self, participants: Participants, metrics: Metrics) -> None:
        self._participants, self._metrics = participants, metrics
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="message writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the thread; must be called in the event loop that calls ``add``."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def add(self, secret: str, message: SentMessage) -> MessageOutcome:
        """Store a message; return its outcome after its transaction was committed.

        Raises:
            DeviceError: the database cannot be used, or too many messages are waiting; nothing was stored.
        """
        if self._queue.qsize() >= MAX_WAITING:
            raise DeviceError("too many messages are waiting")
        future: asyncio.Future[MessageOutcome] = asyncio.get_running_loop().create_future()
        self._queue.put(_Waiting(secret, message, future))
        return await future

    @property
    def waiting(self) -> int:
        """Number of queued messages."""
        return self._queue.qsize()

    def close(self) -> None:
        """Store the queued messages and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, is_last = [first], False
            while len(batch) < MAX_BATCH and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    is_last = True
                    break
                batch.append(following)
            self._store(batch)
            if is_last:
                return

    def _store(self, batch: Sequence[_Waiting]) -> None:
        answers: Sequence[_Answer]
        try:
            answers = self._participants.add([(each.secret, each.message) for each in batch])
            self._metrics.count("batches")
        except Exception as error:  # noqa: BLE001  top level of a thread: the error is passed to the waiting requests
            self._metrics.count("database_errors")
            answers = [error] * len(batch)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(_tell, batch, answers)


def _tell(batch: Sequence[_Waiting], answers: Sequence[_Answer]) -> None:
    for each, answer in zip(batch, answers, strict=True):
        if each.future.done():  # the request was cancelled
            continue
        if isinstance(answer, BaseException):
            each.future.set_exception(answer)
        else:
            each.future.set_result(answer)
