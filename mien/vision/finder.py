"""Faces from frame to frame without looking everywhere every time.

Where a face was a moment ago the detector looks at a small window, which is what makes live
cheap: a window costs a tenth of a frame. For new faces the frame is searched twice a second
at half its size, thoroughly every two seconds, and at once when a face is lost. This module
knows times and pictures, no tracks and no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.records import Box, Detection
from mien.vision.detector import Detector, YuNetDetector

MAX_FOLLOWED: Final = 8
"""With more faces the whole frame is searched each time: that is no slower."""
_MIN_IOU: Final = 0.3
_SAME_FACE_IOU: Final = 0.5


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
        self._size: tuple[int, ...] = ()

    def update(self, t_s: float, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the faces of a (H, W, 3) uint8 BGR frame at ``t_s`` seconds, from left to right."""
        if not isinstance(self._detector, YuNetDetector):
            return self._detector.detect(image)
        if image.shape != self._size or len(self._faces) > MAX_FOLLOWED or t_s < self._searched_thoroughly_s:
            self._faces = ()
            self._searched_thoroughly_s = -math.inf
        known = self._known(self._detector, image)
        patience = 1.0 if self._faces else self._patience
        seen: tuple[Detection, ...] = ()
        if len(known) < len(self._faces) or t_s - self._searched_thoroughly_s >= self._thorough_s / patience:
            seen = self._detector.detect(image)
            self._searched_s = self._searched_thoroughly_s = t_s
        elif t_s - self._searched_s >= self._search_s / patience:
            seen = self._detector.detect_coarsely(image)
            self._searched_s = t_s
        new = [face for face in seen if all(face.box.iou(other.box) < _MIN_IOU for other in known)]
        found = tuple(sorted((*known, *new), key=lambda detection: detection.box.x))
        self._faces, self._size = tuple(self._followed(detection) for detection in found), image.shape
        return found

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
