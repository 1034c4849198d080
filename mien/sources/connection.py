"""One opening of a device or a stream, in a thread of its own.

A call into a driver or over a network may not return for minutes, or ever. Only the thread
here waits for it; its user waits as long as it chooses, and can leave.
The thread that opened a device is also the one that gives it back, because OpenCV does not
bear it from another.
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

_AGAIN_S: Final = 0.02  # between two reads that fail


@dataclass(frozen=True, slots=True)
class Picture:
    """A (H, W, 3) uint8 BGR picture, and when it came on the connection's clock."""

    came_s: float
    image: NDArray[np.uint8]


class Connection:
    """Opens at once, reads until it is left or nothing comes any more, and then gives the device back.

    Args:
        open_decoder: opens the device; called in the thread.
        clock: stamps the pictures, in seconds.
        failing_s: how long reads may fail in a row; cameras miss a picture now and then.

    Attributes:
        error: what ended the thread, where that was a fault of the program.
        is_recording: whether the address leads to a recording, whose end is known.
        has_ended: whether the device has delivered its last picture and says so.
    """

    def __init__(self, open_decoder: Callable[[], Decoder], clock: Callable[[], float], failing_s: float) -> None:
        self.error: BaseException | None = None
        self.is_recording = self.has_ended = False
        self._open_decoder = open_decoder
        self._clock = clock
        self._failing_s = failing_s
        self._turn = threading.Condition()
        self._picture: Picture | None = None
        self._opened = self._over = self._left = False
        self._thread = threading.Thread(target=self._work, name="mien-reader", daemon=True)
        self._thread.start()

    def wait_open(self, timeout_s: float) -> bool:
        """Return whether the device is open, as soon as that is known, at the latest after ``timeout_s``."""
        with self._turn:
            self._turn.wait_for(lambda: self._opened or self._over, timeout_s)
            return self._opened

    def take(self, timeout_s: float) -> Picture | None:
        """Return the next picture; None when none came in time, or none will come."""
        with self._turn:
            self._turn.wait_for(lambda: self._picture is not None or self._over or self._left, max(0.0, timeout_s))
            picture, self._picture = self._picture, None
            self._turn.notify_all()
            return picture

    def close(self, wait_s: float = 0.0) -> None:
        """End it, and wait that long at most until the device is given back. Safe to call twice."""
        with self._turn:
            self._left = True
            self._turn.notify_all()
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
            pass  # it cannot be opened, or was lost
        except Exception as fault:  # noqa: BLE001  a thread root: raised where pictures are taken
            self.error = fault
        finally:
            if decoder is not None:
                decoder.release()
            with self._turn:
                self._over = True
                self._turn.notify_all()

    def _read(self, decoder: Decoder) -> None:
        with self._turn:
            self._opened = True
            self.is_recording = isinstance(decoder, StreamDecoder) and decoder.is_recording
            self._turn.notify_all()
        good_s = self._clock()
        while not self._left:
            came, decoded = decoder.read()
            now_s = self._clock()
            if came:
                good_s = now_s
                self._put(Picture(now_s, as_bgr(decoded)))
            elif now_s - good_s >= self._failing_s:
                return
            else:
                time.sleep(_AGAIN_S)

    def _put(self, picture: Picture) -> None:
        """Hand a picture over; the one before must have been taken, so that none is lost here."""
        with self._turn:
            self._turn.wait_for(lambda: self._picture is None or self._left)
            self._picture = picture
            self._turn.notify_all()
