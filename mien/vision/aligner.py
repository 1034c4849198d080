"""From detections to the batch of crops a model takes, and the way back into the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.preprocess import INPUT_SIZE, similarity_from_box, similarity_from_landmarks, to_grey, warp_face
from mien.records import Detection


def crop_transform(detection: Detection) -> NDArray[np.float64]:
    """Return the (2, 3) transform from frame pixels to pixels of the crop for one face.

    With landmarks it is registered to FER2013's mean face, without them its box is fitted to FER2013's framing.
    """
    if detection.landmarks is not None:
        return similarity_from_landmarks(detection.landmarks)
    box = detection.box
    side = (box.w + box.h) / 2
    return similarity_from_box(box.x + (box.w - side) / 2, box.y + (box.h - side) / 2, side)


def align_faces(image: NDArray[np.uint8], detections: Sequence[Detection]) -> NDArray[np.uint8]:
    """Return one (48, 48) crop a detection as a batch (N, 1, 48, 48) uint8, in the same order.

    Args:
        image: (H, W, 3) uint8 BGR frame.
        detections: faces in that frame.
    """
    faces = np.empty((len(detections), 1, INPUT_SIZE, INPUT_SIZE), np.uint8)
    if not detections:
        return faces
    grey = to_grey(image)
    for i, detection in enumerate(detections):
        faces[i, 0] = warp_face(grey, crop_transform(detection))
    return faces
