"""OpenCV's reader of cameras, made quiet, and the interface that live devices share with it."""

from __future__ import annotations

import os
from typing import Any, Protocol

# both are read when OpenCV first needs them: FFmpeg's own messages off (ours say more), and a
# camera that hangs keeps its reader for 3 s a frame instead of 10
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
import cv2

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class StreamEnded(Exception):  # noqa: N818  not an error
    """A live device has delivered its last picture and says so."""


class Decoder(Protocol):
    """The part of ``cv2.VideoCapture`` that is used here."""

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        """Return whether there is anything to read."""

    def read(self) -> tuple[bool, Any]:
        """Return whether a picture came, and the picture.

        Raises:
            StreamEnded: the device will not deliver any more pictures.
        """

    def get(self, propId: int, /) -> float:  # noqa: N803  OpenCV's name
        """Return a property, 0 if it is unknown."""

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803  OpenCV's name
        """Request a value; return whether the driver accepted the request."""

    def release(self) -> None:
        """Close the device or the connection."""
