"""A wish to stop, noticed between two steps: what is computed is finished and saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopWish:
    """Becomes true at the first Ctrl-C or SIGTERM."""

    def __init__(self) -> None:
        self._wished = False

    def __bool__(self) -> bool:
        return self._wished

    def wish(self) -> None:
        """Ask for a stop after the current step."""
        self._wished = True


@contextmanager
def noticing_stop() -> Iterator[StopWish]:
    """Yield a wish that Ctrl-C and SIGTERM make true; the second one interrupts at once, as usual.

    Signals belong to the main thread: elsewhere the wish stays false.
    """
    stop = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.wish()

    # what the caller chose to ignore, as a shell does for jobs in the background, stays ignored
    noticed = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    former = {number: signal.signal(number, on_signal) for number in noticed}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
