"""How much is read from outside, whoever reads it; set before OpenCV is loaded."""

from __future__ import annotations

import os
from typing import Final

MAX_PIXELS: Final = 1 << 27
"""A picture of more pixels (11,585 x 11,585) is not decoded, whatever its format and whoever reads it."""

# OpenCV reads its own limit once, when it is loaded; without this a GIF of forty bytes takes 5 GB
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
