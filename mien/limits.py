"""Resource limits: the maximum image size, which must be set before OpenCV is loaded, and the number of workers."""

from __future__ import annotations

import os
from typing import Final

MAX_PIXELS: Final = 1 << 27
"""Maximum number of pixels of a decoded image (11,585 x 11,585), for all formats and readers."""

# OpenCV reads this variable when it is loaded; without it, a GIF of forty bytes can take 5 GB
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))


def worker_count() -> int:
    """Return the number of CPU cores that this process may use, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, len(affinity(0)) if affinity is not None else (os.cpu_count() or 1))
