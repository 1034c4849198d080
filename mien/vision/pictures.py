"""Any array that may be a picture, as the one kind the pipeline takes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError


def as_bgr(image: object) -> NDArray[np.uint8]:
    """Return a picture as (H, W, 3) uint8, blue-green-red.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA as OpenCV has them, of any
            number type: bool, 0 to 255, 0 to 65,535 in uint16, or floating with 1 as white
            (255 where values exceed 1). What is not a number is black.

    Raises:
        DataError: no picture has this shape or type.
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise DataError(f"a picture is (height, width) or (height, width, 3), not an array of shape {array.shape}")
    pixels = _as_bytes(array)
    if pixels.shape[2] == 1:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    return np.ascontiguousarray(pixels[:, :, :3])


def _as_bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return the same picture as uint8."""
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype.kind not in "buif":
        raise DataError(f"a picture is made of numbers, not of {array.dtype}")
    values = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=255.0, neginf=0.0)
    if array.dtype == np.uint16:
        values = values / 257
    elif array.dtype.kind == "b" or (array.dtype.kind == "f" and values.max() <= 1):
        values = values * 255
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
