"""The interface of live decoders, which ``cv2.VideoCapture`` implements, and OpenCV's log settings."""

from __future__ import annotations

import os
from typing import Any, Protocol

# OpenCV reads both on first use: FFmpeg's log is switched off, and reading a camera that hangs
# times out after 3 s per frame instead of 10 s
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
import cv2

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class StreamEnded(Exception):  # noqa: N818  not an error
    """A live device has signalled its end."""


class Decoder(Protocol):
    """The methods of ``cv2.VideoCapture`` that live sources use."""

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        """Return whether the device is open."""

    def read(self) -> tuple[bool, Any]:
        """Return whether a picture was read, and the picture.

        Raises:
            StreamEnded: the device will deliver no more pictures.
        """

    def get(self, propId: int, /) -> float:  # noqa: N803  OpenCV's name
        """Return a property; 0 if it is unknown."""

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803  OpenCV's name
        """Request a value; return whether the driver accepted the request."""

    def release(self) -> None:
        """Close the device or the connection."""
