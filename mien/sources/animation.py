"""Reads pictures as recordings: animated WebP and PNG through Pillow; any other picture is a single frame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mien.errors import DataError
from mien.limits import MAX_PIXELS
from mien.sources.files import read_picture
from mien.sources.reader import PacketReport
from mien.visible import visible
from mien.vision.pictures import as_bgr

ANIMATED_ENDINGS: Final = frozenset({".webp", ".png", ".apng"})
_STEP_S: Final = 0.04
_DEFAULT_S: Final = 0.1
"""Duration of a frame for which the file states none, as in browsers."""


class AnimationReader:
    """Reads the frames of an animated picture, or a still picture as a single frame.

    Args:
        path: the picture.

    Attributes:
        total: number of frames; 0 if the file is not a picture.
        step_s: duration of the first frame in seconds.
        stamp_s: presentation time of the current frame in seconds.

    Raises:
        DataError: the picture has too many pixels, or its first frame is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.stamp_s, self.step_s = 0.0, _STEP_S
        self._animation = _opened(path)
        self._still = None if self._animation is not None else read_picture(path)
        self._next = 0
        self._next_s = 0.0
        if self._animation is not None:
            try:
                self._animation.load()
            except (EOFError, OSError, SyntaxError, ValueError) as error:
                raise DataError(f"{visible(path.name)} is truncated or damaged, so it cannot be decoded: {error}") from error
            self.step_s = _duration_s(self._animation)
            self.total: int | None = self._animation.n_frames  # type: ignore[attr-defined]  # of a file with several frames
        else:
            self.total = int(self._still is not None)

    def advance(self) -> bool:
        if self._next >= (self.total or 0):
            return False
        self.stamp_s = self._next_s
        if self._animation is not None:
            try:
                self._animation.seek(self._next)
                self._animation.load()  # sets the duration
            except (EOFError, OSError, SyntaxError, ValueError):
                return False
            self._next_s += _duration_s(self._animation)
        self._next += 1
        return True

    def image(self) -> NDArray[np.uint8]:
        """Return the current frame as (H, W, 3) uint8 BGR.

        Raises:
            DataError: the frame cannot be decoded.
        """
        if self._animation is not None:
            return as_bgr(self._animation)
        if self._still is None:
            raise ValueError("not a picture")
        return self._still

    def seek(self, stamp_s: float) -> bool:
        return False  # each frame is drawn over the previous ones

    def packets(self) -> PacketReport:
        return PacketReport()

    def close(self) -> None:
        if self._animation is not None:
            self._animation.close()


def is_animated(path: Path) -> bool:
    """Return whether a file is an animated picture that Pillow can read."""
    image = _opened(path)
    if image is None:
        return False
    image.close()
    return True


def _opened(path: Path) -> Image.Image | None:
    """Return an animated picture; None if the file is something else.

    Raises:
        DataError: the picture has too many pixels.
    """
    if path.suffix.lower() not in ANIMATED_ENDINGS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is checked here
            image = Image.open(path)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if getattr(image, "n_frames", 1) < 2:
        image.close()
        return None
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        image.close()
        raise DataError(f"{path} has pictures of {size} pixels; at most {MAX_PIXELS:,} pixels are read")
    return image


def _duration_s(image: Image.Image) -> float:
    """Return the duration of the current frame in seconds."""
    duration_ms = image.info.get("duration", 0)
    return float(duration_ms) / 1000 if isinstance(duration_ms, (int, float)) and duration_ms > 0 else _DEFAULT_S
