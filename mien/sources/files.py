"""Reads picture files, and explains why a file cannot be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

import mien.limits  # noqa: F401  sets OpenCV's pixel limit
from mien.vision.pictures import as_bgr

IMAGE_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".apng", ".bmp", ".webp", ".tif", ".tiff"})
"""File name endings of pictures."""


def has_access(path: Path, mode: int) -> bool:
    """Return whether this process may open a file: ``os.access`` for the effective user where that is supported."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def unreadable_reason(path: Path) -> str:
    """Return why a file cannot be opened, as the predicate of a sentence."""
    if path.exists() and not has_access(path, os.R_OK):
        return "may not be read by this user (permission denied). Change its permissions, or copy it"
    return "is not a video that can be read (wrong format, or truncated)"


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """Return a picture as (H, W, 3) uint8 BGR; None if it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread cannot open every file name on every system
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else as_bgr(image)
