"""Backgrounds without faces: pictures from folders and from scikit-image, and procedural textures.

Pictures are converted to grey and scaled down. Pictures in which the teacher detects a face are excluded, because
unlabelled faces would train the network to miss faces.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.vision.detector import Detector

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MAX_SIDE: Final = 900
"""Maximum longer side of a background in pixels."""
MIN_SIDE: Final = 160
"""Minimum shorter side of a background in pixels; smaller pictures are icons."""
_FACE_SCORE: Final = 0.5


def picture_files(folders: Sequence[Path]) -> list[Path]:
    """Return the picture files below the folders, and those of scikit-image if it is installed, in a fixed order.

    Raises:
        DataError: one of them is not a folder, or contains no picture.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder of pictures")
        here = sorted(path for path in folder.rglob("*") if _is_picture_file(path))
        if not here:
            raise DataError(f"{folder} contains no picture ({', '.join(sorted(SUFFIXES))})")
        found += here
    spec = importlib.util.find_spec("skimage")
    if spec is not None and spec.origin is not None:
        data = Path(spec.origin).parent / "data"
        found += sorted(path for path in data.glob("*") if path.suffix.lower() in SUFFIXES)
    return found


def read_backgrounds(
    files: Sequence[Path], teacher: Detector, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[NDArray[np.uint8]]:
    """Return the pictures as (H, W) uint8 grey, with sides of at most ``MAX_SIDE``, without small ones and those with faces.

    Files that are not pictures or cannot be read are skipped.
    """
    found = []
    for number, path in enumerate(files):
        progress(number, len(files))
        grey = _read(path)
        if grey is None or min(grey.shape) < MIN_SIDE or has_face(grey, teacher):
            continue
        found.append(grey)
    progress(len(files), len(files))
    return found


def has_face(grey: NDArray[np.uint8], teacher: Detector) -> bool:
    """Return whether the teacher detects a face in a picture (H, W) uint8."""
    return any(detection.score > _FACE_SCORE for detection in teacher.detect(np.repeat(grey[..., None], 3, axis=2)))


def _is_picture_file(path: Path) -> bool:
    try:
        return path.suffix.lower() in SUFFIXES and path.is_file()
    except OSError:  # its folder may be listed, but not entered
        return False


def _read(path: Path) -> NDArray[np.uint8] | None:
    try:
        data = np.fromfile(path, np.uint8)
        reduced = cv2.IMREAD_REDUCED_GRAYSCALE_2 if len(data) > 1_000_000 else cv2.IMREAD_GRAYSCALE
        grey = cv2.imdecode(data, reduced) if len(data) else None
    except (OSError, cv2.error):
        return None
    if grey is None:
        return None
    scale = MAX_SIDE / max(grey.shape)
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def procedural(random: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Return a procedural background (side, side) uint8: gradient, clouds, stripes, shapes, or a page of text."""
    kind = random.integers(5)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    level, contrast = random.uniform(20, 235), random.uniform(5, 80)
    slope = random.normal(0, 1, 2)
    picture: Any = level + contrast * (slope[0] * (x - 0.5) + slope[1] * (y - 0.5))
    if kind == 1:  # clouds
        for octave in (4, 8, 16, 32, 64):
            noise = random.standard_normal((octave, octave)).astype(np.float32)
            picture = picture + contrast * 4 / octave * cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    elif kind == 2:  # stripes or a checked pattern
        for _ in range(random.integers(1, 3)):
            turn, pitch = random.uniform(0, np.pi), random.uniform(3, 40) / side
            picture = picture + contrast * np.sin((x * np.cos(turn) + y * np.sin(turn)) / pitch)
    drawn: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    if kind == 3:  # furniture, windows, balls
        for _ in range(random.integers(3, 25)):
            draw_shape(random, drawn)
    elif kind == 4:  # a page
        ink, size = float(random.integers(0, 256)), random.uniform(0.25, 1.2)
        for line in np.arange(10, side + 20, 34 * size):
            letters = "".join(chr(code) for code in random.integers(33, 126, 60))
            cv2.putText(drawn, letters, (int(random.integers(-40, 10)), int(line)), int(random.integers(0, 4)), size, ink, 1)
    return drawn


def draw_shape(random: np.random.Generator, picture: NDArray[np.uint8]) -> None:
    """Draw a filled or outlined ellipse, rectangle or line of any grey into a picture (H, W) uint8, in place."""
    side = picture.shape[0]
    centre = tuple(int(v) for v in random.integers(0, side, 2))
    half = (int(random.integers(2, max(3, side // 3))), int(random.integers(2, max(3, side // 3))))
    ink, thick = float(random.integers(0, 256)), int(random.choice([-1, -1, 1, 2, 4]))
    kind = random.integers(3)
    if kind == 0:
        cv2.ellipse(picture, centre, half, float(random.uniform(0, 180)), 0, 360, ink, thick, cv2.LINE_AA)
    elif kind == 1:
        corners = cv2.boxPoints((centre, (2 * half[0], 2 * half[1]), float(random.choice([0, random.uniform(0, 90)]))))
        cv2.polylines(picture, [corners.astype(np.int32)], True, ink, max(1, thick), cv2.LINE_AA)
        if thick < 0:
            cv2.fillPoly(picture, [corners.astype(np.int32)], ink, cv2.LINE_AA)
    else:
        end = (centre[0] + half[0] - side // 6, centre[1] + half[1] - side // 6)
        cv2.line(picture, centre, end, ink, abs(thick) + 1, cv2.LINE_AA)
