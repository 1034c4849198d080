"""Preprocessing: from a face in a frame to the 48x48 grey crop that the model takes. The only implementation.

FER2013's faces were framed by an unknown detector, so live crops are fitted to that framing.
``CANONICAL_LANDMARKS`` are the mean positions of eyes, nose and mouth that YuNet finds in FER2013's
Training images, made symmetric. A live face is mapped to them by a least-squares similarity
transform of its five landmarks. ``benchmarks/crop_convention.py`` computes these numbers and
measures the effect on accuracy.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

PREPROCESS_VERSION: Final = "1"
"""Must be changed whenever the crop's pixels change; a bundle states the version that it requires."""

INPUT_SIZE: Final = 48
"""Width and height of a face crop in pixels."""

CANONICAL_LANDMARKS: Final[NDArray[np.float32]] = np.array(
    [[14.8, 17.7], [32.2, 17.7], [23.5, 27.7], [16.1, 35.3], [30.9, 35.3]], np.float32
)
"""(5, 2) float32 crop pixels: right eye, left eye, nose tip, right and left mouth corner."""

_MAX_SUPERSAMPLING: Final = 8


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) uint8 grey (ITU-R BT.601 weights) from a (H, W, 3) uint8 BGR image."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)


def resize_crop(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize a face crop (H, W) uint8 grey to (48, 48).

    The central square is used, so that the aspect ratio is kept; distortion would change the expression.
    """
    height, width = grey.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = grey[top : top + side, left : left + side]
    if side == INPUT_SIZE:
        return square
    shrinking = cv2.INTER_AREA if side > INPUT_SIZE else cv2.INTER_LINEAR
    return cv2.resize(square, (INPUT_SIZE, INPUT_SIZE), interpolation=shrinking).astype(np.uint8, copy=False)


def similarity_from_landmarks(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (2, 3) similarity transform from frame pixels to crop pixels.

    Closed-form least squares over five points (Umeyama 1991, without reflection).

    Args:
        landmarks: (5, 2) float32 frame pixels.

    Raises:
        ValueError: the points coincide or are not finite.
    """
    source = landmarks.astype(np.float64)
    target = CANONICAL_LANDMARKS.astype(np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    s, t = source - source_mean, target - target_mean
    spread = float((s * s).sum())
    if not spread > 1e-6:
        raise ValueError("landmarks coincide or are not finite")
    a = float((s * t).sum()) / spread
    b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / spread
    linear = np.array([[a, -b], [b, a]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def warp_face(grey: NDArray[np.uint8], transform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the (48, 48) uint8 crop of a (H, W) uint8 grey image under ``transform`` (2, 3), frame to crop pixels.

    Large faces are sampled on a finer grid and averaged, to avoid aliasing. Outside the image, the
    edge pixels are repeated.
    """
    scale = math.hypot(float(transform[0, 0]), float(transform[1, 0]))
    factor = min(_MAX_SUPERSAMPLING, max(1, math.ceil(1 / scale)))
    # pixel centres: crop coordinate c is (c + 0.5) * factor - 0.5 on the finer grid
    finer = transform * factor
    finer[:, 2] += (factor - 1) / 2
    side = INPUT_SIZE * factor
    fine = cv2.warpAffine(grey, finer, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if factor > 1:
        fine = cv2.resize(fine, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA)
    return fine.astype(np.uint8, copy=False)
