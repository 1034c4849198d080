"""What takes in a session while it runs, and what happens when one of these fails.

A full disk, a removed folder or a database that is gone must not end a lesson: the sink
that fails is turned off and says so once; the live view and the other sinks go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from mien.errors import MienError
from mien.privacy.release import ReleasedResult
from mien.store.session_records import EventRecord, KeptSession

BUSY_S: Final = 30.0
"""How long a writer waits for another one to finish."""


@dataclass(frozen=True, slots=True)
class SinkFailure:
    """A sink that was turned off.

    Attributes:
        sink: its name.
        t_s: when, in seconds on the source's clock.
        reason: what went wrong, as a sentence.
    """

    sink: str
    t_s: float
    reason: str

    @property
    def sentence(self) -> str:
        """What the user is told."""
        return f"{self.sink}: nothing is saved any more since {self.t_s:.0f} s. {self.reason}. The session goes on"


class Sink:
    """Something that keeps a session; each method may raise ``MienError`` and is then called no more.

    Attributes:
        name: for people.
    """

    name = "sink"

    def update(self, result: ReleasedResult) -> None:
        """Take in a frame's faces."""

    def add(self, event: EventRecord) -> None:
        """Take in an event."""

    def tick(self, kept: KeptSession) -> None:
        """Take in the sums so far; called about once a second."""

    def export(self, kept: KeptSession) -> Sequence[str]:
        """Bring everything that people read up to date, and go on; return the names of the files made."""
        return ()

    def finish(self, kept: KeptSession) -> Sequence[str]:
        """Keep the whole session, let go of everything, and return the names of the files made."""
        return ()

    def notices(self) -> list[str]:
        """Return sentences for the user since the last call."""
        return []

    def erase(self) -> int:
        """Let go of everything, erase what was kept of the session, and return how many files or rows that were."""
        self.abandon()
        return 0

    def abandon(self) -> None:
        """Let go of everything after a failure; what was saved before stays as it is. Raises nothing."""


class Sinks:
    """Hands a session to several sinks, and turns off those that fail.

    Args:
        sinks: what keeps the session.

    Attributes:
        failures: the sinks that were turned off, in that order.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)
        self._t_s = 0.0
        self._untold: list[str] = []
        self.failures: list[SinkFailure] = []

    def update(self, result: ReleasedResult) -> list[SinkFailure]:
        """Hand on a frame's faces; return the sinks that failed at it."""
        self._t_s = result.t_s
        return self._each(lambda sink: sink.update(result))

    def add(self, event: EventRecord) -> list[SinkFailure]:
        """Hand on an event; return the sinks that failed at it."""
        return self._each(lambda sink: sink.add(event))

    def tick(self, kept: KeptSession) -> list[SinkFailure]:
        """Hand on the sums so far; return the sinks that failed at it."""
        return self._each(lambda sink: sink.tick(kept))

    def export(self, kept: KeptSession) -> list[str]:
        """Let every sink bring its files up to date; return their names."""
        names: list[str] = []
        self._each(lambda sink: names.extend(sink.export(kept)))
        return names

    def finish(self, kept: KeptSession) -> list[str]:
        """Let every sink that is still on keep the whole session; return the names of the files made."""
        names: list[str] = []
        self._each(lambda sink: names.extend(sink.finish(kept)))
        for sink in self._sinks:
            self._untold += sink.notices()
        self._sinks.clear()
        return names

    def erase(self) -> int:
        """Let every sink erase the session, turn all of them off, and return how many files or rows that were."""
        counts: list[int] = []
        self._each(lambda sink: counts.append(sink.erase()))
        self._sinks.clear()
        return sum(counts)

    def take_notices(self) -> list[str]:
        """Return sentences for the user since the last call: of failures, and what sinks say themselves."""
        notices, self._untold = self._untold, []
        for sink in self._sinks:
            notices += sink.notices()
        return notices

    def _each(self, action: Callable[[Sink], object]) -> list[SinkFailure]:
        """Run ``action`` on every sink; one that raises is turned off."""
        failed = []
        for sink in tuple(self._sinks):
            try:
                action(sink)
            except MienError as error:
                self._sinks.remove(sink)
                sink.abandon()
                failed.append(SinkFailure(sink.name, self._t_s, str(error)))
        self.failures += failed
        self._untold += [failure.sentence for failure in failed]
        return failed
