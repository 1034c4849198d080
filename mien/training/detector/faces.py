"""Faces for scenes: FER2013's Training images with boxes and landmarks predicted by a teacher.

FER2013 has no boxes and landmarks. YuNet, the teacher, detects them in the enlarged images. Images without a detection are
excluded, which also removes those that show no face.
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
"""Maximum mean distance, in eye distances, between the teacher's landmarks for an image and for its mirror image."""
_SWAPPED: Final = (1, 0, 2, 4, 3)
"""Order of the landmarks in a mirrored face."""


@dataclass(frozen=True, slots=True)
class TaughtFaces:
    """Face crops with boxes and landmarks.

    Attributes:
        images: (N, 48, 48) uint8 grey.
        boxes: (N, 4) float32 left, top, width and height in pixels of the crop; boxes may extend beyond the crop.
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
    """Label the images (N, 48, 48) uint8 with a teacher; images in which it detects no face are dropped.

    Each image and its mirror image are enlarged four times, and the teacher's results are averaged. Images for which they
    disagree are dropped. Without enlarging and averaging, the error is a tenth of the eye distance.

    Raises:
        DataError: the teacher detects no face in any image.
    """
    kept, boxes, landmarks = [], [], []
    for number, image in enumerate(images):
        results = [_largest_face(image, teacher), _largest_face(np.ascontiguousarray(image[:, ::-1]), teacher)]
        if results[0] is not None and results[1] is not None:
            (box, points), (other_box, other_points) = results[0], mirrored(*results[1])
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
    """Mirror a box (4,) and landmarks (5, 2) of a crop horizontally."""
    last = INPUT_SIZE - 1
    turned = landmarks[list(_SWAPPED)].copy()
    turned[:, 0] = last - turned[:, 0]
    return np.array((last - box[0] - box[2], *box[1:]), np.float32), turned


def _largest_face(image: NDArray[np.uint8], teacher: Detector) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the box (4,) and landmarks (5, 2) of the largest face in an image, in its pixels; None if there is none."""
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
