"""Graceful termination on Ctrl-C, SIGTERM and SIGHUP.

The first signal raises ``KeyboardInterrupt`` in the main thread. Closing a terminal or stopping a
service often sends several signals, and users press Ctrl-C repeatedly; further signals do not
interrupt saving.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that stop the program; Windows has no SIGHUP."""
STOPPED: Final = 130
"""Exit code of a run that was stopped by a signal."""
_SAVING: Final = b"\nstopping and saving; press Ctrl-C again to quit without saving\n"


class _Stops:
    """State of the signal handlers, shared by the whole process."""

    ending = False
    told = False


def ending() -> None:
    """Declare that the program is terminating, so that further signals do not interrupt saving."""
    _Stops.ending = True


@contextmanager
def orderly_stops() -> Iterator[None]:
    """Let only the first signal raise ``KeyboardInterrupt``; the third Ctrl-C ends the process immediately.

    Signals that the caller ignores (``nohup``, background jobs) stay ignored. After a stop, signals are ignored until the
    process ends.
    """
    _Stops.ending = _Stops.told = False
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    former = {number: signal.signal(number, _on_signal) for number in handled}
    stopped = False
    try:
        yield
    except BaseException as fault:
        stopped = isinstance(fault, KeyboardInterrupt) or getattr(fault, "code", None) == STOPPED
        raise
    finally:
        for number, handler in former.items():
            signal.signal(number, signal.SIG_IGN if stopped else handler)


@contextmanager
def block_signals() -> Iterator[None]:
    """Block signals in this thread, and in processes started within the block until they unblock them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def leave_signals_to_parent() -> None:
    """In a worker process: ignore SIGINT and SIGHUP, which the parent handles, and end on SIGTERM."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def end_with_parent() -> None:
    """In a worker process: exit when the parent process ends in any way."""
    threading.Thread(target=_wait_for_parent, name="mien-parent", daemon=True).start()


def _wait_for_parent() -> None:
    import multiprocessing  # only worker processes need it

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if not _Stops.ending:
        _Stops.ending = True
        raise KeyboardInterrupt
    if number != signal.SIGINT:
        return
    if _Stops.told:
        os._exit(STOPPED)
    _Stops.told = True
    try:
        os.write(2, _SAVING)
    except OSError:  # standard error is closed
        return
