"""``mien-detect``, the packaged face detector, run with ONNX Runtime.

It was trained on faces of FER2013 (``mien train-detector``), takes grey pictures of any size, and needs less than half of
YuNet's time. Its outputs are the predictions of all cells; this module merges those that overlap.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import BundleError
from mien.preprocess import to_grey
from mien.records import Box, Detection
from mien.vision.bundles import PACKAGED_DETECTOR, packaged_bundle
from mien.vision.detector import Detector, moved, shrink
from mien.vision.runtime import RUNTIME_ERRORS, open_session

OUTPUTS: Final = ("scores", "boxes", "landmarks")
"""Outputs of the graph for the C cells that predict a face, float32: scores (C,), 0 to 1; boxes (C, 4) as left, top, width
and height in pixels; landmarks (C, 5, 2) in pixels."""
LEAST_SCORE: Final = 0.2
"""Cells with a lower score are omitted from the graph's outputs."""
CARD_KEY: Final = "mien_detector_card"
"""Key of the card, as JSON, in the ONNX file's metadata."""
OWN_SCORE: Final = 0.45
"""Default minimum score of a detection."""
_KNOWN_SCORE: Final = 0.35
_SAME_IOU: Final = 0.35
_SAME_INSIDE: Final = 0.7
"""Of two boxes, the one with the lower score is dropped if their IoU exceeds the first value, or if more than the second
value of the smaller one's area lies in the other."""
_AGREEING_IOU: Final = 0.6
_MOST: Final = 1000
_NOT_OURS: Final[tuple[type[Exception], ...]] = (KeyError, ValueError, *RUNTIME_ERRORS)
_SEEN_TWICE: Final = 40.0
_LARGE: Final = 100.0
"""Longer side of a face in pixels: from the first value on it should be detected at half size too, above the second the
half-size box and landmarks are used."""
_ONE_LOOK: Final = 0.2


class OwnDetector(Detector):
    """The packaged detector.

    Args:
        path: an ONNX file of ``mien train-detector``; None for the packaged one.
        max_side: as for ``Detector``.
        min_score: as for ``Detector``.

    Raises:
        BundleError: the file is not a detector of ``mien train-detector``.
    """

    name = "mien-detect"

    def __init__(self, path: Path | None = None, max_side: int = 960, min_score: float = OWN_SCORE) -> None:
        super().__init__(max_side, min_score, _KNOWN_SCORE)
        path = path or packaged_bundle(PACKAGED_DETECTOR)
        self._session = open_session(path, threads=1)
        try:
            self.card: dict[str, Any] = json.loads(self._session.get_modelmeta().custom_metadata_map[CARD_KEY])
            self._run(np.zeros((32, 32), np.uint8))
        except _NOT_OURS as error:
            raise BundleError(f"{path} is not a face detector of mien train-detector. Train or copy it again") from error

    def _prepared(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return to_grey(image)

    def _search(self, picture: NDArray[np.uint8], purpose: str, max_side: int) -> tuple[Detection, ...]:
        """Return the faces of a whole picture, which is read at full size and at half size."""
        small, scale = shrink(picture, max_side)
        half, half_scale = shrink(small, max(1, max(small.shape[:2]) // 2))
        fine = self._read(small, purpose, LEAST_SCORE)
        coarse = [moved(face, 0, 0, 1 / half_scale) for face in self._read(half, purpose, LEAST_SCORE)]
        found = [moved(face, 0, 0, 1 / scale) for face in agreed(fine, coarse) if face.score >= self._min_score]
        return tuple(sorted(found, key=lambda face: face.box.x))

    def _read(self, picture: NDArray[np.uint8], purpose: str, min_score: float) -> list[Detection]:
        scores, boxes, landmarks = self._run(picture)
        kept = np.flatnonzero(scores >= min_score)
        kept = kept[np.argsort(-scores[kept], kind="stable")][:_MOST]
        found = []
        for score, box, points in merged_faces(scores[kept], boxes[kept], landmarks[kept]):
            # a face whose landmarks coincide cannot be aligned
            if np.isfinite(points).all() and np.ptp(points, axis=0).max() >= 1:
                found.append(Detection(Box(*(float(v) for v in box)), score, points))
        return found

    def _run(self, grey: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        answers: list[NDArray[np.float32]] = self._session.run(list(OUTPUTS), {"image": grey[..., None]})
        return answers


def agreed(fine: Sequence[Detection], coarse: Sequence[Detection]) -> list[Detection]:
    """Combine the detections of a picture at full size (``fine``) and at half size (``coarse``), both in its pixels.

    For faces large enough for both sizes, the score is the mean of the two, with 0 for a size at which the face was not
    detected: false positives rarely occur at both sizes. Small faces may be missed at half size, so their score is reduced
    by at most ``_ONE_LOOK``.
    """
    found = []
    for face in fine:
        side = max(face.box.w, face.box.h)
        other = max(coarse, key=lambda each: each.box.iou(face.box), default=None)
        if other is not None and other.box.iou(face.box) <= _SAME_IOU:
            other = None
        score = (face.score + (other.score if other else 0.0)) / 2
        if side < _SEEN_TWICE:
            score = max(score, face.score - _ONE_LOOK)
        best = other if other is not None and side > _LARGE else face
        found.append(Detection(best.box, score, best.landmarks))
    return found


def merged_faces(
    scores: NDArray[np.float32], boxes: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> list[tuple[float, NDArray[np.float32], NDArray[np.float32]]]:
    """Merge cells, sorted by descending score; return score, box (4,) and landmarks (5, 2) of each face in the same order.

    Cells whose boxes overlap belong to the same face. Its box and landmarks are means, weighted by score, over the cells
    whose boxes nearly agree with that of the highest score, which halves the error of the landmarks.

    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [20, 0, 10, 10], [22, 2, 4, 4]], np.float32)
    >>> faces = merged_faces(np.full(4, 0.5, np.float32), boxes, np.zeros((4, 5, 2), np.float32))
    >>> [(score, box.tolist()) for score, box, _ in faces]
    [(0.5, [0.5, 0.0, 10.0, 10.0]), (0.5, [20.0, 0.0, 10.0, 10.0])]
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    areas = boxes[:, 2] * boxes[:, 3]
    left = np.arange(len(boxes))
    found = []
    while len(left):
        best = int(left[0])
        shared = np.clip(np.minimum(high[left], high[best]) - np.maximum(low[left], low[best]), 0, None).prod(1)
        overlap = shared / (areas[left] + areas[best] - shared)
        agreeing = left[overlap > _AGREEING_IOU]
        if not len(agreeing):  # a box of zero area
            agreeing = left[:1]
        weights = scores[agreeing] / scores[agreeing].sum()
        found.append((float(scores[best]), weights @ boxes[agreeing], np.tensordot(weights, landmarks[agreeing], 1)))
        inside = shared / np.minimum(areas[left], areas[best])
        left = left[(overlap <= _SAME_IOU) & (inside <= _SAME_INSIDE) & (left != best)]
    return found
