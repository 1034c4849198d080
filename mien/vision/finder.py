"""Face detection in video that searches the whole frame only when needed.

A known face is detected again in a small window around it, which takes a tenth of the time of a
whole frame. If no known face has moved, even that is skipped for up to 0.1 s. New faces are found
by a coarse search at half the size twice a second and a thorough search every two seconds; a lost
face or a cut triggers a thorough search at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.records import Box, Detection
from mien.vision.appearance import CutDetector
from mien.vision.detector import Detector

MAX_FOLLOWED: Final = 8
"""With more faces than this, every frame is searched completely, which is no slower."""
_MIN_IOU: Final = 0.3
_SAME_FACE_IOU: Final = 0.5
_STILL_S: Final = 0.1
"""Interval in seconds at which motionless faces are detected again."""
_STILL_LEVELS: Final = 5.0
"""Maximum mean difference of a motionless face's thumbnails, in grey levels. On the test clips such faces had moved by
0.5% of their width (95th percentile: 2%), which is less than the detector's noise."""
_THUMB: Final = 16


@dataclass(frozen=True, slots=True)
class _Followed:
    """A face of the previous frame and its displacement since the frame before that."""

    detection: Detection
    dx: float
    dy: float

    @property
    def expected(self) -> Box:
        """Predicted position in the current frame."""
        box = self.detection.box
        return Box(box.x + self.dx, box.y + self.dy, box.w, box.h)


class FaceFinder:
    """Finds the faces of each frame, using the faces of the previous one.

    Args:
        detector: the face detector.
        search_s: interval of the coarse search, which finds large faces, in seconds of the source.
        thorough_s: interval of the thorough search, which finds all faces, in seconds of the source.
        patience: both intervals are divided by this while no face is known.
    """

    def __init__(self, detector: Detector, search_s: float = 0.5, thorough_s: float = 2.0, patience: float = 5.0) -> None:
        self._detector = detector
        self._search_s = search_s
        self._thorough_s = thorough_s
        self._patience = patience
        self._faces: tuple[_Followed, ...] = ()
        self._searched_s = self._searched_thoroughly_s = -math.inf
        self._looked_s = -math.inf
        self._thumbs: list[NDArray[np.int16]] = []
        self._size: tuple[int, ...] = ()
        self._cuts = CutDetector()

    def update(self, t_s: float, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the faces of a (H, W, 3) uint8 BGR frame at ``t_s`` seconds, from left to right."""
        if (
            self._cuts.update(image)
            or image.shape != self._size
            or len(self._faces) > MAX_FOLLOWED
            or t_s < self._searched_thoroughly_s
        ):
            self._faces, self._thumbs = (), []
            self._searched_thoroughly_s = -math.inf
        patience = 1.0 if self._faces else self._patience
        search_due = t_s - self._searched_s >= self._search_s / patience
        if self._faces and not search_due and t_s - self._looked_s < _STILL_S and self._still(image):
            return tuple(face.detection for face in self._faces)
        known = self._known(self._detector, image)
        seen: tuple[Detection, ...] = ()
        if len(known) < len(self._faces) or t_s - self._searched_thoroughly_s >= self._thorough_s / patience:
            seen = self._detector.detect(image)
            self._searched_s = self._searched_thoroughly_s = t_s
        elif search_due:
            seen = self._detector.detect_coarsely(image)
            self._searched_s = t_s
        new = [face for face in seen if all(face.box.iou(other.box) < _MIN_IOU for other in known)]
        found = tuple(sorted((*known, *new), key=lambda detection: detection.box.x))
        self._faces, self._size = tuple(self._followed(detection) for detection in found), image.shape
        self._looked_s, self._thumbs = t_s, [_thumbnail(image, face.detection.box) for face in self._faces]
        return found

    def _still(self, image: NDArray[np.uint8]) -> bool:
        """Return whether no face has changed since it was last detected."""
        pairs = zip(self._faces, self._thumbs, strict=True)
        return all(np.abs(_thumbnail(image, face.detection.box) - thumb).mean() < _STILL_LEVELS for face, thumb in pairs)

    def _known(self, detector: Detector, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the known faces, detected again in their windows, without lost faces and duplicates."""
        found: list[Detection] = []
        expected = [face.expected for face in self._faces]
        for box, seen in zip(expected, detector.detect_near(image, expected), strict=True):
            best = max(seen, key=lambda detection: detection.box.iou(box), default=None)
            if best is None or best.box.iou(box) < _MIN_IOU:
                continue
            if all(best.box.iou(other.box) <= _SAME_FACE_IOU for other in found):
                found.append(best)
        return found

    def _followed(self, detection: Detection) -> _Followed:
        """Return a face with its displacement since the previous frame; 0 for a new face."""
        before = max(self._faces, key=lambda face: face.detection.box.iou(detection.box), default=None)
        if before is None or before.detection.box.iou(detection.box) < _MIN_IOU:
            return _Followed(detection, 0.0, 0.0)
        old, new = before.detection.box, detection.box
        return _Followed(detection, new.x + new.w / 2 - old.x - old.w / 2, new.y + new.h / 2 - old.y - old.h / 2)


def _thumbnail(image: NDArray[np.uint8], box: Box) -> NDArray[np.int16]:
    """Return a (16, 16) int16 thumbnail of a box in a (H, W, 3) uint8 image: its green channel."""
    height, width = image.shape[:2]
    x0, y0 = min(max(int(box.x), 0), width - 1), min(max(int(box.y), 0), height - 1)
    x1, y1 = min(max(int(box.x + box.w), x0 + 1), width), min(max(int(box.y + box.h), y0 + 1), height)
    green = np.ascontiguousarray(image[y0:y1, x0:x1, 1])
    return cv2.resize(green, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.int16)
