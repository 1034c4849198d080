"""Graceful stops of a training run: the current step is finished and saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mien.stops import SIGNALS, ending


class StopRequest:
    """A flag that becomes true when a stop is requested."""

    def __init__(self) -> None:
        self._requested = False

    def __bool__(self) -> bool:
        return self._requested

    def request(self) -> None:
        """Request a stop after the current step."""
        self._requested = True


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Yield a flag that is set by Ctrl-C, SIGTERM or SIGHUP; a second Ctrl-C raises ``KeyboardInterrupt`` at once.

    Signals are handled in the main thread only; in other threads the flag stays false.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.request()
        ending()

    # signals that the caller ignores (nohup, background jobs) stay ignored
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    former = {number: signal.signal(number, on_signal) for number in handled}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
