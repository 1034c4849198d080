"""Faces from frame to frame without looking everywhere every time.

Where a face was a moment ago the detector looks at a small window, which is what makes live
cheap: a window costs a tenth of a frame. Where the picture around all faces stands still not
even that is done, for a tenth of a second. For new faces the frame is searched twice a second
at half its size, thoroughly every two seconds, and at once when a face is lost. This module
knows times and pictures, no tracks and no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.records import Box, Detection
from mien.vision.detector import Detector, YuNetDetector

MAX_FOLLOWED: Final = 8
"""With more faces the whole frame is searched each time: that is no slower."""
_MIN_IOU: Final = 0.3
_SAME_FACE_IOU: Final = 0.5
_STILL_S: Final = 0.1
"""Faces around which nothing moves are looked at this often, in seconds."""
_STILL_LEVELS: Final = 5.0
"""Grey levels by which the thumbnail of a still face may differ, on average. On the clips such faces had moved by 0.5 %
of their width, nineteen of twenty by less than 2 %, which is less than the detector's own noise."""
_THUMB: Final = 16


@dataclass(frozen=True, slots=True)
class _Followed:
    """A face of the last frame, and how far it had moved since the one before."""

    detection: Detection
    dx: float
    dy: float

    @property
    def expected(self) -> Box:
        """Where it should be now."""
        box = self.detection.box
        return Box(box.x + self.dx, box.y + self.dy, box.w, box.h)


class FaceFinder:
    """Finds the faces of each frame; state is the faces of the last one.

    Args:
        detector: what looks. One that cannot look at windows searches every frame.
        search_s: a new face near the camera is noticed this soon, in seconds of the source.
        thorough_s: the same for any face that the detector can find at all.
        patience: both are so many times shorter while nobody is there.
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

    def update(self, t_s: float, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the faces of a (H, W, 3) uint8 BGR frame at ``t_s`` seconds, from left to right."""
        if not isinstance(self._detector, YuNetDetector):
            return self._detector.detect(image)
        if image.shape != self._size or len(self._faces) > MAX_FOLLOWED or t_s < self._searched_thoroughly_s:
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
        """Return whether every face looks as it did when it was last looked at."""
        pairs = zip(self._faces, self._thumbs, strict=True)
        return all(np.abs(_thumbnail(image, face.detection.box) - thumb).mean() < _STILL_LEVELS for face, thumb in pairs)

    def _known(self, detector: YuNetDetector, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the known faces again from their windows, without those that are lost or have become one."""
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
        """Return a face with its movement since the last frame; none for a new one."""
        before = max(self._faces, key=lambda face: face.detection.box.iou(detection.box), default=None)
        if before is None or before.detection.box.iou(detection.box) < _MIN_IOU:
            return _Followed(detection, 0.0, 0.0)
        old, new = before.detection.box, detection.box
        return _Followed(detection, new.x + new.w / 2 - old.x - old.w / 2, new.y + new.h / 2 - old.y - old.h / 2)


def _thumbnail(image: NDArray[np.uint8], box: Box) -> NDArray[np.int16]:
    """Return what is in a box of a (H, W, 3) uint8 image, (16, 16) in one of its colours."""
    height, width = image.shape[:2]
    x0, y0 = min(max(int(box.x), 0), width - 1), min(max(int(box.y), 0), height - 1)
    x1, y1 = min(max(int(box.x + box.w), x0 + 1), width), min(max(int(box.y + box.h), y0 + 1), height)
    green = np.ascontiguousarray(image[y0:y1, x0:x1, 1])
    return cv2.resize(green, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.int16)
