"""Base class of the face detectors: search of whole pictures and of windows around known faces.

Pictures are scaled down first, so run time does not depend on the camera's resolution. ``mien.vision.yunet`` and
``mien.vision.own_detector`` implement the networks; ``mien.vision.detector_choice`` opens the one to use.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.records import Box, Detection

COARSE_SIDE: Final = 320
"""Pixels of the longer side of a picture that is searched for large faces only."""
WINDOW: Final = 128
"""Width and height in pixels of the window in which a known face is detected again."""
_WINDOW_SCALE: Final = 1.4
"""Side of the image area that a window covers, in face sizes, before it is rounded to the grid."""
_SIZES_PER_OCTAVE: Final = 4
"""Sizes of windows per doubling: a window covers 128 pixels times a power of the fourth root of 2."""
_PLACES_PER_SIDE: Final = 8
"""Windows are aligned to a grid of an eighth of their side. A face that hardly moves therefore keeps its window, and the
detector's input does not depend on its noise in the previous frame."""
_SMALL_FACE: Final = 40.0
"""Width of a face in pixels of the downscaled picture, below which the picture is also searched at a larger size."""
_LARGER_SIDE: Final = 1280
"""Longer side in pixels of a picture that is searched for small faces."""
_PART_ABOVE: Final = 4096
"""A picture with a longer side in pixels is also searched in parts."""
_PART: Final = 2048
_PART_OVERLAP: Final = 384
"""Side and overlap of parts in pixels; faces larger than the overlap are found in the whole picture."""
_SAME_IOU: Final = 0.3
"""Minimum IoU at which two detections of different searches are the same face."""


