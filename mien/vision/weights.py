"""Location and download of the face detector's weights.

``find_yunet`` never uses the network. ``fetch_yunet`` downloads the file over HTTPS and accepts
it only if its hash matches.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from pathlib import Path
from typing import Final

from mien.errors import DataError, DeviceError
from mien.files import atomic_path
from mien.places import cache_folder
from mien.version import VERSION

YUNET_NAME: Final = "face_detection_yunet_2023mar.onnx"
YUNET_SHA256: Final = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_URL: Final = "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/" + YUNET_NAME
_MAX_BYTES: Final = 4 * 1024 * 1024


def find_yunet() -> Path | None:
    """Return the path of YuNet's file in ``$MIEN_MODELS`` or the user's cache, or None if there is none.

    Raises:
        DataError: a file of that name exists but is not the one published by OpenCV Zoo.
    """
    folders = [Path(os.environ["MIEN_MODELS"])] if os.environ.get("MIEN_MODELS") else []
    for folder in (*folders, cache_folder()):
        path = folder / YUNET_NAME
        if path.is_file():
            if hashlib.sha256(path.read_bytes()).hexdigest() != YUNET_SHA256:
                raise DataError(f"{path} is not the published YuNet file (hash mismatch). Delete it and run: mien doctor --fetch")
            return path
    return None


def fetch_yunet(timeout_s: float = 20.0) -> Path:
    """Download YuNet's file (233 kB) into the user's cache and return its path.

    Raises:
        DeviceError: no network, the server sent a different file, or the cache cannot be written.
    """
    try:
        request = urllib.request.Request(YUNET_URL, headers={"User-Agent": f"mien/{VERSION}"})
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310
            data = response.read(_MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise DeviceError(
            f"cannot download {YUNET_URL} ({getattr(error, 'reason', error)}). Put {YUNET_NAME} into a folder and set "
            "MIEN_MODELS to that folder; until then, the detector in the package is used"
        ) from error
    if hashlib.sha256(data).hexdigest() != YUNET_SHA256:
        raise DeviceError(f"{YUNET_URL} sent a file with a different hash; nothing was saved")
    target = cache_folder() / YUNET_NAME
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)
    return target
