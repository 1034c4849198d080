"""Similarity of a face and its surroundings to their earlier appearance.

Consecutive frames of a video are nearly identical, except after a cut or when the tiles of a video call move. To notice
this, small grey pictures are compared while a track lasts. They do not identify persons and are not stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.records import Box

_SIDE: Final = 24
_WIDE: Final = 2.0
"""Side of the surroundings, in face sizes."""
_SAME_PLACE_IOU: Final = 0.3
_GRID: Final = 32
_CUT_LIKENESS: Final = 0.6
_CUT_LEVELS: Final = 10.0
"""Two frames are separated by a cut if their correlation is below the first value and their mean absolute difference in grey
levels is above the second."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """The appearance of a face when it was last seen.

    Attributes:
        box: its box in the image.
        face: (24, 24) float32, the face; mean 0, norm 1.
        wide: (24, 24) float32, the face with its surroundings; mean 0, norm 1.
    """

    box: Box
    face: NDArray[np.float32]
    wide: NDArray[np.float32]

    @classmethod
    def of(cls, image: NDArray[np.uint8], box: Box) -> Appearance:
        """Return the appearance of a face in a (H, W, 3) uint8 image."""
        return cls(box, _patch(image, box, 1.0), _patch(image, box, _WIDE))

    def likeness(self, other: Appearance, image: NDArray[np.uint8]) -> float:
        """Return the similarity of this and a later appearance, -1 to 1.

        This is the maximum of up to three correlations: of the faces, of the faces with their surroundings, and, if the
        boxes overlap, of the image at the position of the first one.

        Args:
            other: the later appearance.
            image: (H, W, 3) uint8, the frame of the later appearance.
        """
        found = max(float((self.face * other.face).sum()), float((self.wide * other.wide).sum()))
        if self.box.iou(other.box) >= _SAME_PLACE_IOU:
            found = max(found, float((self.wide * _patch(image, self.box, _WIDE)).sum()))
        return found


class CutDetector:
    """Detects cuts by comparing each frame with the previous one."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def update(self, image: NDArray[np.uint8]) -> bool:
        """Return whether a (H, W, 3) uint8 frame begins a new scene; False for the first frame."""
        height, width = image.shape[:2]
        rows = np.linspace(0, height - 1, min(_GRID, height)).astype(np.int64)
        columns = np.linspace(0, width - 1, min(_GRID, width)).astype(np.int64)
        now = image[rows[:, None], columns[None, :], 1].astype(np.float32)
        before, self._before = self._before, now
        if before is None:
            return False
        if before.shape != now.shape:
            return True
        return float(np.abs(before - now).mean()) > _CUT_LEVELS and float((_normal(before) * _normal(now)).sum()) < _CUT_LIKENESS


def _patch(image: NDArray[np.uint8], box: Box, scale: float) -> NDArray[np.float32]:
    """Return the box, enlarged by ``scale`` and clipped to the image, as a normalised (24, 24) patch of the green channel."""
    height, width = image.shape[:2]
    x, y = box.x + box.w / 2 * (1 - scale), box.y + box.h / 2 * (1 - scale)
    x0, y0 = min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)
    x1, y1 = min(max(int(x + scale * box.w), x0 + 1), width), min(max(int(y + scale * box.h), y0 + 1), height)
    green = np.ascontiguousarray(image[y0:y1, x0:x1, 1])
    return _normal(cv2.resize(green, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32))


def _normal(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values with mean 0 and norm 1, so that the sum of products is the correlation; constant values become 0."""
    centred = values - values.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-3), np.float32)
