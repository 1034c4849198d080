"""Whether a face and its surroundings look as they did a moment ago.

In a video, neighbouring frames are nearly alike, whatever a person does. After a cut, or where the tiles of a video call
have moved, another picture stands at the same place. Small grey pictures are compared, for as long as a track lasts;
they do not tell one person from another, and nothing is kept of them.
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
"""Side of the surroundings, in sizes of the face."""
_SAME_PLACE_IOU: Final = 0.3
_GRID: Final = 32
_CUT_LIKENESS: Final = 0.6
_CUT_LEVELS: Final = 10.0
"""There is a cut between two whole frames whose correlation is lower and that differ by more grey levels on average."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a face looked like when it was last seen.

    Attributes:
        box: where it was.
        face: (24, 24) float32, the face; mean 0, norm 1.
        wide: (24, 24) float32, the face with its surroundings.
    """

    box: Box
    face: NDArray[np.float32]
    wide: NDArray[np.float32]

    @classmethod
    def of(cls, image: NDArray[np.uint8], box: Box) -> Appearance:
        """Return the appearance of a face in a (H, W, 3) uint8 image."""
        return cls(box, _patch(image, box, 1.0), _patch(image, box, _WIDE))

    def likeness(self, other: Appearance, image: NDArray[np.uint8]) -> float:
        """Return how alike this and a later appearance are, -1 to 1.

        The larger of three correlations: of the faces, of the faces with their surroundings, and, for faces that
        overlap, of the place where the first one was.

        Args:
            other: the later one.
            image: (H, W, 3) uint8, the frame it is from.
        """
        found = max(float((self.face * other.face).sum()), float((self.wide * other.wide).sum()))
        if self.box.iou(other.box) >= _SAME_PLACE_IOU:
            found = max(found, float((self.wide * _patch(image, self.box, _WIDE)).sum()))
        return found


class CutDetector:
    """Notices cuts: frames that do not look like the one before as a whole."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def update(self, image: NDArray[np.uint8]) -> bool:
        """Return whether a (H, W, 3) uint8 frame begins a new scene; never at the first one."""
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
    """Return ``scale`` times a box as (24, 24), in one colour channel; what lies outside the image is left out."""
    height, width = image.shape[:2]
    x, y = box.x + box.w / 2 * (1 - scale), box.y + box.h / 2 * (1 - scale)
    x0, y0 = min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)
    x1, y1 = min(max(int(x + scale * box.w), x0 + 1), width), min(max(int(y + scale * box.h), y0 + 1), height)
    green = np.ascontiguousarray(image[y0:y1, x0:x1, 1])
    return _normal(cv2.resize(green, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32))


def _normal(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values with mean 0 and norm 1, so that a sum of products is a correlation; even ones become 0."""
    centred = values - values.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-3), np.float32)
