"""Mien reads facial expressions from a camera or a video, on the machine it runs on.

An expression is what a face shows; it is not what a person feels.

    from mien import Analyzer
    for face in Analyzer().image("photo.jpg").faces:
        print(face.words)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mien.analyzer import Analyzer

__all__ = ["MAX_PIXELS", "Analyzer", "__version__"]

MAX_PIXELS: Final = 1 << 27
"""A picture of more pixels (11,585 x 11,585) is not decoded, whatever its format and whoever reads it."""

# OpenCV reads its own limit once, when it is loaded; without this a GIF of forty bytes takes 5 GB
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the analyzer when it is asked for: ``import mien`` alone costs nothing."""
    if name == "Analyzer":
        from mien.analyzer import Analyzer

        return Analyzer
    raise AttributeError(f"module 'mien' has no attribute {name!r}")
