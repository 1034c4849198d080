"""``mien-detect``, the face detector in the package, through ONNX Runtime.

It was trained for Mien on faces of FER2013 (``mien train-detector``), reads grey pictures of any size, and takes less than
half of YuNet's time. Its answers are those of all cells; here the best of those that overlap are chosen.
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
"""Outputs of the graph, for C cells that see a face, float32: (C,) 0 to 1; (C, 4) left, top, width and height in pixels;
(C, 5, 2) pixels."""
LEAST_SCORE: Final = 0.2
"""The graph leaves out cells that are less sure."""
CARD_KEY: Final = "mien_detector_card"
"""Where the ONNX file's metadata hold its card, as JSON."""
OWN_SCORE: Final = 0.45
"""Live, detections below this score are dropped."""
_KNOWN_SCORE: Final = 0.35
_SAME_IOU: Final = 0.35
_SAME_INSIDE: Final = 0.7
"""Of two boxes the worse one is dropped where they overlap by the first, or so much of the smaller lies in the other."""
_AGREEING_IOU: Final = 0.6
_MOST: Final = 1000
_NOT_OURS: Final[tuple[type[Exception], ...]] = (KeyError, ValueError, *RUNTIME_ERRORS)
_SEEN_TWICE: Final = 40.0
_LARGE: Final = 100.0
"""Longer side of a face in pixels: from the first on it is seen at half the size as well, above the second better so."""
_ONE_LOOK: Final = 0.2


class OwnDetector(Detector):
    """The packaged detector.

    Args:
        path: another ONNX file of ``mien train-detector``; None for the one in the package.
        max_side: as for ``Detector``.
        min_score: as for ``Detector``.

    Raises:
        BundleError: the file is no detector of ``mien train-detector``.
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
        """Return the faces of a whole picture, which is read twice, the second time at half its size."""
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
            # a face whose landmarks fall together cannot be aligned
            if np.isfinite(points).all() and np.ptp(points, axis=0).max() >= 1:
                found.append(Detection(Box(*(float(v) for v in box)), score, points))
        return found

    def _run(self, grey: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        answers: list[NDArray[np.float32]] = self._session.run(list(OUTPUTS), {"image": grey[..., None]})
        return answers


def agreed(fine: Sequence[Detection], coarse: Sequence[Detection]) -> list[Detection]:
    """Return the faces of a picture from two readings, both in its pixels: the second was of half its size.

    The score of a face that both readings can see is the mean of the two, 0 for the one that does not see it: mistakes
    are rarely made at both sizes. Of a small one only the first can tell, so its score is lowered.
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
    """Return score, box (4,) and landmarks (5, 2) of each face that cells answered for; the surest cells come first.

    Cells whose boxes overlap answer for one face. Its box and landmarks are the means over those that nearly agree with the
    surest, weighted by their scores: that halves the error of the landmarks.

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
        if not len(agreeing):  # a box without an area
            agreeing = left[:1]
        weights = scores[agreeing] / scores[agreeing].sum()
        found.append((float(scores[best]), weights @ boxes[agreeing], np.tensordot(weights, landmarks[agreeing], 1)))
        inside = shared / np.minimum(areas[left], areas[best])
        left = left[(overlap <= _SAME_IOU) & (inside <= _SAME_INSIDE) & (left != best)]
    return found
