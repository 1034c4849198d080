"""Face detection: YuNet where its weights are at hand, OpenCV's Haar cascade elsewhere.

YuNet after Wu, Peng and Yu 2023 (doi:10.1007/s11633-023-1423-y); Haar cascade after Viola
and Jones 2001. Both scale the frame down first, so time does not grow with the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
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
COARSE_SIDE: Final = 320
"""Pixels of the longer side of a picture that is searched for large faces only."""
WINDOW: Final = 128
"""Width and height in pixels of the window in which a known face is looked for again."""
_KNOWN_SCORE: Final = 0.5
"""A face that was there a moment ago is believed at a lower score than a new one."""
_AROUND: Final = 1.4
"""Side of what a window shows, in sizes of the face."""


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
        self._path, self._max_side, self._min_score = path, max_side, min_score
        # a network for each kind of picture: changing an input size costs more than reading a window
        self._net, self._coarse_net = (self._load((side, side), min_score) for side in (max_side, COARSE_SIDE))
        self._window_nets: dict[int, Any] = {}

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        return self._search(self._net, image, self._max_side)

    def detect_coarsely(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Return the large faces of a (H, W, 3) uint8 BGR image, in a third of the time: what is near a camera."""
        return self._search(self._coarse_net, image, COARSE_SIDE)

    def _search(self, net: Any, image: NDArray[np.uint8], max_side: int) -> tuple[Detection, ...]:
        small, scale = _shrink(image, max_side)
        size = (small.shape[1], small.shape[0])
        if size != tuple(net.getInputSize()):
            net.setInputSize(size)
        found = [_moved(detection, 0, 0, 1 / scale) for detection in _detections(net, small)]
        return tuple(sorted(found, key=lambda d: d.box.x))

    def detect_near(self, image: NDArray[np.uint8], boxes: Sequence[Box]) -> list[list[Detection]]:
        """Return what is found around each of ``boxes`` in a (H, W, 3) uint8 BGR image.

        The windows around the boxes stand side by side in one small picture, which is read at
        once. A large face is scaled down to a size that the network reads well.
        """
        if not boxes:
            return []
        windows = [_window(image, box) for box in boxes]
        net = self._window_nets.setdefault(len(boxes), None)
        if net is None:
            net = self._window_nets[len(boxes)] = self._load((WINDOW * len(boxes), WINDOW), min(self._min_score, _KNOWN_SCORE))
        found: list[list[Detection]] = [[] for _ in boxes]
        for detection in _detections(net, np.hstack([tile for tile, _, _, _ in windows])):
            number = min(max(int((detection.box.x + detection.box.w / 2) // WINDOW), 0), len(boxes) - 1)
            _, x, y, zoom = windows[number]
            found[number].append(_moved(detection, x / zoom - number * WINDOW, y / zoom, zoom))
        return found

    def _load(self, size: tuple[int, int], min_score: float) -> Any:
        try:
            return cv2.FaceDetectorYN.create(str(self._path), "", size, min_score, 0.3, 500)
        except cv2.error as error:
            raise BundleError(f"OpenCV cannot load the face detector {self._path}: {error.err}") from error


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


def _detections(net: Any, image: NDArray[np.uint8]) -> list[Detection]:
    """Return what YuNet finds, in pixels of ``image``."""
    rows: Any = net.detect(image)[1]
    found = []
    for row in np.asarray(rows if rows is not None else np.empty((0, 15)), np.float32):  # x, y, w, h, ten coordinates, score
        # a face whose landmarks fall together cannot be aligned
        if np.isfinite(row).all() and row[2] > 0 and row[3] > 0 and np.ptp(row[4:14].reshape(5, 2), axis=0).max() >= 1:
            found.append(Detection(Box(*(float(v) for v in row[:4])), float(row[14]), row[4:14].reshape(5, 2)))
    return found


def _moved(detection: Detection, dx: float, dy: float, zoom: float) -> Detection:
    """Return a detection moved by (dx, dy), then enlarged by ``zoom`` about the origin."""
    box = Box(*(v * zoom for v in (detection.box.x + dx, detection.box.y + dy, detection.box.w, detection.box.h)))
    assert detection.landmarks is not None
    return Detection(box, detection.score, (detection.landmarks + np.array((dx, dy), np.float32)) * np.float32(zoom))


def _window(image: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.uint8], float, float, float]:
    """Return the window (WINDOW, WINDOW, 3) around a face, its left and top in the image, and image pixels a window pixel."""
    side = max(round(_AROUND * max(box.w, box.h)), WINDOW)
    left, top = round(box.x + box.w / 2 - side / 2), round(box.y + box.h / 2 - side / 2)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    tile = np.zeros((WINDOW, WINDOW, 3), np.uint8)
    zoom = side / WINDOW
    if x1 > x0 and y1 > y0:
        a, b, c, d = (round(v / zoom) for v in (x0 - left, y0 - top, x1 - left, y1 - top))
        if c > a and d > b:
            tile[b:d, a:c] = _resized(image[y0:y1, x0:x1], (c - a, d - b))
    return tile, left, top, zoom


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> Any:
    """Return the image at ``size``, width and height: averaged by a whole factor, which is fast, then interpolated."""
    factor = min(image.shape[1] // size[0], image.shape[0] // size[1])
    if factor >= 2:
        whole = (image.shape[1] // factor, image.shape[0] // factor)
        image = cv2.resize(image[: whole[1] * factor, : whole[0] * factor], whole, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def _shrink(image: NDArray[np.uint8], max_side: int) -> tuple[NDArray[np.uint8], float]:
    """Return the image scaled so that no side exceeds ``max_side``, and the scale, at most 1."""
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1.0:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False), scale
