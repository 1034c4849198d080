"""The loop that moves frames from a source through a step; all threads of a session start here.

A live source is read by a thread of its own into a slot for one frame: when the next frame
comes before the last was taken, the older one is dropped and counted. A recorded source is
read a few frames ahead, every frame once, and held back to its own pace only while somebody
watches. However long a source says nothing, the loop comes round several times a second.
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
"""Without a frame for this long, the loop comes round all the same."""
_RATE_WINDOW_S: Final = 2.0
_LONGEST_WAIT_S: Final = 5.0  # what a watched recording leaves out longer than this is skipped
_JOIN_S: Final = 2.0
_AHEAD: Final = 4  # frames of a recording that are decoded before they are needed


class Rate:
    """Events a second over the last two seconds of wall time."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def tick(self) -> None:
        """Note that one event has happened now."""
        now = time.monotonic()
        self._times.append(now)
        while now - self._times[0] > _RATE_WINDOW_S:
            self._times.popleft()

    @property
    def per_s(self) -> float:
        """Events a second; 0 before the second event, and when the last is long ago."""
        if len(self._times) < 2 or time.monotonic() - self._times[-1] > _RATE_WINDOW_S:
            return 0.0
        return (len(self._times) - 1) / max(1e-9, self._times[-1] - self._times[0])


@dataclass(slots=True)
class Flow:
    """What has passed so far.

    Attributes:
        captured: frames the source delivered.
        dropped: frames that a newer one replaced before they were taken.
        captured_rate: the source's rate.
        processed_rate: the loop's rate.
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
                self._lost_s += self._frame.interval_s  # its time is not lost: the next frame stands for it too
            self._frame = frame
            self._ready.notify()

    def end(self, error: BaseException | None) -> None:
        with self._ready:
            self._ended, self._error = True, error
            self._ready.notify()

    @property
    def over(self) -> bool:
        """Whether the source has ended and its last frame was taken; an error must be taken too."""
        with self._ready:
            return self._ended and self._frame is None and self._error is None

    def take(self) -> Frame | None:
        """Return the newest frame; None when none came in a while, or none will come."""
        with self._ready:
            # a bounded wait is also what lets Ctrl-C be heard on every system
            self._ready.wait_for(lambda: self._frame is not None or self._ended, IDLE_S)
            if self._frame is None:
                if self._error is not None:
                    raise self._error
                return None
            frame, self._frame = self._frame, None
            frame = replace(frame, interval_s=frame.interval_s + self._lost_s)
            self._lost_s = 0.0
            return frame


def _go_on() -> bool:
    return True


def run(source: Source, flow: Flow, step: Callable[[Frame], bool], *, paced: bool, idle: Callable[[], bool] = _go_on) -> None:
    """Call ``step`` with each frame until it returns False or the source ends.

    Args:
        source: where frames come from; closed in the end whatever happens.
        flow: counted up while frames pass.
        step: does the work of one frame, and says whether to go on.
        paced: hold a recorded source back to its own speed.
        idle: called where no frame has come for ``IDLE_S``, and says whether to go on.

    Raises:
        MienError: whatever the source or the step raised.
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
    """Do ``work`` in a thread of its own while ``show`` is called here, every ``period_s`` or as often as it can.

    Windows and keyboards belong to the main thread; a picture that is slow to draw must not
    hold the camera up, nor a slow model the keys.

    Args:
        work: returns when it is done, and soon after ``stop`` was called.
        show: called here until then.
        stop: asks ``work`` to end; called when ``show`` raises, or on Ctrl-C.
        period_s: in seconds.

    Raises:
        BaseException: whatever ``show`` or, after it has ended, ``work`` raised.
    """
    errors: list[BaseException] = []

    def do() -> None:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001  a thread root: handed to the caller, which raises it
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
    """Yield every frame, at the source's own pace where asked; None now and then while waiting for the next."""
    behind_s = time.monotonic()
    for frame in _read_ahead(source):
        flow.captured += 1
        flow.captured_rate.tick()
        if paced:
            wait_s = behind_s + frame.t_s - time.monotonic()
            # a slow machine falls behind for good instead of racing to catch up; a long gap is cut short
            behind_s -= min(0.0, wait_s) + max(0.0, wait_s - _LONGEST_WAIT_S)
            while (wait_s := behind_s + frame.t_s - time.monotonic()) > 0:
                time.sleep(min(wait_s, IDLE_S))
                if wait_s > IDLE_S:
                    yield None
        yield frame


def _read_ahead(source: Source) -> Generator[Frame, None, None]:
    """Yield every frame of a recording; the next ones are decoded while this one is worked on."""
    waiting: queue.Queue[Frame | None] = queue.Queue(_AHEAD)
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
        except BaseException as fault:  # noqa: BLE001  a thread root: handed to the loop, which raises it
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
    """Yield the newest frame each time, from a thread that captures without waiting; None where none has come."""
    slot = _LatestFrame(flow)
    stop = threading.Event()

    def capture() -> None:
        error: BaseException | None = None
        try:
            for frame in source.frames():
                slot.put(frame)
                if stop.is_set():
                    break
        except Exception as fault:  # noqa: BLE001  a thread root: handed to the loop, which raises it
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
        source.close()  # wakes a source that waits for its device
        thread.join(timeout=_JOIN_S)
