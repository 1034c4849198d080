"""OpenCV's readers of files, streams and cameras, made quiet and alike.

What comes out is always a blue-green-red picture of its true size. This module knows
addresses and pixels; what a failure means is for others to say.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Protocol

# all are read when OpenCV first needs them: FFmpeg's own complaints off (ours say more), and a
# camera that hangs keeps its reader for 3 s a frame instead of 10
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.limits import MAX_PIXELS
from mien.vision.pictures import as_bgr

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

NETWORK_TIMEOUT_S: Final = 5.0
"""How long FFmpeg waits for a server, to open a stream and for each read."""
_MOTION_JPEG: Final = cv2.VideoWriter.fourcc(*"MJPG")


class Decoder(Protocol):
    """What stands where ``cv2.VideoCapture`` stands."""

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        """Tell whether there is anything to read."""

    def read(self) -> tuple[bool, Any]:
        """Return whether a picture came, and the picture."""

    def get(self, propId: int, /) -> float:  # noqa: N803  OpenCV's name
        """Return a property, 0 where it is not known."""

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803  OpenCV's name
        """Ask for a property; return whether it was taken, which is no promise."""

    def release(self) -> None:
        """Give the file, the connection or the device back."""


class Recording(Decoder, Protocol):
    """A decoder whose frames can be passed over."""

    def grab(self) -> bool:
        """Go on to the next picture; return whether there is one."""

    def retrieve(self) -> tuple[bool, Any]:
        """Return whether the picture that was gone on to can be had, and the picture."""


class MotionJpeg:
    """A decoder of motion JPEG that takes each picture as the file it is.

    OpenCV squeezes what FFmpeg decodes into the size of the first picture, and so hides a
    change of resolution and distorts every face after it. JPEG pictures know their size.

    Args:
        capture: opened, with motion JPEG inside.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._capture.set(cv2.CAP_PROP_FORMAT, -1)  # the packets as they are
        self._grabbed: tuple[bool, Any] = (False, None)

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return self._capture.isOpened()

    def read(self) -> tuple[bool, Any]:
        while True:  # a broken picture is skipped; the end of the stream ends this
            ok, packet = self._capture.read()
            if not ok:
                return False, None
            image = cv2.imdecode(np.asarray(packet, np.uint8), cv2.IMREAD_COLOR) if packet.size else None
            if image is not None:
                return True, image

    def grab(self) -> bool:
        self._grabbed = self.read()  # whether a picture is whole is known when it is decoded, and broken ones do not count
        return self._grabbed[0]

    def retrieve(self) -> tuple[bool, Any]:
        return self._grabbed

    def get(self, propId: int, /) -> float:  # noqa: N803  OpenCV's name
        return self._capture.get(propId)

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803  OpenCV's name
        return self._capture.set(propId, value)

    def release(self) -> None:
        self._capture.release()


def open_address(address: str, threads: int = 0) -> Recording:
    """Return a decoder of a file or a stream, opened if that was possible.

    Args:
        address: a path or a URL. A server that says nothing is given up after
            ``NETWORK_TIMEOUT_S``.
        threads: threads that decode; 0 for the decoder's own choice. Pictures do not depend on it.

    Raises:
        DataError: its pictures have more pixels than are read.
    """
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
    wanted = [value for limit in limits for value in (limit, round(1000 * NETWORK_TIMEOUT_S))]
    if threads:
        wanted += [cv2.CAP_PROP_N_THREADS, threads]
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, wanted)
    width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        capture.release()
        raise DataError(f"{address} has pictures of {width:.0f} x {height:.0f} pixels; at most {MAX_PIXELS:,} pixels are read")
    if capture.isOpened() and int(capture.get(cv2.CAP_PROP_FOURCC)) == _MOTION_JPEG:
        return MotionJpeg(capture)
    return capture


def length_of(decoder: Decoder) -> int | None:
    """Return how many frames there are, about; None where nobody knows, as with all that is live."""
    count = decoder.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if 0 < count < 1e9 else None


def permitted(path: Path, mode: int) -> bool:
    """Tell whether this process may open a file so, as ``os.access`` does, but as who it acts now where that can be asked."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """Return a picture as (H, W, 3) uint8 BGR, or None when it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread cannot open every name on every system
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else as_bgr(image)
