"""Twelve image corruptions typical of webcams, at five severities.

After Hendrycks and Dietterich 2019 (arXiv:1903.12261): defocus, motion, low light, backlight,
compression and occlusion among them. All randomness comes from a seeded generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Face = NDArray[np.uint8]
Points = NDArray[np.float32]
Apply = Callable[[Face, float, Points, np.random.Generator], NDArray[np.generic]]

SEVERITIES: Final = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Corruption:
    """One corruption.

    Attributes:
        meaning: description of the strengths.
        strengths: one value per severity.
        apply: callable of (face (48, 48) uint8, strength, landmarks (5, 2), random generator) that
            returns the corrupted face.
    """

    meaning: str
    strengths: tuple[float, float, float, float, float]
    apply: Apply


def corrupt(faces: Face, name: str, severity: int, landmarks: Points, seed: int = 0) -> Face:
    """Return (N, 48, 48) uint8 corrupted faces; equal seeds give equal faces.

    Args:
        faces: (N, 48, 48) uint8 greyscale.
        name: a key of ``CORRUPTIONS``.
        severity: 1 to 5.
        landmarks: (N, 5, 2) pixels of the crop: eyes, nose, mouth corners.
        seed: of the random generator; each corruption, severity and face has its own random numbers.
    """
    corruption = CORRUPTIONS[name]
    strength = corruption.strengths[SEVERITIES.index(severity)]
    random = np.random.default_rng((seed, list(CORRUPTIONS).index(name), severity))
    corrupted = [corruption.apply(face, strength, points, random) for face, points in zip(faces, landmarks, strict=True)]
    return np.clip(np.rint(np.stack(corrupted).astype(np.float32)), 0, 255).astype(np.uint8)


def _blur(face: Face, sigma: float, _points: Points, _random: np.random.Generator) -> NDArray[np.generic]:
    return cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _motion_blur(face: Face, length: float, _points: Points, random: np.random.Generator) -> NDArray[np.generic]:
    side = int(length)
    line = np.zeros((side, side), np.float32)
    line[side // 2] = 1
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), random.uniform(0, 180), 1.0)
    kernel = np.asarray(cv2.warpAffine(line, turn, (side, side)), np.float32)
    kernel /= max(float(kernel.sum()), 1e-6)
    return cv2.filter2D(face, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def _noise(face: Face, deviation: float, _points: Points, random: np.random.Generator) -> NDArray[np.generic]:
    return face + random.normal(0, deviation, face.shape).astype(np.float32)


def _jpeg(face: Face, quality: float, _points: Points, _random: np.random.Generator) -> NDArray[np.generic]:
    coded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def _low_light(face: Face, light: float, _points: Points, random: np.random.Generator) -> NDArray[np.generic]:
    # fewer photons: a darker image with more shot noise, at 4 electrons per grey level, and read noise
    electrons = face.astype(np.float64) * light * 4
    return (random.poisson(electrons) / 4 + random.normal(0, 1.5, face.shape)).astype(np.float32)


def _backlight(face: Face, strength: float, _points: Points, _random: np.random.Generator) -> NDArray[np.generic]:
    height, width = face.shape
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    away = np.hypot(across / (width - 1) - 0.5, down / (height - 1) - 0.5) / math.sqrt(0.5)  # 0 in the centre, 1 in a corner
    return np.asarray(face * (1 - 0.85 * strength) + 255 * strength * away**2, np.float32)


def _contrast(face: Face, factor: float, _points: Points, _random: np.random.Generator) -> NDArray[np.generic]:
    return (face - np.float32(face.mean())) * np.float32(factor) + np.float32(face.mean())


def _rotation(face: Face, degrees: float, _points: Points, random: np.random.Generator) -> NDArray[np.generic]:
    sign = 1 if random.random() < 0.5 else -1
    middle = ((face.shape[1] - 1) / 2, (face.shape[0] - 1) / 2)
    turn = cv2.getRotationMatrix2D(middle, sign * degrees, 1.0)
    return cv2.warpAffine(face, turn, face.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _shift(face: Face, pixels: float, _points: Points, random: np.random.Generator) -> NDArray[np.generic]:
    angle = random.uniform(0, 2 * math.pi)
    move = np.array([[1, 0, pixels * math.cos(angle)], [0, 1, pixels * math.sin(angle)]])
    return cv2.warpAffine(face, move, face.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _downsampling(face: Face, side: float, _points: Points, _random: np.random.Generator) -> NDArray[np.generic]:
    small = cv2.resize(face, (int(side), int(side)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, face.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _mouth_covered(face: Face, size: float, points: Points, _random: np.random.Generator) -> NDArray[np.generic]:
    return _covered(face, points[3:], size, 1.5, 0.9, level=170)


def _eyes_covered(face: Face, size: float, points: Points, _random: np.random.Generator) -> NDArray[np.generic]:
    return _covered(face, points[:2], size, 1.7, 0.75, level=40)


def _covered(face: Face, pair: Points, size: float, wide: float, high: float, level: int) -> Face:
    """Return the face with a rectangle over two points, rotated with their line; its sides are in units of their distance."""
    (x0, y0), (x1, y1) = pair.astype(float)
    distance = max(math.hypot(x1 - x0, y1 - y0), 6.0)
    angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
    corners = cv2.boxPoints((((x0 + x1) / 2, (y0 + y1) / 2), (wide * size * distance, high * size * distance), angle))
    corrupted = face.copy()
    cv2.fillConvexPoly(corrupted, np.rint(corners).astype(np.int32), level)
    return corrupted


CORRUPTIONS: Final[dict[str, Corruption]] = {
    "blur": Corruption("Gaussian blur, standard deviation in pixels", (0.5, 0.8, 1.2, 1.7, 2.4), _blur),
    "motion_blur": Corruption("motion blur, length in pixels, random direction", (3, 5, 7, 9, 11), _motion_blur),
    "noise": Corruption("Gaussian noise, standard deviation in grey levels", (6, 12, 20, 30, 45), _noise),
    "jpeg": Corruption("JPEG quality of the crop", (60, 35, 20, 12, 6), _jpeg),
    "low_light": Corruption("light relative to the original, with shot and read noise", (0.6, 0.35, 0.2, 0.1, 0.05), _low_light),
    "backlight": Corruption("bright background: darker face, glare from the edges", (0.2, 0.35, 0.5, 0.65, 0.8),
                            _backlight),
    "contrast": Corruption("contrast relative to the original", (0.7, 0.5, 0.3, 0.18, 0.09), _contrast),
    "rotation": Corruption("rotation in degrees, random direction", (5, 10, 15, 25, 40), _rotation),
    "shift": Corruption("shift of the crop in pixels, random direction", (1, 2, 4, 6, 9), _shift),
    "downsampling": Corruption("original width of the face in pixels", (36, 24, 18, 13, 9), _downsampling),
    "mouth_covered": Corruption("plain patch over the mouth, relative size", (0.4, 0.7, 1.0, 1.3, 1.6), _mouth_covered),
    "eyes_covered": Corruption("dark band over the eyes, relative size", (0.4, 0.7, 1.0, 1.3, 1.6), _eyes_covered),
}  # fmt: skip
"""The corruptions by name."""
