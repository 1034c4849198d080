"""Delivers queued messages to one destination in a background thread.

Failed messages are retried with exponential backoff, or after the server's Retry-After. Permanently
rejected ones are not retried and are reported once. Frames never wait for delivery, and no response of a
server ends the thread.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mien.errors import MienError
from mien.messaging.http import TIMEOUT_S
from mien.messaging.outbox import Message, Outbox
from mien.words import counted

INITIAL_BACKOFF_S: Final = 1.0
MAX_BACKOFF_S: Final = 300.0
_POLL_S: Final = 0.5
_CLOSE_TIMEOUT_S: Final = 3.0
_GRACE_S: Final = 0.5
_MIN_PAUSE_S: Final = 0.05


class DeliveryStatus(Enum):
    """Result of an attempt.

    Attributes:
        DELIVERED: the server accepted the message.
        RETRY: this message failed and is retried.
        UNAVAILABLE: the server accepts no messages at present; all are retried.
        REJECTED: the server rejected the message permanently.
    """

    DELIVERED = "delivered"
    RETRY = "retry"
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt.

    Attributes:
        status: result of the attempt.
        reason: why the message was not delivered, without a final full stop; "" if it was.
        wait_s: Retry-After of the server in seconds, which also holds at the end of a session; 0 for none.
    """

    status: DeliveryStatus
    reason: str = ""
    wait_s: float = 0.0


