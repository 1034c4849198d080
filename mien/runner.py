"""The main loop, which passes the frames of a source to a step function, and its threads.

A separate thread reads a live source into a slot for one frame. If the next frame arrives before the
last one is taken, the older one is dropped and counted. A recorded source is decoded a few frames
ahead, every frame once, and is played at its own speed only if there is a view. The loop also runs
several times per second while a source delivers no frames.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from mien.records import Frame
from mien.sources.source import Source

IDLE_S: Final = 0.2
"""Maximum time in seconds that the loop waits for a frame."""
_RATE_WINDOW_S: Final = 2.0
_LONGEST_WAIT_S: Final = 5.0  # longer gaps in a paced recording are shortened to this
_JOIN_S: Final = 2.0
_PREFETCH: Final = 4  # number of frames of a recording decoded ahead


class Rate:
    """Events per second over the last two seconds of wall time."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def tick(self) -> None:
        """Count an event that happens now."""
        now = time.monotonic()
        self._times.append(now)
        while now - self._times[0] > _RATE_WINDOW_S:
            self._times.popleft()

    @property
    def per_s(self) -> float:
        """Events per second; 0 before the second event, or if there was none in the last two seconds."""
        if len(self._times) < 2 or time.monotonic() - self._times[-1] > _RATE_WINDOW_S:
            return 0.0
        return (len(self._times) - 1) / max(1e-9, self._times[-1] - self._times[0])


@dataclass(slots=True)
class Flow:
    """Frame counts and rates so far.

    Attributes:
        captured: number of frames that the source delivered.
        dropped: number of frames that were replaced by a newer one before processing.
        captured_rate: rate of captured frames.
        processed_rate: rate of processed frames.
    """

    captured: int
    dropped: int
    captured_rate: Rate
    processed_rate: Rate


class _LatestFrame:
    """A slot for one frame between the capturing thread and the loop."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._ready = threading.Condition()
        self._frame: Frame | None = None
        self._lost_s = 0.0
        self._ended = False
        self._error: BaseException | None = None

    def put(self, frame: Frame) -> None:
        with self._ready:
            self._flow.captured += 1
            self._flow.captured_rate.tick()
            if self._frame is not None:
                self._flow.dropped += 1
                self._lost_s += self._frame.interval_s  # the next frame represents this time, too
            self._frame = frame
            self._ready.notify()

    def end(self, error: BaseException | None) -> None:
        with self._ready:
            self._ended, self._error = True, error
            self._ready.notify()

    @property
    def over(self) -> bool:
        """Whether the source has ended and its last frame was taken; an error is raised by ``take`` first."""
        with self._ready:
            return self._ended and self._frame is None and self._error is None

    def take(self) -> Frame | None:
        """Return the newest frame; None if none arrives within ``IDLE_S`` seconds, or the source has ended."""
        with self._ready:
            # a wait with a timeout also lets Ctrl-C through on every system
            self._ready.wait_for(lambda: self._frame is not None or self._ended, IDLE_S)
            if self._frame is None:
                if self._error is not None:
                    raise self._error
                return None
            frame, self._frame = self._frame, None
            frame = replace(frame, interval_s=frame.interval_s + self._lost_s)
            self._lost_s = 0.0
            return frame


def _always() -> bool:
    return True


def run(source: Source, flow: Flow, step: Callable[[Frame], bool], *, paced: bool, idle: Callable[[], bool] = _always) -> None:
    """Call ``step`` with each frame until it returns False or the source ends.

    Args:
        source: the source; always closed at the end.
        flow: counts and rates, updated in place.
        step: processes one frame; returns whether to continue.
        paced: whether to play a recorded source at its own speed.
        idle: called if there is no frame for ``IDLE_S`` seconds; returns whether to continue.

    Raises:
        MienError: an error of the source or the step.
    """
    frames = _live_frames(source, flow) if source.is_live else _recorded_frames(source, flow, paced)
    try:
        for frame in frames:
            if frame is None:
                goes_on = idle()
            else:
                flow.processed_rate.tick()
                goes_on = step(frame)
            if not goes_on:
                break
    finally:
        frames.close()
        source.close()


def run_in_background(work: Callable[[], None], show: Callable[[], None], stop: Callable[[], None], period_s: float) -> None:
    """Run ``work`` in a new thread, and call ``show`` in this one every ``period_s`` seconds, or as often as possible.

    Windows and keyboards need the main thread. Slow drawing must not delay the camera, and a slow
    model must not delay the keys.

    Args:
        work: returns when it is done, or soon after ``stop`` is called.
        show: called in this thread while ``work`` runs.
        stop: asks ``work`` to end; called when it ends, when ``show`` raises, and on Ctrl-C.
        period_s: interval between calls of ``show`` in seconds.

    Raises:
        BaseException: an exception of ``show``, or of ``work`` after it has ended.
    """
    errors: list[BaseException] = []

    def do() -> None:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001  the root of a thread: raised in the caller's thread
            errors.append(fault)

    thread = threading.Thread(target=do, name="mien-reading", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            started = time.monotonic()
            show()
            thread.join(max(0.001, started + period_s - time.monotonic()))
    finally:
        stop()
        thread.join()
    if errors:
        raise errors[0]


def _recorded_frames(source: Source, flow: Flow, paced: bool) -> Generator[Frame | None, None, None]:
    """Yield every frame, at the source's own speed if ``paced``; None at intervals while waiting for the next frame."""
    behind_s = time.monotonic()
    for frame in _read_ahead(source):
        flow.captured += 1
        flow.captured_rate.tick()
        if paced:
            wait_s = behind_s + frame.t_s - time.monotonic()
            # a slow computer falls behind and does not catch up; long gaps are shortened
            behind_s -= min(0.0, wait_s) + max(0.0, wait_s - _LONGEST_WAIT_S)
            while (wait_s := behind_s + frame.t_s - time.monotonic()) > 0:
                time.sleep(min(wait_s, IDLE_S))
                if wait_s > IDLE_S:
                    yield None
        yield frame


def _read_ahead(source: Source) -> Generator[Frame, None, None]:
    """Yield every frame of a recording; the next ones are decoded by another thread."""
    waiting: queue.Queue[Frame | None] = queue.Queue(_PREFETCH)
    stop = threading.Event()
    errors: list[BaseException] = []

    def put(frame: Frame | None) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                waiting.put(frame, timeout=IDLE_S)
                break

    def decode() -> None:
        try:
            for frame in source.frames():
                put(frame)
                if stop.is_set():
                    return
        except BaseException as fault:  # noqa: BLE001  the root of a thread: raised in the loop's thread
            errors.append(fault)
        put(None)

    thread = threading.Thread(target=decode, name="mien-decoding", daemon=True)
    thread.start()
    try:
        while (frame := waiting.get()) is not None:
            yield frame
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def _live_frames(source: Source, flow: Flow) -> Generator[Frame | None, None, None]:
    """Yield the newest frame captured by a separate thread; None if there is no new one for ``IDLE_S`` seconds."""
    slot = _LatestFrame(flow)
    stop = threading.Event()

    def capture() -> None:
        error: BaseException | None = None
        try:
            for frame in source.frames():
                slot.put(frame)
                if stop.is_set():
                    break
        except Exception as fault:  # noqa: BLE001  the root of a thread: raised in the loop's thread
            error = fault
        finally:
            slot.end(error)

    thread = threading.Thread(target=capture, name="mien-capture", daemon=True)
    thread.start()
    try:
        while not slot.over:
            yield slot.take()
    finally:
        stop.set()
        source.close()  # wakes a source that is waiting for its device
        thread.join(timeout=_JOIN_S)