class Detector(ABC):
    """A face detector with five landmarks per face.

    Args:
        max_side: maximum longer side in pixels to which pictures are scaled down.
        min_score: detections below this score, 0 to 1, are dropped.
        known_score: the same for faces that were found in the previous frame.
    """

    name: str

    def __init__(self, max_side: int, min_score: float, known_score: float) -> None:
        self._max_side, self._min_score, self._known_score = max_side, min_score, min(min_score, known_score)

    @abstractmethod
    def _read(self, picture: NDArray[np.uint8], purpose: str, min_score: float) -> list[Detection]:
        """Return the faces in a picture returned by ``_prepared``, in its pixels.

        Args:
            picture: the picture, which is not scaled.
            purpose: name of the search; pictures of the same search usually have the same size.
            min_score: detections below this score are dropped.
        """

    def _prepared(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert a (H, W, 3) uint8 BGR image to the network's colour format, without scaling."""
        return image

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the faces in a (H, W, 3) uint8 BGR image, left to right.

        If a face is small, the picture is also searched at a larger size. A picture with a side of
        more than 4096 pixels is also searched in parts.
        """
        picture = self._prepared(image)
        found = self._search(picture, "whole", self._max_side)
        side = max(picture.shape[:2])
        if side > _PART_ABOVE:
            return _merged(found, self._in_parts(picture))
        scale = self._max_side / side
        if scale < 1 and any(detection.box.w * scale < _SMALL_FACE for detection in found):
            return _merged(self._search(picture, "larger", _LARGER_SIDE), found)
        return found

    def _in_parts(self, picture: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the faces found in overlapping parts of a very large picture."""
        height, width = picture.shape[:2]
        found: tuple[Detection, ...] = ()
        for y in _part_starts(height):
            for x in _part_starts(width):
                part = np.ascontiguousarray(picture[y : y + _PART, x : x + _PART])
                inside = [moved(detection, x, y, 1.0) for detection in self._search(part, "part", self._max_side)]
                found = _merged(found, tuple(inside))
        return found

    def detect_coarsely(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the large (near) faces of a (H, W, 3) uint8 BGR image; takes a third of the time of ``detect``."""
        return self._search(self._prepared(image), "coarse", COARSE_SIDE)

    def _search(self, picture: NDArray[np.uint8], purpose: str, max_side: int) -> tuple[Detection, ...]:
        small, scale = shrink(picture, max_side)
        found = [moved(detection, 0, 0, 1 / scale) for detection in self._read(small, purpose, self._min_score)]
        return tuple(sorted(found, key=lambda d: d.box.x))

    def detect_near(self, image: NDArray[np.uint8], boxes: Sequence[Box]) -> list[list[Detection]]:
        """Return the faces around each of ``boxes`` in a (H, W, 3) uint8 BGR image.

        The windows around the boxes are combined into one small picture, which needs one run of
        the network. Large faces are scaled down to a suitable size.
        """
        if not boxes:
            return []
        picture = self._prepared(image)
        windows = [_window(picture, box) for box in boxes]
        row = np.hstack([tile for tile, _, _, _ in windows])
        found: list[list[Detection]] = [[] for _ in boxes]
        for detection in self._read(row, f"{len(boxes)} windows", self._known_score):
            number = min(max(int((detection.box.x + detection.box.w / 2) // WINDOW), 0), len(boxes) - 1)
            _, x, y, zoom = windows[number]
            found[number].append(moved(detection, x / zoom - number * WINDOW, y / zoom, zoom))
        return found


def _part_starts(length: int) -> list[int]:
    """Return the start of each part along a side of ``length`` pixels; the last part ends with the side.

    >>> _part_starts(1000), _part_starts(3000), _part_starts(5000)
    ([0], [0, 952], [0, 1476, 2952])
    """
    if length <= _PART:
        return [0]
    count = math.ceil((length - _PART) / (_PART - _PART_OVERLAP)) + 1
    return [round(k * (length - _PART) / (count - 1)) for k in range(count)]


def _merged(first: Sequence[Detection], second: Sequence[Detection]) -> tuple[Detection, ...]:
    """Merge the detections of two searches, from left to right; for faces found by both, the first search wins."""
    new = [face for face in second if all(face.box.iou(other.box) < _SAME_IOU for other in first)]
    return tuple(sorted((*first, *new), key=lambda detection: detection.box.x))


def moved(detection: Detection, dx: float, dy: float, zoom: float) -> Detection:
    """Return a detection moved by (dx, dy) and then scaled by ``zoom`` about the origin."""
    box = Box(*(v * zoom for v in (detection.box.x + dx, detection.box.y + dy, detection.box.w, detection.box.h)))
    assert detection.landmarks is not None
    return Detection(box, detection.score, (detection.landmarks + np.array((dx, dy), np.float32)) * np.float32(zoom))


def _window(image: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.uint8], float, float, float]:
    """Return the window (WINDOW, WINDOW, …) around a face, its left and top in the image, and image pixels per window pixel."""
    octaves = math.log2(max(_WINDOW_SCALE * max(box.w, box.h) / WINDOW, 1.0))
    side = round(WINDOW * 2 ** (round(_SIZES_PER_OCTAVE * octaves) / _SIZES_PER_OCTAVE))
    cell = side / _PLACES_PER_SIDE
    left, top = (round(round((middle - side / 2) / cell) * cell) for middle in (box.x + box.w / 2, box.y + box.h / 2))
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    tile = np.zeros((WINDOW, WINDOW, *image.shape[2:]), np.uint8)
    zoom = side / WINDOW
    if x1 > x0 and y1 > y0:
        a, b, c, d = (round(v / zoom) for v in (x0 - left, y0 - top, x1 - left, y1 - top))
        if c > a and d > b:
            tile[b:d, a:c] = _resized(image[y0:y1, x0:x1], (c - a, d - b))
    return tile, left, top, zoom


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> Any:
    """Resize an image to ``size`` (width, height): averaging by an integer factor, which is fast, then interpolation."""
    factor = min(image.shape[1] // size[0], image.shape[0] // size[1])
    if factor >= 2:
        whole = (image.shape[1] // factor, image.shape[0] // factor)
        image = cv2.resize(image[: whole[1] * factor, : whole[0] * factor], whole, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def shrink(image: NDArray[np.uint8], max_side: int) -> tuple[NDArray[np.uint8], float]:
    """Return the image scaled so that no side exceeds ``max_side``, and the scale, at most 1."""
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1.0:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False), scale
