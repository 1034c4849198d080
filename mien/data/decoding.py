"""Decoding of picture files to 48x48 grey faces.

It is independent of folders and labels. A face of another size is cropped to its central square
and scaled. Colour is converted to grey, alpha is dropped, 16 bits become 8. A file that is not an
image, is truncated or is absurdly large gives None, never an exception.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.limits import MAX_PIXELS
from mien.preprocess import resize_crop

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GIF: Final = (b"GIF87a", b"GIF89a")
_STARTS_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN: Final = 0xDA

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # broken files are reported by name instead


def decode_face(data: bytes) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """Return the image in ``data`` as (48, 48) uint8 grey with its original (width, height), or None if it is not one.

    A 48x48 image is not scaled: its pixels are those decoded by OpenCV.
    """
    if not _is_worth_decoding(data):
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except (cv2.error, MemoryError):
        return None
    if image is None:
        return None
    height, width = image.shape
    return resize_crop(image.astype(np.uint8, copy=False)), (width, height)


def _is_worth_decoding(data: bytes) -> bool:
    """Return whether ``data`` is not empty and, for JPEG, PNG and GIF, declares at most ``MAX_PIXELS``; a JPEG must be complete.

    Other formats are checked by OpenCV, which has the same limit unless it was loaded before this package.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg_is_whole(data)
    if data.startswith(_PNG):
        width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        return width * height <= MAX_PIXELS
    if data.startswith(_GIF):  # OpenCV allocates four bytes per pixel for these before it decodes the first
        return int.from_bytes(data[6:8], "little") * int.from_bytes(data[8:10], "little") <= MAX_PIXELS
    return bool(data)


def _jpeg_is_whole(data: bytes) -> bool:
    """Return whether a JPEG has an end marker and declares at most ``MAX_PIXELS``.

    libjpeg fills missing parts with grey, which would count as a face. The marker is searched
    after the start of the scan, so the end of an embedded thumbnail does not count, and data
    that a camera appended after the end is ignored.
    """
    at, size = 2, len(data)
    while at + 9 <= size and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _START_OF_SCAN:
            break
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _STARTS_OF_FRAME:
            height, width = data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
            if width * height > MAX_PIXELS:
                return False
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return data.rfind(b"\xff\xd9", at) > 0
