"""Mien reads facial expressions from a camera or a video, on the machine it runs on.

An expression is what a face shows; it is not what a person feels.

    from mien import Analyzer
    for face in Analyzer().image("photo.jpg").faces:
        print(face.words)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mien.limits  # noqa: F401  before anything loads OpenCV
from mien.version import VERSION

if TYPE_CHECKING:
    from mien.analyzer import Analyzer

__all__ = ["Analyzer", "__version__"]
__version__ = VERSION


def __getattr__(name: str) -> object:
    """Load the analyzer when it is asked for: ``import mien`` alone costs nothing."""
    if name == "Analyzer":
        from mien.analyzer import Analyzer

        return Analyzer
    raise AttributeError(f"module 'mien' has no attribute {name!r}")
