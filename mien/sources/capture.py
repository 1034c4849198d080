"""Live sources: a camera or a network stream, reconnected when the connection is lost.

Losing a device does not end a session. The source reports the loss, tries to reopen the device with
exponential backoff, and continues on the same clock with the next frame number.
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

_CLOSE_S: Final = 1.0  # a working read returns within this time; one that hangs is abandoned
_TICK_S: Final = 0.001


class Device(Protocol):
    """A device that can be opened repeatedly.

    Attributes:
        name: display name.
    """

    name: str

    def open(self) -> Decoder:
        """Return a decoder, opened if that was possible."""

    def problem(self) -> str:
        """Return why the device cannot be opened or delivers nothing, and what to do, as one sentence."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Timeouts of a live source, in seconds.

    Attributes:
        open_s: time for opening the device.
        first_s: time for the first frame, after which the source fails.
        lost_s: time without a frame after which the connection counts as lost.
        failing_s: time of consecutive failed reads after which the connection counts as lost.
        retry_s: delay before the first attempt to reconnect; doubled for each further attempt.
        longest_retry_s: maximum delay between two attempts.
        patience_s: time without a frame after which the session ends.
    """

    open_s: float = 10.0
    first_s: float = 5.0
    lost_s: float = 5.0
    failing_s: float = 1.0
    retry_s: float = 0.5
    longest_retry_s: float = 5.0
    patience_s: float = 60.0


class CaptureSource:
    """Reads a live device. Times are in seconds since ``frames`` was called.

    Frames are stamped on arrival: the presentation times of a stream restart with every connection,
    and a camera has none.

    Args:
        device: the device.
        timing: the timeouts.
        clock: monotonic clock in seconds.

    Attributes:
        is_recording: whether the device is a recording behind a URL.

    Raises:
        DeviceError: the device cannot be opened.
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
        self._monitor = HealthMonitor(self._now_s)
        self._closed = threading.Event()
        self._connection = self._connect()
        if not self._connection.wait_open(self._timing.open_s):
            self.close()
            self._raise_fault()
            raise DeviceError(device.problem())
        self.is_recording = self._connection.is_recording

    @property
    def health(self) -> SourceHealth:
        return self._monitor.health

    def frames(self) -> Iterator[Frame]:
        self._started_s = last_frame_s = self._clock()
        retry_s, wait_s = self._timing.retry_s, self._timing.lost_s
        frame: Frame | None = None
        while not self._closed.is_set():
            ends_s = last_frame_s + (self._timing.patience_s if frame is not None else self._timing.first_s)
            picture = self._connection.take(min(wait_s, ends_s - self._clock()))
            if picture is not None:
                last_frame_s, retry_s, wait_s = self._clock(), self._timing.retry_s, self._timing.lost_s
                frame = self._framed(picture, frame)
                self._monitor.update(frame.t_s, frame.image)
                yield frame
                continue
            self._raise_fault()
            if self._closed.is_set() or self._connection.has_ended:
                break
            if frame is not None:
                self._monitor.mark_lost()
            if self._clock() >= ends_s:
                raise DeviceError(self._end_message(frame))
            self._connection.close()
            self._closed.wait(min(retry_s, max(0.0, ends_s - self._clock())))
            retry_s, wait_s = min(2 * retry_s, self._timing.longest_retry_s), self._timing.open_s
            self._connection = self._connect()
        self._connection.close()

    def close(self) -> None:
        """Release the device and end ``frames``. A read that hangs is left to its thread."""
        if not self._closed.is_set():
            self._ended_s = self._clock()  # silence after this does not count as a loss
            self._closed.set()
            self._connection.close(_CLOSE_S)

    def _now_s(self) -> float:
        return (self._ended_s or self._clock()) - self._started_s

    def _connect(self) -> Connection:
        return Connection(self._device.open, self._clock, self._timing.failing_s)

    def _framed(self, picture: Picture, before: Frame | None) -> Frame:
        """Return a picture as the next frame. Its interval is limited, so that gaps are not attributed to a frame."""
        t_s = max(0.0, picture.came_s - self._started_s)
        if before is None:
            return Frame(0, t_s, picture.image, min(t_s, LONGEST_INTERVAL_S))
        t_s = max(t_s, before.t_s + _TICK_S)  # a burst of frames, or a coarse clock
        return Frame(before.index + 1, t_s, picture.image, min(t_s - before.t_s, LONGEST_INTERVAL_S))

    def _end_message(self, frame: Frame | None) -> str:
        if frame is None:
            return f"{self.name} opened but delivered no frame within {self._timing.first_s:g} s: {self._device.problem()}"
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
        url: its address.

    Attributes:
        name: the address without credentials and query.
    """

    def __init__(self, url: str) -> None:
        place, *query = re.split(r"[?#]", url, maxsplit=1)
        # an @ after a ? may end a password that contains a ?, so nothing of the address is safe to show
        self.name = visible(f"stream ({url.partition(':')[0]})" if "@" in "".join(query) else place.rpartition("@")[2])
        self._url = url

    def open(self) -> Decoder:
        return StreamDecoder(self._url, self.name)

    def problem(self) -> str:
        return f"cannot open the stream {self.name}, or it contains no video. Check the address, and that the server is running"
