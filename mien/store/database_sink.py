"""Keeps a running session in a database, from a thread of its own: a slow database never holds up a frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from mien.errors import DeviceError, MienError
from mien.store.session_records import KeptSession
from mien.store.sinks import BUSY_S, Sink

if TYPE_CHECKING:  # SQLAlchemy is an extra, and every session loads this module
    from mien.store.database import Database

_SAVE_EVERY_S: Final = 5.0


class DatabaseSink(Sink):
    """Saves the sums of a session every few seconds, and in the end; of several that wait, the newest alone.

    Args:
        database: closed when the session is over.
        clock: seconds of a clock that never runs back.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = database.place
        self._database = database
        self._clock = clock
        self._saved: float | None = None
        self._session_id = ""  # until something was handed over there is nothing to erase
        self._news = threading.Condition()
        self._waiting: KeptSession | None = None
        self._over = False
        self._error: MienError | None = None
        self._thread = threading.Thread(target=self._save, name="mien-database", daemon=True)
        self._thread.start()

    def tick(self, kept: KeptSession) -> None:
        self._session_id = kept.session.session_id
        self._check()
        if self._saved is None or self._clock() - self._saved >= _SAVE_EVERY_S:
            self._saved = self._clock()
            self._hand_over(kept)

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self._hand_over(kept, over=True)
        self._thread.join(timeout=BUSY_S + 5)
        if self._thread.is_alive():
            raise DeviceError(f"the database {self.name} does not answer; the end of the session is not in it")
        self._check()
        self._database.close()
        return ()

    def erase(self) -> int:
        with self._news:
            self._waiting, self._over = None, True
            self._news.notify()
        self._thread.join(timeout=BUSY_S + 5)
        try:
            return int(self._session_id != "" and self._database.delete(self._session_id))
        finally:
            self._database.close()

    def abandon(self) -> None:
        with self._news:
            self._waiting, self._over = None, True
            self._news.notify()
        self._database.close()

    def _check(self) -> None:
        """Raise what the thread met."""
        if self._error is not None:
            raise self._error

    def _hand_over(self, kept: KeptSession, over: bool = False) -> None:
        with self._news:
            self._waiting, self._over = kept, over
            self._news.notify()

    def _save(self) -> None:
        """Save what is handed over until the session is over or the database refuses."""
        while True:
            with self._news:
                while self._waiting is None and not self._over:
                    self._news.wait()
                kept, self._waiting = self._waiting, None
            if kept is None:
                return
            try:
                self._database.save(kept)
            except MienError as error:
                self._error = error
                return
