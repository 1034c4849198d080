"""Face checks on the data with YuNet, the detector that ``mien live`` uses.

Crops of 48 pixels are too small for the detector and end at the chin, so each is enlarged and
its border replicated: by two, and by four if no face is found with confidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.audit.quality import Check
from mien.limits import worker_count
from mien.preprocess import INPUT_SIZE, similarity_from_landmarks
from mien.vision.yunet import YUNET_SCORE, YuNetDetector

FACES_VERSION: Final = "1"
FACE_CHECKS: Final[tuple[Check, ...]] = (
    Check("no_face", "face", 0.30, False, False, "highest detector score over two scales"),
    Check(
        "placeholder", "faceless_flatness", 0.40, True, True, "no face, and a large area of one grey level: an icon or a notice"
    ),
    Check("tilted", "tilt_deg", 25.0, True, False, "rotation of the line between the eyes, degrees"),
    Check(
        "badly_framed",
        "zoom_off",
        1.0,
        True,
        False,
        "face at most half or at least twice the size of the mean face: absolute log2 of the scale",
    ),
)
"""Quality checks that need the face detector."""

_ATTEMPTS: Final[tuple[tuple[int, int], ...]] = ((2, 8), (4, 8))
"""Scale, and border in pixels of the crop, of the first and the second attempt."""
_LOWEST_SCORE: Final = 0.1
_CHUNK: Final = 256


@dataclass(frozen=True, slots=True)
class FaceGeometry:
    """Detector results for N images; landmarks are NaN without a detection.

    Attributes:
        score: (N,) float32, 0 (no face) to 1.
        landmarks: (N, 5, 2) float32, pixels of the crop: eyes, nose, mouth corners.
    """

    score: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def scores(self, flatness: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the geometry scores by name, each (N,) float32; NaN without a face.

        ``tilt_deg``: absolute roll in degrees. ``turn``: yaw, as the position of the nose between
        the eyes, 0 in the middle, ±1 at an eye. ``nod``: pitch, as the position of the nose between
        eyes and mouth, 0 as in the mean face. ``zoom``: size of the face relative to the mean face.
        ``zoom_off``: absolute log2 of ``zoom``. ``face``: the detector's score.
        ``faceless_flatness``: ``flatness`` (N,) where no face is found, else 0.
        """
        found = {name: np.full(len(self.score), np.nan, np.float32) for name in ("tilt_deg", "turn", "nod", "zoom_off", "zoom")}
        for i in np.flatnonzero(self.score >= FACE_CHECKS[0].threshold):
            points = self.landmarks[i].astype(np.float64)
            try:
                transform = similarity_from_landmarks(self.landmarks[i])
            except ValueError:
                continue
            eyes, mouth = points[:2].mean(0), points[3:].mean(0)
            across, down = points[1] - points[0], mouth - eyes
            nose = points[2] - eyes
            found["tilt_deg"][i] = abs(math.degrees(math.atan2(transform[1, 0], transform[0, 0])))
            found["turn"][i] = 2 * float(nose @ across) / max(1.0, float(across @ across))
            found["nod"][i] = float(nose @ down) / max(1.0, float(down @ down)) - _MEAN_NOSE
            scale = math.hypot(transform[0, 0], transform[1, 0])
            found["zoom"][i] = 1 / scale
            found["zoom_off"][i] = abs(math.log2(scale))
        faceless = np.where(FACE_CHECKS[0].flags(self.score), flatness, 0).astype(np.float32)
        return {"face": self.score, "faceless_flatness": faceless, **found}


_MEAN_NOSE: Final = 10 / 17.6
"""Position of the nose between eyes and mouth in the canonical landmarks."""


def find_faces(
    images: NDArray[np.uint8], weights: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> FaceGeometry:
    """Return score and landmarks of the best face in each of (N, 48, 48) uint8 images.

    Args:
        images: grey crops.
        weights: ONNX file of YuNet.
        progress: called with (images done, total).

    Raises:
        BundleError: OpenCV cannot load the weights.
    """
    score = np.zeros(len(images), np.float32)
    landmarks = np.full((len(images), 5, 2), np.nan, np.float32)
    chunks = [np.arange(start, min(len(images), start + _CHUNK)) for start in range(0, len(images), _CHUNK)]
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one detector per thread is faster than one detector on all cores

    def detect(detector: YuNetDetector, chunk: NDArray[np.int64]) -> None:
        for i in chunk:
            for zoom, border in _ATTEMPTS:
                found, points = _detect(detector, images[i], zoom, border)
                if found > score[i]:
                    score[i], landmarks[i] = found, points
                if score[i] >= YUNET_SCORE:
                    break

    try:
        workers = worker_count()
        detectors = [YuNetDetector(weights, min_score=_LOWEST_SCORE) for _ in range(workers)]
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(chunks), workers):
                group = chunks[start : start + workers]
                list(pool.map(detect, detectors, group))
                progress(int(group[-1][-1]) + 1, len(images))
    finally:
        cv2.setNumThreads(threads_before)
    return FaceGeometry(score, landmarks)


def _detect(detector: YuNetDetector, image: NDArray[np.uint8], zoom: int, border: int) -> tuple[float, NDArray[np.float32]]:
    """Return score and landmarks, in pixels of the crop, of the best face in one image, enlarged by ``zoom`` with a border."""
    side = INPUT_SIZE * zoom
    large = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    edge = border * zoom
    framed = cv2.copyMakeBorder(large, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    faces = detector.detect(cv2.cvtColor(framed, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False))
    best = max(faces, key=lambda face: face.score, default=None)
    if best is None or best.landmarks is None:
        return 0.0, np.full((5, 2), np.nan, np.float32)
    return best.score, (best.landmarks / zoom - border).astype(np.float32)
