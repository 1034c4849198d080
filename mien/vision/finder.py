"""Faces from frame to frame without looking everywhere every time.

A whole frame is searched now and then, and at once when a face is lost; in between the
detector looks only at small windows where the faces must be. That is what makes live cheap:
a window costs a twentieth of a frame. It knows times and pictures, no tracks and no clock.
"""

from __future__ import annotations

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
        search_s: the whole frame is searched at least this often, in seconds of the source:
            how late a new face may be noticed.
        empty_search_s: the same while nobody is there.
    """

    def __init__(self, detector: Detector, search_s: float = 0.5, empty_search_s: float = 0.1) -> None:
        self._detector = detector
        self._search_s = search_s
        self._empty_search_s = empty_search_s
        self._faces: tuple[_Followed, ...] = ()
        self._searched_s: float | None = None
        self._size: tuple[int, ...] = ()

    def update(self, t_s: float, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the faces of a (H, W, 3) uint8 BGR frame at ``t_s`` seconds, from left to right."""
        found = None
        if not self._must_search(t_s, image):
            found = self._follow(image)
        if found is None:
            found = self._detector.detect(image)
            self._searched_s = t_s
        self._size = image.shape
        self._faces = tuple(self._followed(detection) for detection in found)
        return found

    def _must_search(self, t_s: float, image: NDArray[np.uint8]) -> bool:
        if self._searched_s is None or image.shape != self._size or not isinstance(self._detector, YuNetDetector):
            return True
        if len(self._faces) > MAX_FOLLOWED:
            return True
        since = t_s - self._searched_s
        return since < 0 or since >= (self._search_s if self._faces else self._empty_search_s)

    def _follow(self, image: NDArray[np.uint8]) -> tuple[Detection, ...] | None:
        """Return all faces again from their windows, None where one is lost or two have become one."""
        if not self._faces:
            return ()
        assert isinstance(self._detector, YuNetDetector)
        expected = [face.expected for face in self._faces]
        found: list[Detection] = []
        for box, seen in zip(expected, self._detector.detect_near(image, expected), strict=True):
            best = max(seen, key=lambda detection: detection.box.iou(box), default=None)
            if best is None or best.box.iou(box) < _MIN_IOU:
                return None
            if any(best.box.iou(other.box) > _SAME_FACE_IOU for other in found):
                return None
            found.append(best)
        return tuple(sorted(found, key=lambda detection: detection.box.x))

    def _followed(self, detection: Detection) -> _Followed:
        """Return a face with its movement since the last frame; none for a new one."""
        before = max(self._faces, key=lambda face: face.detection.box.iou(detection.box), default=None)
        if before is None or before.detection.box.iou(detection.box) < _MIN_IOU:
            return _Followed(detection, 0.0, 0.0)
        old, new = before.detection.box, detection.box
        return _Followed(detection, new.x + new.w / 2 - old.x - old.w / 2, new.y + new.h / 2 - old.y - old.h / 2)
