"""From a face in a frame to the 48x48 grey crop the model was trained on: the only such code.

FER2013's faces were framed by a detector of its own, so a live crop is *fitted* to that
framing. ``CANONICAL_LANDMARKS`` is where YuNet finds eyes, nose and mouth in FER2013's
Training images on average, made symmetric; a live face is turned, scaled and moved until
its five landmarks lie there as closely as a similarity transform allows. A detector without
landmarks has its box fitted instead (``HAAR_FRAME``). ``benchmarks/crop_convention.py``
makes these numbers and measures what the whole way costs in accuracy.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

PREPROCESS_VERSION: Final = "1"
"""Changes with any change of pixels; a model bundle names the version it was made for."""

INPUT_SIZE: Final = 48
"""Width and height of a face crop in pixels."""

CANONICAL_LANDMARKS: Final[NDArray[np.float32]] = np.array(
    [[14.8, 17.7], [32.2, 17.7], [23.5, 27.7], [16.1, 35.3], [30.9, 35.3]], np.float32
)
"""(5, 2) pixels of the crop: right eye, left eye, nose tip, right and left mouth corner."""

HAAR_FRAME: Final[tuple[float, float, float]] = (0.2, 0.0, 46.2)
"""Left, top and side, in pixels of the crop, of the box OpenCV's Haar cascade draws around a face."""

_MAX_SUPERSAMPLING: Final = 8


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) uint8 grey (ITU-R BT.601 weights) from a (H, W, 3) uint8 BGR image."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)


def similarity_from_landmarks(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (2, 3) similarity transform from frame pixels to crop pixels.

    Least squares over five points, in closed form (Umeyama 1991, without reflection).

    Args:
        landmarks: (5, 2) float32 frame pixels.

    Raises:
        ValueError: all points coincide or are not finite.
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


def similarity_from_box(x: float, y: float, side: float) -> NDArray[np.float64]:
    """Return the (2, 3) transform from frame pixels to crop pixels for a Haar box, side > 0."""
    left, top, frame_side = HAAR_FRAME
    scale = frame_side / side
    return np.array([[scale, 0.0, left - scale * x], [0.0, scale, top - scale * y]])


def warp_face(grey: NDArray[np.uint8], transform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the (48, 48) uint8 crop that ``transform`` cuts out of a (H, W) uint8 grey image.

    A large face is sampled on a finer grid and averaged down, so that it is not aliased.
    Outside the image the nearest edge pixel goes on.
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
