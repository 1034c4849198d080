"""Where the face detector's weights are found, and how they are fetched when a user asks.

Looking up never touches the network. ``fetch_yunet`` does, once, over HTTPS, and accepts
only the file with the known hash.
"""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from mien.errors import DataError, DeviceError
from mien.files import atomic_path

YUNET_NAME: Final = "face_detection_yunet_2023mar.onnx"
YUNET_SHA256: Final = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_URL: Final = "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/" + YUNET_NAME
_MAX_BYTES: Final = 4 * 1024 * 1024


def cache_folder() -> Path:
    """Return the user's cache folder for Mien (not made)."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "mien"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/mien"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien"


def find_yunet() -> Path | None:
    """Return the detector's file from ``$MIEN_MODELS`` or the user's cache; None where it is in neither.

    Raises:
        DataError: a file of that name is there and is not the one OpenCV Zoo publishes.
    """
    folders = [Path(os.environ["MIEN_MODELS"])] if os.environ.get("MIEN_MODELS") else []
    for folder in (*folders, cache_folder()):
        path = folder / YUNET_NAME
        if path.is_file():
            if hashlib.sha256(path.read_bytes()).hexdigest() != YUNET_SHA256:
                raise DataError(f"{path} is not the published YuNet file (its hash differs). Delete it and run: mien fetch")
            return path
    return None


def fetch_yunet(timeout_s: float = 20.0) -> Path:
    """Download the detector's file (233 kB) into the user's cache and return its path.

    Raises:
        DeviceError: no network, or the server sent something else.
    """
    try:
        with urllib.request.urlopen(YUNET_URL, timeout=timeout_s) as answer:
            data = answer.read(_MAX_BYTES)
    except (urllib.error.URLError, OSError) as error:
        raise DeviceError(
            f"cannot fetch {YUNET_URL} ({getattr(error, 'reason', error)}). Put {YUNET_NAME} into a folder and name "
            "that folder in MIEN_MODELS; until then the slower Haar detector is used"
        ) from error
    if hashlib.sha256(data).hexdigest() != YUNET_SHA256:
        raise DeviceError(f"{YUNET_URL} sent another file than the published one; nothing was saved")
    target = cache_folder() / YUNET_NAME
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)
    return target
