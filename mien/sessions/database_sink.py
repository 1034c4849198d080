"""Stores a running session in a database. A separate thread does the writing, so a slow database never delays a frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from mien.errors import DeviceError, MienError
from mien.sessions.recorder import Sink
from mien.sessions.records import KeptSession

if TYPE_CHECKING:  # SQLAlchemy is an extra, and every session loads this module
    from mien.sessions.database import Database

_SAVE_EVERY_S: Final = 5.0


class DatabaseSink(Sink):
    """Saves a session every few seconds and at its end. If the database lags behind, only the newest state is saved.

    Args:
        database: closed when the session ends.
        clock: monotonic clock, in seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = database.place
        self._database = database
        self._clock = clock
        self._saved: float | None = None
        self._session_id = ""  # before the first state there is nothing to erase
        self._changed = threading.Condition()
        self._waiting: KeptSession | None = None
        self._over = False
        self._error: MienError | None = None
        self._thread = threading.Thread(target=self._save, name="mien-database", daemon=True)
        self._thread.start()

    def tick(self, kept: KeptSession) -> None:
        self._check()
        if self._saved is None or self._clock() - self._saved >= _SAVE_EVERY_S:
            self._saved = self._clock()
            self._hand_over(kept)

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self._hand_over(kept, over=True)
        self._thread.join(timeout=self._database.WAIT_S + 5)
        if self._thread.is_alive():
            raise DeviceError(f"the database {self.name} does not respond; the end of the session is not stored in it")
        self._check()
        self._database.close()
        return ()

    def erase(self, *, findable: bool = False) -> int:
        with self._changed:
            self._waiting, self._over = None, True
            self._changed.notify()
        self._thread.join(timeout=self._database.WAIT_S + 5)
        try:
            return int(self._session_id != "" and self._database.delete(self._session_id))
        finally:
            self._database.close()

    def abandon(self) -> None:
        with self._changed:
            self._waiting, self._over = None, True
            self._changed.notify()
        self._database.close()

    def _check(self) -> None:
        """Raise the error that the thread met, if any."""
        if self._error is not None:
            raise self._error

    def _hand_over(self, kept: KeptSession, over: bool = False) -> None:
        self._session_id = kept.session.session_id
        with self._changed:
            self._waiting, self._over = kept, over
            self._changed.notify()

    def _save(self) -> None:
        """Save each new state until the session ends, the database fails, or another program deletes the session."""
        is_stored = False
        while True:
            with self._changed:
                while self._waiting is None and not self._over:
                    self._changed.wait()
                kept, self._waiting = self._waiting, None
            if kept is None:
                return
            try:
                self._database.save(kept, must_exist=is_stored)
                is_stored = True
            except MienError as error:
                self._error = error
                return
            except Exception as fault:  # noqa: BLE001  the root of a thread: nothing else would report it
                self._error = DeviceError(f"the database {self.name} failed unexpectedly ({type(fault).__name__})")
                return
