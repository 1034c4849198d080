"""Folders and archives of small pictures, for tests."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
from datasets import pattern
from numpy.typing import NDArray

NOISE = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)


def encoded(image: NDArray[np.generic], ending: str = ".png") -> bytes:
    return cv2.imencode(ending, image)[1].tobytes()


def fill(root: Path, *folders: str, count: int = 2) -> Path:
    """Write ``count`` different pictures into each folder."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            (root / folder / f"{k}.png").write_bytes(encoded(pattern(number % 7, 100 * number + k)))
    return root


def packed(target: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target
