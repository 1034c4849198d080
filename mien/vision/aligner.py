"""Alignment of detected faces: from a frame to the input crops of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.preprocess import INPUT_SIZE, similarity_from_landmarks, to_grey, warp_face
from mien.records import Detection


def crop_transform(detection: Detection) -> NDArray[np.float64]:
    """Return the (2, 3) transform from frame pixels to crop pixels for one face, aligned to FER2013's mean face.

    Raises:
        ValueError: the detection has no landmarks, or they coincide.
    """
    if detection.landmarks is None:
        raise ValueError("a face without landmarks cannot be aligned")
    return similarity_from_landmarks(detection.landmarks)


def align_faces(image: NDArray[np.uint8], detections: Sequence[Detection]) -> NDArray[np.uint8]:
    """Return one (48, 48) crop per detection as a batch (N, 1, 48, 48) uint8, in the same order.

    Args:
        image: (H, W, 3) uint8 BGR frame.
        detections: N faces in that frame.
    """
    faces = np.empty((len(detections), 1, INPUT_SIZE, INPUT_SIZE), np.uint8)
    if not detections:
        return faces
    grey = to_grey(image)
    for i, detection in enumerate(detections):
        faces[i, 0] = warp_face(grey, crop_transform(detection))
    return faces
