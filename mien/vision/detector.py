"""Face detection: YuNet where its weights are at hand, OpenCV's Haar cascade elsewhere.

YuNet after Wu, Peng and Yu 2023 (doi:10.1007/s11633-023-1423-y); Haar cascade after Viola
and Jones 2001. Both scale the frame down first, so time does not grow with the camera.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import BundleError
from mien.records import Box, Detection
from mien.vision.weights import find_yunet

_HAAR_FILE: Final = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
YUNET_SCORE: Final = 0.7
"""Live, detections below this score are dropped."""


class Detector(Protocol):
    """Anything that finds faces."""

    name: str

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the faces in a (H, W, 3) uint8 BGR image, left to right."""


class YuNetDetector:
    """YuNet through OpenCV, with five landmarks a face.

    Args:
        path: the ONNX file.
        max_side: the frame's longer side is scaled down to this many pixels.
        min_score: detections below this score, 0 to 1, are dropped.

    Raises:
        BundleError: OpenCV cannot load the file.
    """

    name = "yunet"

    def __init__(self, path: Path, max_side: int = 640, min_score: float = YUNET_SCORE) -> None:
        self._max_side = max_side
        self._size = (max_side, max_side)
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", self._size, min_score, 0.3, 500)
        except cv2.error as error:
            raise BundleError(f"OpenCV cannot load the face detector {path}: {error.err}") from error

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        small, scale = _shrink(image, self._max_side)
        size = (small.shape[1], small.shape[0])
        if size != self._size:
            self._net.setInputSize(size)
            self._size = size
        rows: Any = self._net.detect(small)[1]
        if rows is None:
            return ()
        found = []
        for row in np.asarray(rows, np.float32):  # x, y, w, h, ten landmark coordinates, score
            # a face whose landmarks fall together cannot be aligned
            if np.isfinite(row).all() and row[2] > 0 and row[3] > 0 and np.ptp(row[4:14].reshape(5, 2), axis=0).max() >= 1:
                box = Box(*(float(v) / scale for v in row[:4]))
                found.append(Detection(box, float(row[14]), row[4:14].reshape(5, 2) / np.float32(scale)))
        return tuple(sorted(found, key=lambda d: d.box.x))


class HaarDetector:
    """OpenCV's frontal-face Haar cascade: no download, no landmarks, slower and less sure."""

    name = "haar"

    def __init__(self, max_side: int = 480) -> None:
        self._max_side = max_side
        self._cascade = cv2.CascadeClassifier(str(_HAAR_FILE))

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        small, scale = _shrink(image, self._max_side)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        boxes = self._cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=6, minSize=(24, 24))
        found = [Detection(Box(*(float(v) / scale for v in box)), 1.0, None) for box in boxes]
        return tuple(sorted(found, key=lambda d: d.box.x))


def open_detector() -> Detector:
    """Return YuNet where its weights are found, else the Haar cascade."""
    path = find_yunet()
    return YuNetDetector(path) if path else HaarDetector()


def _shrink(image: NDArray[np.uint8], max_side: int) -> tuple[NDArray[np.uint8], float]:
    """Return the image scaled so that no side exceeds ``max_side``, and the scale, at most 1."""
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1.0:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False), scale
