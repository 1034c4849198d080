"""The face detector YuNet (Wu, Peng and Yu 2023, doi:10.1007/s11633-023-1423-y), run with OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import BundleError
from mien.files import unicode_path
from mien.records import Box, Detection
from mien.vision.detector import Detector

YUNET_SCORE: Final = 0.7
"""Minimum score of a detection, except in known-face windows."""
KNOWN_SCORE: Final = 0.5
"""Minimum score of a face that was also found in the previous frame."""
NMS_IOU: Final = 0.3
"""Of two detections that overlap by more, the one with the lower score is dropped."""
_LEAST_SIDE: Final = 64
"""Smaller pictures are padded: if a side has at most 32 pixels, OpenCV 4.14 returns detections from memory it did not write."""
MOST_FACES: Final = 500
"""Maximum number of detections per picture, those with the highest scores."""


class YuNetDetector(Detector):
    """YuNet, loaded from its published file.

    Args:
        path: the ONNX file.
        max_side: as for ``Detector``.
        min_score: as for ``Detector``.

    Raises:
        BundleError: OpenCV cannot load the file.
    """

    name = "yunet"

    def __init__(self, path: Path, max_side: int = 640, min_score: float = YUNET_SCORE) -> None:
        super().__init__(max_side, min_score, KNOWN_SCORE)
        self._path = path
        # one network for each search, because changing the input size takes longer than reading a window
        self._nets: dict[str, Any] = {"whole": self._load((max_side, max_side), min_score)}

    def _read(self, picture: NDArray[np.uint8], purpose: str, min_score: float) -> list[Detection]:
        height, width = picture.shape[:2]
        if min(height, width) < _LEAST_SIDE:
            below, right = max(_LEAST_SIDE - height, 0), max(_LEAST_SIDE - width, 0)
            picture = np.pad(picture, ((0, below), (0, right), (0, 0)))
        size = (picture.shape[1], picture.shape[0])
        if purpose not in self._nets:
            self._nets[purpose] = self._load(size, min_score)
        net = self._nets[purpose]
        if size != tuple(net.getInputSize()):
            net.setInputSize(size)
        rows: Any = net.detect(picture)[1]
        found = []
        for row in np.asarray(rows if rows is not None else np.empty((0, 15)), np.float32):  # x, y, w, h, ten coordinates, score
            # a face whose landmarks coincide cannot be aligned
            if np.isfinite(row).all() and row[2] > 0 and row[3] > 0 and np.ptp(row[4:14].reshape(5, 2), axis=0).max() >= 1:
                found.append(Detection(Box(*(float(v) for v in row[:4])), float(row[14]), row[4:14].reshape(5, 2)))
        return found

    def _load(self, size: tuple[int, int], min_score: float) -> Any:
        try:
            return cv2.FaceDetectorYN.create(unicode_path(self._path), "", size, min_score, NMS_IOU, MOST_FACES)
        except cv2.error as error:
            raise BundleError(f"OpenCV cannot load the face detector {self._path}: {error.err}") from error
