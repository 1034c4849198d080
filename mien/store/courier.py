"""Carries messages from the disk to one destination, from a thread of its own, until they are taken.

What a server has not taken is tried again, each time after a longer wait; what it will never
take is put aside and said once. Nothing here is waited for by a frame.
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
from mien.store.http import TIMEOUT_S
from mien.store.outbox import Message, Outbox

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
_LOOK_EVERY_S: Final = 0.5
_AT_THE_END_S: Final = 3.0


class Fate(Enum):
    """What became of a message: taken; not this time; nothing is taken now; never."""

    TAKEN = "taken"
    LATER = "later"
    CLOSED = "closed"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        fate: what became of it.
        reason: why it was not taken, as a sentence without its end.
        wait_s: how long the other side asks to be left alone; 0 where it does not say.
    """

    fate: Fate
    reason: str = ""
    wait_s: float = 0.0


class Courier:
    """Sends the messages of an outbox.

    Args:
        outbox: where they wait.
        deliver: tries one message.
        name: of the destination, for people.
        first_wait_s: the wait after a first failure; it doubles with each further one.
        longest_wait_s: the longest wait.
    """

    def __init__(
        self,
        outbox: Outbox,
        deliver: Callable[[Message], Outcome],
        name: str,
        first_wait_s: float = FIRST_WAIT_S,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self._outbox = outbox
        self._deliver = deliver
        self._name = name
        self._first_wait_s, self._longest_wait_s = first_wait_s, longest_wait_s
        self._closed_times = 0
        self._give_up_s = 0.0
        self._put: list[str] = []
        self._stop, self._wake = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._notices: list[str] = []
        self._random = random.SystemRandom()
        self._thread = threading.Thread(target=self._work, name=f"mien-{name}", daemon=True)
        self._thread.start()

    def put(self, message_id: str, body: str) -> None:
        """Put a message on its way; it is on disk when this returns.

        Raises:
            DeviceError: the queue is full, or the disk refuses.
        """
        self._outbox.put(message_id, body)
        self._put.append(message_id)
        self._wake.set()

    def take_notices(self) -> list[str]:
        """Return sentences for the user since the last call."""
        with self._lock:
            notices, self._notices = self._notices, []
        return notices

    def close(self, timeout_s: float = _AT_THE_END_S) -> int:
        """Send what can be sent within ``timeout_s``, end the thread, and return how many messages wait for another time."""
        self._give_up_s = time.monotonic() + timeout_s
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s + TIMEOUT_S)
        waiting = self._outbox.count()
        self._outbox.close()
        return waiting

    def drop(self) -> int:
        """Take back all that was put here and is not sent yet, end the thread, and return how many messages that were."""
        self.abandon()
        self._thread.join(TIMEOUT_S)
        dropped = self._outbox.drop(self._put)
        self._outbox.close()
        return dropped

    def abandon(self) -> None:
        """End the thread without waiting for it; what waits on disk is sent in another session."""
        self._stop.set()
        self._wake.set()

    def _work(self) -> None:
        try:
            self._run()
        finally:
            self._outbox.close()

    def _run(self) -> None:
        """Send what is due until the session is over, and a moment longer where something waits."""
        while True:
            self._wake.clear()
            try:
                wait_s = self._round()
                if self._stop.is_set() and (time.monotonic() >= self._give_up_s or not self._outbox.count()):
                    return
            except MienError as error:
                if self._stop.is_set():
                    return
                wait_s = self._closed([], Outcome(Fate.CLOSED, str(error)))
            if self._stop.is_set():
                time.sleep(min(max(wait_s, 0.05), max(0.0, self._give_up_s - time.monotonic())))
            elif wait_s:
                self._stop.wait(wait_s)  # a new message is no reason to knock earlier
            else:
                self._wake.wait(_LOOK_EVERY_S)

    def _round(self) -> float:
        """Try all messages that are due; return how long nothing will be taken, in seconds, 0 where all is well."""
        while True:
            messages = self._outbox.take()
            if not messages:
                return 0.0
            for k, message in enumerate(messages):
                outcome = self._deliver(message)
                if outcome.fate is Fate.CLOSED:
                    return self._closed(messages[k:], outcome)
                self._settle(message, outcome)

    def _settle(self, message: Message, outcome: Outcome) -> None:
        """Note what became of a message."""
        if outcome.fate is Fate.TAKEN:
            self._outbox.sent(message)
            if self._closed_times:
                self._closed_times = 0
                self._say(f"{self._name} answers again; what waited is being sent")
        elif outcome.fate is Fate.NEVER:
            self._outbox.refused(message, outcome.reason)
            self._say(f"{self._name} does not take a message and never will: {outcome.reason}")
        else:
            self._outbox.postpone(message, max(outcome.wait_s, self._wait_s(message.attempts)), outcome.reason)

    def _closed(self, messages: list[Message], outcome: Outcome) -> float:
        """Give messages back since nothing is taken now; return how long to wait."""
        wait_s = max(outcome.wait_s, self._wait_s(self._closed_times))
        for message in messages:
            self._outbox.postpone(message, 0.0, outcome.reason, tried=False)
        if not self._closed_times:
            self._say(f"{self._name} takes nothing now ({outcome.reason}); messages wait on disk and are sent later")
        self._closed_times += 1
        return wait_s

    def _wait_s(self, failures: int) -> float:
        """Return the wait after so many failures: doubled each time, and uneven, so that not all knock at once."""
        return min(self._longest_wait_s, self._first_wait_s * 2.0 ** min(failures, 30)) * self._random.uniform(0.5, 1.0)

    def _say(self, notice: str) -> None:
        with self._lock:
            self._notices.append(notice)
