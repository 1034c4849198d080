"""One connection to a device or a stream, read by a separate thread.

A call into a driver or the network may block for minutes or forever. Only this thread blocks; callers
wait with a timeout. The thread that opened a device also releases it, since OpenCV does not support
releasing it from another thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.sources.decoder import Decoder, StreamEnded
from mien.sources.video import StreamDecoder
from mien.vision.pictures import as_bgr

_RETRY_S: Final = 0.02  # delay between two failed reads


@dataclass(frozen=True, slots=True)
class Picture:
    """A (H, W, 3) uint8 BGR picture and its time of arrival in seconds, on the connection's clock."""

    came_s: float
    image: NDArray[np.uint8]


class Connection:
    """Opens a device in a new thread and reads it until it is closed or fails.

    Args:
        open_decoder: opens the device; called in the thread.
        clock: monotonic clock in seconds, for the times of arrival.
        failing_s: time of consecutive failed reads, in seconds, after which reading ends; cameras
            occasionally miss a frame.

    Attributes:
        error: an unexpected exception in the thread, or None.
        is_recording: whether the device is a recording behind a URL, whose end is known.
        has_ended: whether the device has signalled its end.
    """

    def __init__(self, open_decoder: Callable[[], Decoder], clock: Callable[[], float], failing_s: float) -> None:
        self.error: BaseException | None = None
        self.is_recording = self.has_ended = False
        self._open_decoder = open_decoder
        self._clock = clock
        self._failing_s = failing_s
        self._changed = threading.Condition()
        self._picture: Picture | None = None
        self._opened = self._finished = self._closing = False
        self._thread = threading.Thread(target=self._work, name="mien-reader", daemon=True)
        self._thread.start()

    def wait_open(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s`` seconds for the device to open; return whether it did."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._finished, timeout_s)
            return self._opened

    def take(self, timeout_s: float) -> Picture | None:
        """Return the next picture; None if none arrives within ``timeout_s`` seconds, and at once if none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._picture is not None or self._finished or self._closing, max(0.0, timeout_s))
            picture, self._picture = self._picture, None
            self._changed.notify_all()
            return picture

    def close(self, wait_s: float = 0.0) -> None:
        """Stop reading, and wait up to ``wait_s`` seconds for the device to be released. Safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(wait_s)

    def _work(self) -> None:
        decoder: Decoder | None = None
        try:
            decoder = self._open_decoder()
            if decoder.isOpened():
                self._read(decoder)
        except StreamEnded:
            self.has_ended = True
        except (cv2.error, OSError, DataError):
            pass  # the device cannot be opened, or was lost
        except Exception as fault:  # noqa: BLE001  the root of a thread: raised in the caller's thread
            self.error = fault
        finally:
            if decoder is not None:
                decoder.release()
            with self._changed:
                self._finished = True
                self._changed.notify_all()

    def _read(self, decoder: Decoder) -> None:
        with self._changed:
            self._opened = True
            self.is_recording = isinstance(decoder, StreamDecoder) and decoder.is_recording
            self._changed.notify_all()
        last_good_s = self._clock()
        while not self._closing:
            came, decoded = decoder.read()
            now_s = self._clock()
            if came:
                last_good_s = now_s
                self._put(Picture(now_s, as_bgr(decoded)))
            elif now_s - last_good_s >= self._failing_s:
                return
            else:
                time.sleep(_RETRY_S)

    def _put(self, picture: Picture) -> None:
        """Hand over a picture after the previous one was taken, so that none is lost."""
        with self._changed:
            self._changed.wait_for(lambda: self._picture is None or self._closing)
            self._picture = picture
            self._changed.notify_all()
