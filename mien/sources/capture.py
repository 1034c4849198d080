"""Sources that are live: a camera or a network stream, which may go away and come back.

Losing a device does not end a session. The source says that it is lost, opens the device
again, less and less often, and goes on where it was: on the same clock, with the next frame
number. How a device is opened, and why it cannot be, is the device's own knowledge.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from mien.errors import DeviceError
from mien.records import LONGEST_INTERVAL_S, Frame, SourceHealth
from mien.sources.connection import Connection, Picture
from mien.sources.decoder import Decoder
from mien.sources.health import HealthMonitor
from mien.sources.video import StreamDecoder
from mien.visible import visible

_LEAVE_S: Final = 1.0  # a read that works returns in this time; one that hangs is left behind
_TICK_S: Final = 0.001


class Device(Protocol):
    """Something that can be opened again and again.

    Attributes:
        name: what it is called for people.
    """

    name: str

    def open(self) -> Decoder:
        """Return it, opened if that was possible."""

    def problem(self) -> str:
        """Return why it cannot be opened or gives nothing, and what to do, as one sentence."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for what, in seconds.

    Attributes:
        open_s: for a device to open.
        first_s: for the first frame; a device that never gave one is no camera.
        lost_s: without a frame until a connection is given up.
        failing_s: of failed reads in a row until it is given up.
        retry_s: before the first attempt to open it again; doubled with each.
        longest_retry_s: between two attempts at most.
        patience_s: without a frame until the session ends.
    """

    open_s: float = 10.0
    first_s: float = 5.0
    lost_s: float = 5.0
    failing_s: float = 1.0
    retry_s: float = 0.5
    longest_retry_s: float = 5.0
    patience_s: float = 60.0


class CaptureSource:
    """A device that is read as it comes; times are seconds since its frames were first asked for.

    Pictures are stamped when they arrive: presentation times of a stream restart with
    every connection, and a camera has none.

    Args:
        device: what to read.
        timing: how long to wait for what.
        clock: seconds that only grow.

    Attributes:
        is_recording: whether the device is a recording behind a URL.

    Raises:
        DeviceError: it cannot be opened.
    """

    is_live = True
    preview_s: float | None = None
    total: int | None = None
    seed: int | None = None

    def __init__(self, device: Device, timing: Timing | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = device.name
        self._device = device
        self._timing = timing or Timing()
        self._clock = clock
        self._started_s = clock()
        self._ended_s: float | None = None
        self._watch = HealthMonitor(self._now_s)
        self._closed = threading.Event()
        self._connection = self._connect()
        if not self._connection.wait_open(self._timing.open_s):
            self.close()
            self._raise_fault()
            raise DeviceError(device.problem())
        self.is_recording = self._connection.is_recording

    @property
    def health(self) -> SourceHealth:
        return self._watch.health

    def frames(self) -> Iterator[Frame]:
        self._started_s = heard_s = self._clock()
        retry_s, wait_s = self._timing.retry_s, self._timing.lost_s
        frame: Frame | None = None
        while not self._closed.is_set():
            ends_s = heard_s + (self._timing.patience_s if frame is not None else self._timing.first_s)
            picture = self._connection.take(min(wait_s, ends_s - self._clock()))
            if picture is not None:
                heard_s, retry_s, wait_s = self._clock(), self._timing.retry_s, self._timing.lost_s
                frame = self._framed(picture, frame)
                self._watch.update(frame.t_s, frame.image)
                yield frame
                continue
            self._raise_fault()
            if self._closed.is_set() or self._connection.has_ended:
                break
            if frame is not None:
                self._watch.mark_lost()
            if self._clock() >= ends_s:
                raise DeviceError(self._end_message(frame))
            self._connection.close()
            self._closed.wait(min(retry_s, max(0.0, ends_s - self._clock())))
            retry_s, wait_s = min(2 * retry_s, self._timing.longest_retry_s), self._timing.open_s
            self._connection = self._connect()
        self._connection.close()

    def close(self) -> None:
        """Give the device back; ``frames`` ends. A read that does not return is left to its thread."""
        if not self._closed.is_set():
            self._ended_s = self._clock()  # what comes later is nobody's loss
            self._closed.set()
            self._connection.close(_LEAVE_S)

    def _now_s(self) -> float:
        return (self._ended_s or self._clock()) - self._started_s

    def _connect(self) -> Connection:
        return Connection(self._device.open, self._clock, self._timing.failing_s)

    def _framed(self, picture: Picture, before: Frame | None) -> Frame:
        """Return a picture as the next frame; of the time since the last one, a gap does not count."""
        t_s = max(0.0, picture.came_s - self._started_s)
        if before is None:
            return Frame(0, t_s, picture.image, min(t_s, LONGEST_INTERVAL_S))
        t_s = max(t_s, before.t_s + _TICK_S)  # a burst, on a clock that is coarse
        return Frame(before.index + 1, t_s, picture.image, min(t_s - before.t_s, LONGEST_INTERVAL_S))

    def _end_message(self, frame: Frame | None) -> str:
        if frame is None:
            return f"{self.name} opens but delivers no frame in {self._timing.first_s:g} s: {self._device.problem()}"
        return (
            f"{self.name} has sent no frame for {self._timing.patience_s:g} s: {self._device.problem()}. "
            "The session so far is saved. To wait longer, use --patience-s"
        )

    def _raise_fault(self) -> None:
        if self._connection.error is not None:
            raise self._connection.error


class Stream:
    """A network stream.

    Args:
        url: its address; a password or a key in it is not part of the name.
    """

    def __init__(self, url: str) -> None:
        place, *query = re.split(r"[?#]", url, maxsplit=1)
        # an @ behind a ? may end a password that holds one, and then nothing of the address is safe to show
        self.name = visible(f"stream ({url.partition(':')[0]})" if "@" in "".join(query) else place.rpartition("@")[2])
        self._url = url

    def open(self) -> Decoder:
        return StreamDecoder(self._url, self.name)

    def problem(self) -> str:
        return f"cannot open the stream {self.name}, or there is no video in it. Check the address and that the server runs"
