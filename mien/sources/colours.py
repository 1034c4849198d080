"""Exact conversion of the most frequent kind of video frame to BGR.

FFmpeg's fast conversion makes pictures one to one and a half levels too dark, and repeats each chroma sample; browsers do
neither, so the same recording would be read differently there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_BT601: Final = frozenset({2, 5, 6})
"""Matrices in the numbers of ITU-T H.273: unspecified, BT.601 with 625 lines, BT.601 with 525 lines."""
_BGR_OF_YUV: Final = np.array(
    [
        [255 / 219, 1.772 * 255 / 224, 0.0],
        [255 / 219, -0.344136 * 255 / 224, -0.714136 * 255 / 224],
        [255 / 219, 0.0, 1.402 * 255 / 224],
    ]
)
_OFFSET: Final = np.array([[16.0], [128.0], [128.0]])
_MATRIX: Final = np.hstack([_BGR_OF_YUV, -_BGR_OF_YUV @ _OFFSET])
"""ITU-R BT.601 with limited range: (3, 4) from Y, U, V and 1 to B, G, R."""
_INTERPOLATED_SIDE: Final = 800
"""Chroma is interpolated in pictures up to this side; larger ones are scaled down before they are read, which evens it out."""


def is_plain(frame: VideoFrame) -> bool:
    """Return whether ``plain_to_bgr`` converts a frame: planar 4:2:0 of limited range and even size, BT.601 or unmarked."""
    is_even = not (frame.width % 2 or frame.height % 2)
    return is_even and frame.format.name == "yuv420p" and frame.color_range != ColorRange.JPEG and frame.colorspace in _BT601


def plain_to_bgr(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return a frame that ``is_plain`` as (H, W, 3) uint8 BGR."""
    planes, width, height = frame.to_ndarray(), frame.width, frame.height
    if max(width, height) > _INTERPOLATED_SIDE:
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), np.uint8)
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    blue, red = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in chroma)
    return np.asarray(cv2.transform(cv2.merge([planes[:height], blue, red]), _MATRIX), np.uint8)