class DeliveryWorker:
    """Delivers the messages of an outbox in a background thread.

    Args:
        outbox: the queue.
        deliver: attempts to deliver one message.
        name: display name of the destination.
        initial_backoff_s: wait after the first failure, in seconds; it doubles with each further one.
        max_backoff_s: longest wait, in seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        deliver: Callable[[Message], Outcome],
        name: str,
        initial_backoff_s: float = INITIAL_BACKOFF_S,
        max_backoff_s: float = MAX_BACKOFF_S,
    ) -> None:
        self._outbox = outbox
        self._deliver = deliver
        self._name = name
        self._initial_backoff_s, self._max_backoff_s = initial_backoff_s, max_backoff_s
        self._failures_in_a_row = 0
        self._has_failed = False  # once True, a notice has said that messages are queued
        self._deadline_s = self._retry_after_s = 0.0
        self._queued_ids: list[str] = []
        self._stop, self._wake = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._notices: list[str] = []
        self._random = random.SystemRandom()
        self._thread = threading.Thread(target=self._work, name=f"mien-{name}", daemon=True)
        self._thread.start()

    def put(self, message_id: str, body: str) -> None:
        """Queue a message; it is on disk when this returns.

        Args:
            message_id: unique id of the message.
            body: text to send.

        Raises:
            DeviceError: the queue is full or cannot be written.
        """
        self._outbox.put(message_id, body)
        self._queued_ids.append(message_id)
        self._wake.set()

    def take_notices(self) -> list[str]:
        """Return and clear the notices for the user."""
        with self._lock:
            notices, self._notices = self._notices, []
        return notices

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> int:
        """Deliver messages for at most ``timeout_s`` seconds, and return the number of messages still queued.

        A request in progress is not awaited: it ends by its own deadline, and its message is retried if necessary.
        """
        self._deadline_s = time.monotonic() + timeout_s
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s + _GRACE_S)
        waiting = self._outbox.count()
        self._outbox.close()
        if waiting and not self._has_failed:
            queued = counted(waiting, "message")
            self._notify(f"{self._name} has not answered yet; {queued} queued on disk, sent later")
        return waiting

    def drop(self) -> int:
        """Delete all messages queued here and not yet delivered, end the thread, and return their number."""
        self.abandon()
        self._thread.join(TIMEOUT_S)
        dropped = self._outbox.drop(self._queued_ids)
        self._outbox.close()
        return dropped

    def abandon(self) -> None:
        """End the thread without waiting for it; queued messages are delivered in another session."""
        self._stop.set()
        self._wake.set()

    def _work(self) -> None:
        try:
            self._run()
        finally:
            self._outbox.close()

    def _run(self) -> None:
        """Deliver due messages until the session ends, and until the deadline if messages are queued."""
        while True:
            self._wake.clear()
            is_ending = self._stop.is_set()
            try:
                wait_s = self._deliver_due()
            except MienError as error:
                wait_s = self._mark_unavailable(None, Outcome(DeliveryStatus.UNAVAILABLE, str(error)))
            if is_ending:
                pause_s = max(wait_s, _MIN_PAUSE_S)
            elif wait_s:
                self._stop.wait(wait_s)  # a new message does not shorten the wait
                pause_s = 0.0  # the end of the session does, except for a Retry-After
            else:
                self._wake.wait(_POLL_S)
                pause_s = 0.0
            if self._stop.is_set() and not self._pause_at_the_end(pause_s):
                return

    def _pause_at_the_end(self, pause_s: float) -> bool:
        """Wait at the end of the session; return whether to try again."""
        now_s = time.monotonic()
        left_s, rest_s = self._deadline_s - now_s, self._retry_after_s - now_s
        try:
            if left_s <= max(0.0, rest_s) or not self._outbox.count():
                return False
        except MienError:  # already reported
            return False
        time.sleep(min(max(pause_s, rest_s), left_s))
        return True

    def _deliver_due(self) -> float:
        """Attempt all due messages; return how long to wait in seconds, 0 without a failure."""
        while True:
            if self._stop.is_set() and time.monotonic() >= self._deadline_s:
                return 0.0
            # one at a time: another process may have deleted the others when their turn comes
            messages = self._outbox.take(1)
            if not messages:
                return 0.0
            outcome = self._attempt(messages[0])
            if outcome.status is DeliveryStatus.UNAVAILABLE:
                return self._mark_unavailable(messages[0], outcome)
            self._record(messages[0], outcome)

    def _attempt(self, message: Message) -> Outcome:
        """Attempt one message; an unexpected exception postpones that message only."""
        try:
            return self._deliver(message)
        except Exception as fault:  # noqa: BLE001  the thread must survive any error
            return Outcome(DeliveryStatus.RETRY, f"unexpected {type(fault).__name__}")

    def _record(self, message: Message, outcome: Outcome) -> None:
        """Record the outcome of a message."""
        if outcome.status is DeliveryStatus.DELIVERED:
            self._outbox.sent(message)
            if self._failures_in_a_row:
                self._failures_in_a_row = 0
                self._notify(f"{self._name} is available again; queued messages are being sent")
        elif outcome.status is DeliveryStatus.REJECTED:
            self._outbox.refused(message, outcome.reason)
            self._notify(f"{self._name} rejected a message permanently: {outcome.reason}")
        else:
            self._outbox.postpone(message, max(outcome.wait_s, self._backoff_s(message.attempts)), outcome.reason)
            self._has_failed = True
            if not message.attempts:
                self._notify(
                    f"{self._name}: a message could not be sent ({outcome.reason}); it is queued on disk and will be retried"
                )

    def _mark_unavailable(self, message: Message | None, outcome: Outcome) -> float:
        """Release a message while the server is unavailable; return how long to wait in seconds."""
        wait_s = max(outcome.wait_s, self._backoff_s(self._failures_in_a_row))
        self._retry_after_s = time.monotonic() + outcome.wait_s
        if message is not None:
            self._outbox.postpone(message, 0.0, outcome.reason, tried=False)
        self._has_failed = True
        if not self._failures_in_a_row:
            self._notify(f"{self._name} is unavailable ({outcome.reason}); messages are queued on disk and sent later")
        self._failures_in_a_row += 1
        return wait_s

    def _backoff_s(self, failures: int) -> float:
        """Return the wait in seconds after a number of failures: exponential backoff with jitter."""
        return min(self._max_backoff_s, self._initial_backoff_s * 2.0 ** min(failures, 30)) * self._random.uniform(0.5, 1.0)

    def _notify(self, notice: str) -> None:
        with self._lock:
            self._notices.append(notice)
