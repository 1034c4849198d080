"""Keeps one session: hands what is read to the sums and to every sink, and asks the sinks to save now and then.

This is the whole of what a running session needs to know of its keeping.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from mien.privacy.release import ReleasedResult
from mien.store.seen import seen
from mien.store.session_records import EventRecord, KeptSession, SessionRecord
from mien.store.sinks import Sink, SinkFailure, Sinks
from mien.store.tally import Tally

_TICK_EVERY_S: Final = 1.0


class SessionKeeper:
    """Keeps a session until it is over; a sink that fails never raises through here.

    Args:
        session: the session at its start.
        sinks: where it is kept.
        tally: adds it up; one of its own where none is given.
        clock: seconds of a clock that never runs back.

    Attributes:
        files: names of the files that ``finish`` made.
    """

    def __init__(
        self,
        session: SessionRecord,
        sinks: Sequence[Sink],
        tally: Tally | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._sinks = Sinks(sinks)
        self._tally = tally or Tally()
        self._clock = clock
        self._ticked = clock()
        self.files: list[str] = []

    def update(self, result: ReleasedResult, captured: int = 0, dropped: int = 0) -> None:
        """Take in a frame's faces, and how many frames the source delivered and dropped so far."""
        self._session = replace(self._session, captured=captured, dropped=dropped)
        self._tally.update(seen(result))
        self._sinks.update(result)
        if self._clock() - self._ticked >= _TICK_EVERY_S:
            self._ticked = self._clock()
            self._sinks.tick(self.kept)

    def add(self, event: EventRecord) -> None:
        """Take in an event."""
        self._tally.add(event)
        self._sinks.add(event)

    def export(self, more: Mapping[str, Any] | None = None) -> list[str]:
        """Bring the files that people read up to date, and go on; return their names.

        Args:
            more: as for ``finish``.
        """
        return self._sinks.export(replace(self.kept, more=more or {}))

    def finish(self, state: str, more: Mapping[str, Any] | None = None) -> KeptSession:
        """Save everything and return it.

        Args:
            state: "ended" or "interrupted".
            more: what else ``summary.json`` should say, as plain values; what is kept anyway goes before it.
        """
        self._session = replace(self._session, state=state)
        kept = replace(self.kept, more=more or {})
        self.files = self._sinks.finish(kept)
        return kept

    def erase(self) -> int:
        """Erase the session everywhere, keep it nowhere from now on, and return how many files and rows that were.

        What servers were told before cannot be called back from here; what waits for them is dropped.
        """
        return self._sinks.erase()

    @property
    def kept(self) -> KeptSession:
        """The session so far."""
        return self._tally.kept(self._session)

    @property
    def failures(self) -> tuple[SinkFailure, ...]:
        """The sinks that were turned off so far."""
        return tuple(self._sinks.failures)

    def take_notices(self) -> list[str]:
        """Return sentences for the user since the last call, above all of sinks that were turned off."""
        return self._sinks.take_notices()
