"""Mien recognises facial expressions in images, videos and camera streams, on the machine it runs on.

An expression is what a face shows, not what a person feels.

    from mien import Analyzer
    for face in Analyzer().image("photo.jpg").faces:
        print(face.words)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import mien.limits  # noqa: F401  before anything loads OpenCV
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.version import VERSION

if TYPE_CHECKING:
    from mien.analyzer import Analyzer, draw, to_dataframe
    from mien.records import FaceReading, Frame, FrameResult

__all__ = [
    "EMOTIONS",
    "Analyzer",
    "FaceReading",
    "Frame",
    "FrameResult",
    "MienError",
    "__version__",
    "draw",
    "to_dataframe",
]
__version__ = VERSION

_LAZY = {
    **dict.fromkeys(("Analyzer", "draw", "to_dataframe"), "mien.analyzer"),
    **dict.fromkeys(("FaceReading", "Frame", "FrameResult"), "mien.records"),
}


def __getattr__(name: str) -> object:
    """Import NumPy and OpenCV only on first use, so that ``import mien`` is fast."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
