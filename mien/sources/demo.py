"""The built-in demo: a public-domain portrait that moves like a face in front of a camera.

NASA's portrait of the astronaut Eileen Collins (public domain; file from scikit-image) is panned,
zoomed, rotated and dimmed by smooth functions of time. Each frame number always gives the same frame.
No camera, network or user file is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import resources
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.records import Frame, SourceHealth

FPS: Final = 25.0
SIZE: Final = (640, 480)
CYCLE_S: Final = 20.0
"""Period of the movement in seconds; a run without a view ends after it."""
_FACE_CENTRE: Final = (222.0, 118.0)


class DemoSource:
    """An endless source of frames of the moving portrait, 640 x 480 pixels at 25 per second."""

    name = "demo"
    is_live = False
    total: int | None = None
    preview_s: float | None = CYCLE_S
    seed: int | None = 0
    health = SourceHealth()

    def __init__(self) -> None:
        self._portrait = _load_portrait()

    def frames(self) -> Iterator[Frame]:
        index = 0
        while True:
            t_s = index / FPS
            yield Frame(index, t_s, self._picture(t_s), 1 / FPS)
            index += 1

    def close(self) -> None:
        return None

    def _picture(self, t_s: float) -> NDArray[np.uint8]:
        """Return the frame at ``t_s`` seconds, (480, 640, 3) uint8 BGR."""
        turn = 2 * math.pi * t_s / CYCLE_S
        zoom = 2.0 + 0.2 * math.sin(2 * turn)
        matrix = cv2.getRotationMatrix2D(_FACE_CENTRE, 11 * math.sin(3 * turn), zoom)
        matrix[0, 2] += SIZE[0] / 2 - _FACE_CENTRE[0] + 70 * math.sin(turn)
        matrix[1, 2] += 0.42 * SIZE[1] - _FACE_CENTRE[1] + 15 * math.sin(2 * turn + 1)
        # replicate the border: mirroring it would show parts of a second face
        moved = cv2.warpAffine(self._portrait, matrix, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        light = 0.75 + 0.25 * math.cos(turn)
        return cv2.convertScaleAbs(moved, alpha=light, beta=0).astype(np.uint8, copy=False)


def _load_portrait() -> NDArray[np.uint8]:
    """Return the portrait, (512, 512, 3) uint8 BGR."""
    data = np.frombuffer((resources.files("mien") / "pictures" / "astronaut.jpg").read_bytes(), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
