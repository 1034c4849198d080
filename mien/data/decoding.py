"""From the bytes of a picture file to the 48x48 grey face that everything else works on.

It knows nothing of folders and labels. A face of another size is cut to the square in its
middle and scaled; colour becomes grey, alpha is left out, 16 bits become 8. A file that is
no picture, is cut short or is absurdly large gives None, never an exception.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.limits import MAX_PIXELS
from mien.preprocess import INPUT_SIZE

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GIF: Final = (b"GIF87a", b"GIF89a")
_STARTS_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN: Final = 0xDA

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # broken files are reported by name instead


def decode_face(data: bytes) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """Return the picture in ``data`` as (48, 48) uint8 grey with its own (width, height), or None when it is none.

    Pixels of a 48x48 picture are what OpenCV decodes; nothing is scaled.
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
    if height != width:  # a face stays in proportion: squashing would change its expression
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
    if image.shape[0] != INPUT_SIZE:
        shrink = image.shape[0] > INPUT_SIZE
        image = cv2.resize(image, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return image.astype(np.uint8, copy=False), (width, height)


def _is_worth_decoding(data: bytes) -> bool:
    """Tell whether ``data`` is not empty and, for JPEG, PNG and GIF, claims at most ``MAX_PIXELS``; a JPEG must be whole.

    Other formats are left to OpenCV, whose limit is the same unless it was loaded before this package.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg_is_whole(data)
    if data.startswith(_PNG):
        width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        return width * height <= MAX_PIXELS
    if data.startswith(_GIF):  # OpenCV takes four bytes a pixel for these before it looks at the first
        return int.from_bytes(data[6:8], "little") * int.from_bytes(data[8:10], "little") <= MAX_PIXELS
    return bool(data)


def _jpeg_is_whole(data: bytes) -> bool:
    """Tell whether a JPEG's picture has an end and claims at most ``MAX_PIXELS``.

    libjpeg paints what is missing grey, which would count as a face. The end is looked for
    after the start of the scan, so an embedded thumbnail's end does not count, and what a
    camera wrote after the end does no harm.
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
