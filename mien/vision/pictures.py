"""Conversion of arrays and Pillow images to (H, W, 3) uint8 BGR, the pipeline's input format."""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mien.errors import DataError, UsageError

ColourOrder = Literal["bgr", "rgb"]
_ORDERS: Final = ("bgr", "rgb")


def as_bgr(image: object, order: ColourOrder = "bgr") -> NDArray[np.uint8]:
    """Return a picture as (H, W, 3) uint8 BGR.

    Args:
        image: a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of any numeric type. Pillow images
            are rotated by their EXIF orientation. The value of white in an array is True for bool, 65,535 for uint16,
            255 for other integers, and 1 for floats (255 if any value exceeds 1). NaN is black; alpha is ignored.
        order: channel order of an array: ``bgr`` (or BGRA) as in OpenCV, or ``rgb`` (or RGBA) as in Matplotlib,
            imageio and scikit-image.

    Raises:
        DataError: the shape or type is not that of a picture, or the Pillow image cannot be decoded.
        UsageError: unknown ``order``.
    """
    if order not in _ORDERS:
        raise UsageError(f"order is {order!r}; it must be one of {', '.join(_ORDERS)}")
    if isinstance(image, Image.Image):
        image, order = _pillow_pixels(image), "rgb"
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise DataError(f"an array of shape {array.shape} is not a picture; the shape must be (H, W), (H, W, 3) or (H, W, 4)")
    pixels = _as_bytes(array)
    if pixels.shape[2] == 1:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    return np.ascontiguousarray(pixels[:, :, :3] if order == "bgr" else pixels[:, :, 2::-1])


def _pillow_pixels(image: Image.Image) -> NDArray[np.generic]:
    """Return a Pillow image's pixels as grey (H, W) or RGB (H, W, 3)."""
    try:
        upright = ImageOps.exif_transpose(image)
        deep = upright.mode.startswith(("I", "F"))  # 16 bits or more, which Pillow would clip
        return np.asarray(upright if deep else upright.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"the Pillow image cannot be decoded: {error}") from error


def _as_bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return the same picture as uint8."""
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype.kind not in "buif":
        raise DataError(f"a picture's array must be numeric, not {array.dtype}")
    values = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=255.0, neginf=0.0)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # of either byte order
        values = values / 257
    elif array.dtype.kind == "b" or (array.dtype.kind == "f" and values.max() <= 1):
        values = values * 255
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
