"""Saves screenshots of the live view, with faces pixelated unless requested otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.files import atomic_path
from mien.records import FaceReading, Frame, Snapshot
from mien.views.dashboard import render

_SIZE: Final = (1280, 720)
_SQUARES: Final = 8


def save_screenshot(folder: Path, frame: Frame, snapshot: Snapshot, hidden: tuple[FaceReading, ...]) -> Path:
    """Save the live view as a PNG named after the frame's time, and return the path.

    Args:
        folder: folder of the screenshot.
        frame: the frame on screen.
        snapshot: the state of the session. While a camera is lost it has no faces, although the
            last frame still shows them.
        hidden: the faces of ``frame`` to pixelate.

    Raises:
        DeviceError: the file cannot be written.
    """
    shown = replace(frame, image=without_faces(frame.image, hidden))
    target = folder / f"screenshot-{frame.t_s:09.3f}s.png"
    picture = render(shown, snapshot, _SIZE)
    with atomic_path(target, private=True) as temporary:
        # OpenCV opens no path that is not UTF-8
        temporary.write_bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())
    return target


def without_faces(image: NDArray[np.uint8], faces: tuple[FaceReading, ...]) -> NDArray[np.uint8]:
    """Return a copy of a (H, W, 3) uint8 image with the faces pixelated."""
    image = image.copy()
    height, width = image.shape[:2]
    for face in faces:
        box = face.detection.box
        left, top = max(0, int(box.x - 0.1 * box.w)), max(0, int(box.y - 0.1 * box.h))
        right, bottom = min(width, int(box.x + 1.1 * box.w)), min(height, int(box.y + 1.1 * box.h))
        if right > left and bottom > top:
            coarse = cv2.resize(image[top:bottom, left:right], (_SQUARES, _SQUARES), interpolation=cv2.INTER_AREA)
            image[top:bottom, left:right] = cv2.resize(coarse, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    return image
