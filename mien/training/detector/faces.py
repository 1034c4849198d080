"""Faces to compose scenes of: FER2013's Training images, with the box and the landmarks that a teacher finds in each.

FER2013 has labels for expressions and none for positions. YuNet is the teacher: it looks at every image enlarged, and an
image in which it finds no face is left out, which also removes those of FER2013's images that show none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.preprocess import INPUT_SIZE
from mien.vision.detector import Detector

_ENLARGED: Final = 192
_CANVAS: Final = 256
_GREY: Final = 127
_AGREEMENT: Final = 0.15
"""In eye distances: what the teacher says of an image and of its mirror image may differ by this much on average."""
_SWAPPED: Final = (1, 0, 2, 4, 3)
"""Landmarks of a mirrored face."""


@dataclass(frozen=True, slots=True)
class TaughtFaces:
    """Face crops whose positions are known.

    Attributes:
        images: (N, 48, 48) uint8 grey.
        boxes: (N, 4) float32 left, top, width and height in pixels of the crop; a box may reach out of it.
        landmarks: (N, 5, 2) float32 pixels of the crop, in the order of ``Detection``.
    """

    images: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)


def teach_faces(
    images: NDArray[np.uint8], teacher: Detector, progress: Callable[[int, int], None] = lambda done, total: None
) -> TaughtFaces:
    """Return the images (N, 48, 48) uint8 in which the teacher finds a face, with what it finds.

    The teacher looks at each image and at its mirror image, four times as large. What it says of both is averaged; an image
    of which it says two things is left out. One look at a smaller picture is off by a tenth of the eye distance.

    Raises:
        DataError: it finds none at all.
    """
    kept, boxes, landmarks = [], [], []
    for number, image in enumerate(images):
        looks = [_look(image, teacher), _look(np.ascontiguousarray(image[:, ::-1]), teacher)]
        if looks[0] is not None and looks[1] is not None:
            (box, points), (other_box, other_points) = looks[0], mirrored(*looks[1])
            eyes = float(np.linalg.norm(points[0] - points[1]))
            if np.linalg.norm(points - other_points, axis=1).mean() <= _AGREEMENT * eyes:
                kept.append(number)
                boxes.append((box + other_box) / 2)
                landmarks.append((points + other_points) / 2)
        if number % 100 == 99 or number == len(images) - 1:
            progress(number + 1, len(images))
    if not kept:
        raise DataError("the teacher finds a face in none of the training images. Are they FER2013's?")
    return TaughtFaces(images[kept], np.array(boxes, np.float32), np.array(landmarks, np.float32))


def mirrored(box: NDArray[np.float32], landmarks: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a box (4,) and landmarks (5, 2) of a crop as they are in its mirror image."""
    last = INPUT_SIZE - 1
    turned = landmarks[list(_SWAPPED)].copy()
    turned[:, 0] = last - turned[:, 0]
    return np.array((last - box[0] - box[2], *box[1:]), np.float32), turned


def _look(image: NDArray[np.uint8], teacher: Detector) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the box (4,) and the landmarks (5, 2) of the largest face in an image, in its pixels; None without one."""
    margin = (_CANVAS - _ENLARGED) // 2
    scale = INPUT_SIZE / _ENLARGED
    canvas = np.full((_CANVAS, _CANVAS), _GREY, np.uint8)
    enlarged = cv2.resize(image, (_ENLARGED, _ENLARGED), interpolation=cv2.INTER_CUBIC)
    canvas[margin : margin + _ENLARGED, margin : margin + _ENLARGED] = enlarged
    found = teacher.detect(np.repeat(canvas[..., None], 3, axis=2))
    best = max(found, key=lambda detection: detection.box.w * detection.box.h, default=None)
    if best is None or best.landmarks is None or best.box.w * scale < INPUT_SIZE / 3:
        return None
    left, top = ((v - margin + 0.5) * scale - 0.5 for v in (best.box.x, best.box.y))
    box = np.array((left, top, best.box.w * scale, best.box.h * scale), np.float32)
    return box, ((best.landmarks - margin + 0.5) * scale - 0.5).astype(np.float32)
