"""Records a session: counts what was released and passes it on to the sinks.

A full disk, a removed folder or a lost database connection must not end a lesson: a sink that
fails is switched off and reported once; the session and the other sinks continue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from mien.errors import MienError
from mien.privacy.release import ReleasedResult
from mien.sessions.records import EventRecord, KeptSession, SessionRecord, seen
from mien.sessions.tally import Tally

_TICK_EVERY_S: Final = 1.0


class Sink:
    """Takes in a session while it runs. Any method except ``abandon`` may raise ``MienError``; the sink is then switched off.

    Attributes:
        name: shown to the user when the sink fails.
    """

    name = "sink"

    def update(self, result: ReleasedResult) -> None:
        """Take in the faces of a frame."""

    def add(self, event: EventRecord) -> None:
        """Take in an event."""

    def tick(self, kept: KeptSession) -> None:
        """Take in the session so far; called about once a second."""

    def export(self, kept: KeptSession) -> Sequence[str]:
        """Bring all files up to date while the session continues, and return their names."""
        return ()

    def finish(self, kept: KeptSession) -> Sequence[str]:
        """Store the whole session, release all resources, and return the names of the files written."""
        return ()

    def notices(self) -> list[str]:
        """Return the notices for the user since the last call."""
        return []

    def erase(self, *, findable: bool = False) -> int:
        """Release all resources, erase the session, and return the number of files or rows erased.

        Args:
            findable: keep what is needed to find the session and to erase it again, because another sink could not erase it.
        """
        self.abandon()
        return 0

    def abandon(self) -> None:
        """Release all resources after a failure, and leave stored data unchanged. Raises no errors."""


@dataclass(frozen=True, slots=True)
class SinkFailure:
    """A sink that was switched off, or that could not erase the session.

    Attributes:
        sink: its name.
        t_s: when, in seconds on the source's clock.
        reason: the error message.
        erasing: whether the session could not be erased there; otherwise it could not be saved.
    """

    sink: str
    t_s: float
    reason: str
    erasing: bool = False

    @property
    def notice(self) -> str:
        """The notice for the user."""
        if self.erasing:
            return f"{self.sink}: the session was not erased. {self.reason}"
        return f"{self.sink}: saving stopped at {self.t_s:.0f} s. {self.reason}. The session itself is not affected"


class SessionRecorder:
    """Records one session from its first frame on. Thread-safe.

    Args:
        session: the session at its start.
        open_sinks: opens the sinks, one after another; called with the first frame, so that a session without frames leaves
            nothing. If one cannot be opened, those before it are abandoned, and none is opened again.
        keeps: False to count only, without opening any sink.
        clock: monotonic clock, in seconds.

    Attributes:
        tally: the session's counts.
        keeps: whether the session is stored; False after ``erase``.
        files: names of the files that ``finish`` wrote.
        failures: the sinks that were switched off, and those that could not erase the session, in that order.
    """

    def __init__(
        self,
        session: SessionRecord,
        open_sinks: Callable[[], Iterable[Sink]],
        *,
        keeps: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = Tally()
        self.keeps = keeps
        self.files: list[str] = []
        self.failures: list[SinkFailure] = []
        self._session = session
        self._open_sinks = open_sinks
        self._clock = clock
        self._sinks: list[Sink] | None = None
        self._opened: list[Sink] = []  # also those that were switched off or have finished
        self._refused: MienError | None = None
        self._ticked_s = self._t_s = 0.0
        self._notices: list[str] = []
        self._lock = threading.RLock()

    def open(self) -> None:
        """Open the sinks unless they are open; ``update`` and ``add`` call this.

        Raises:
            MienError: a sink cannot be opened.
        """
        with self._lock:
            if self._refused is not None:
                raise self._refused.with_traceback(None)
            if self._sinks is None:
                opened: list[Sink] = []
                try:
                    for sink in self._open_sinks() if self.keeps else ():
                        opened.append(sink)
                except BaseException as error:
                    for sink in opened:
                        sink.abandon()
                    self._refused = error if isinstance(error, MienError) else None
                    raise
                self._opened, self._sinks = opened, list(opened)
                self._ticked_s = self._clock()

    def update(self, result: ReleasedResult, captured: int = 0, dropped: int = 0) -> None:
        """Take in a frame.

        Args:
            result: its faces.
            captured: frames that the source has delivered so far.
            dropped: frames that were replaced by a newer one so far.

        Raises:
            MienError: it is the first frame, and a sink cannot be opened.
        """
        with self._lock:
            self.open()
            self._session = replace(self._session, captured=captured, dropped=dropped)
            self.tally.update(seen(result))
            self._t_s = result.t_s
            self._for_each(lambda sink: sink.update(result))
            if self._clock() - self._ticked_s >= _TICK_EVERY_S:
                self._ticked_s = self._clock()
                kept = self.kept()
                self._for_each(lambda sink: sink.tick(kept))

    def add(self, event: EventRecord) -> None:
        """Take in an event."""
        with self._lock:
            self.open()
            self.tally.add(event)
            self._for_each(lambda sink: sink.add(event))

    def export(self, more: Mapping[str, Any] | None = None) -> list[str]:
        """Bring all files up to date while the session continues.

        Args:
            more: as for ``finish``.

        Returns:
            the names of the files; none if nothing is stored.
        """
        with self._lock:
            kept = self.kept(more)
            return self._for_each(lambda sink: sink.export(kept))

    def finish(self, state: str, more: Mapping[str, Any] | None = None) -> KeptSession:
        """Store the whole session in every sink and return it.

        Args:
            state: "ended" or "interrupted".
            more: further values for ``summary.json``, as plain JSON values.
        """
        with self._lock:
            self._session = replace(self._session, state=state)
            kept = self.kept(more)
            self.files = self._for_each(lambda sink: sink.finish(kept))
            self._close()
            return kept

    def erase(self) -> int:
        """Erase the session in every sink, store nothing from now on, and return the number of files and rows erased.

        Sinks that failed earlier or have finished erase what they had stored. Messages that were delivered cannot be
        recalled from here; undelivered ones are dropped. The sink opened first, which holds the session's folder, erases
        last: if another one fails, the session stays listed, so that ``mien privacy erase`` can repeat the erasure.
        """
        with self._lock:
            self.keeps = False
            erased = 0
            for sink in reversed(self._opened):
                try:
                    erased += sink.erase(findable=bool(self.not_erased))
                except MienError as error:
                    self._note(SinkFailure(sink.name, self._t_s, str(error), erasing=True))
            self._close()
            self._opened, self.files = [], []
            return erased

    def abandon(self) -> None:
        """Release all resources after a failure, and leave stored data unchanged."""
        with self._lock:
            for sink in self._sinks or ():
                sink.abandon()
            self._sinks = []

    @property
    def not_erased(self) -> list[str]:
        """Why the session could not be erased somewhere; empty if it was erased everywhere."""
        return [failure.reason for failure in self.failures if failure.erasing]

    def kept(self, more: Mapping[str, Any] | None = None) -> KeptSession:
        """Return the session so far.

        Args:
            more: as for ``finish``.
        """
        with self._lock:
            kept = self.tally.kept(self._session)
            return replace(kept, more={**kept.more, **(more or {})})

    def take_notices(self) -> list[str]:
        """Return the notices for the user since the last call: failures, and what the sinks report."""
        with self._lock:
            notices, self._notices = self._notices, []
            return notices + [notice for sink in self._sinks or () for notice in sink.notices()]

    def _close(self) -> None:
        """Drop the sinks; their last notices stay."""
        self._notices += [notice for sink in self._sinks or () for notice in sink.notices()]
        self._sinks = []

    def _for_each(self, action: Callable[[Sink], Sequence[str] | None]) -> list[str]:
        """Call ``action`` for every sink, switch off those that raise, and return the names of files from all others."""
        names: list[str] = []
        for sink in tuple(self._sinks or ()):
            try:
                names += action(sink) or ()
            except MienError as error:
                assert self._sinks is not None
                self._sinks.remove(sink)
                sink.abandon()
                self._note(SinkFailure(sink.name, self._t_s, str(error)))
        return names

    def _note(self, failure: SinkFailure) -> None:
        self.failures.append(failure)
        self._notices.append(failure.notice)
