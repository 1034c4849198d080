"""Sources that are read to their end, every frame once: a video, or pictures."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2

from mien.errors import DataError
from mien.live.decoder import Decoder, length_of, open_address, permitted, read_picture
from mien.live.health import Watch
from mien.live.stamps import Stamps
from mien.records import LONGEST_INTERVAL_S, Frame, SourceHealth
from mien.vision.pictures import as_bgr

IMAGE_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
STILL_S: Final = 2.0
"""Pictures follow one another this slowly, so that no track reaches from one to the next."""
_NOMINAL_FPS: Final = 25.0


class VideoSource:
    """A video; times are its own presentation times, at whatever rate its frames come.

    Args:
        address: a file's path, or the URL of a recording.
        name: what it is called for people; the file's name if not given.

    Raises:
        DataError: there is no video in it.
    """

    is_live = False
    preview_s: float | None = None

    def __init__(self, address: Path | str, name: str = "") -> None:
        path = Path(address)
        self._decoder = open_address(str(address))
        self.name = name or path.name
        if not self._decoder.isOpened():
            raise DataError(f"{name or path} {why_not(path)}")
        self.total = length_of(self._decoder)
        self.seed: int | None = zlib.crc32(f"{self.name}:{_size_of(path)}".encode())
        self._step_s = nominal_step_s(self._decoder)
        self._stamps = Stamps(self._step_s)
        self._watch = Watch()

    @property
    def health(self) -> SourceHealth:
        return replace(self._watch.health, repaired_times=self._stamps.repaired)

    def frames(self) -> Iterator[Frame]:
        longest_s = max(LONGEST_INTERVAL_S, 2 * self._step_s)
        held: Frame | None = None  # a frame stands until the next one, so it waits for that one's time
        while True:
            ok, decoded = self._decoder.read()
            if not ok:
                break
            t_s = self._stamps.update(self._decoder.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            image = as_bgr(decoded)
            self._watch.update(t_s, image)
            if held is not None:
                yield replace(held, interval_s=min(t_s - held.t_s, longest_s))
            held = Frame(held.index + 1 if held is not None else 0, t_s, image, self._step_s)
        if held is None:
            raise DataError(f"{self.name} holds no frame that can be decoded")
        yield held

    def close(self) -> None:
        self._decoder.release()


class PictureSource:
    """One picture, or the pictures of a folder by name; each stands for itself.

    Args:
        path: the picture or the folder.

    Raises:
        DataError: there is no picture in it.
    """

    is_live = False
    preview_s: float | None = None

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            self._paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and p.is_file())
            if not self._paths:
                raise DataError(f"no pictures in the folder {path} (looked for {', '.join(sorted(IMAGE_ENDINGS))})")
        else:
            self._paths = [path]
        self.name = path.name
        self.total: int | None = len(self._paths)
        self.seed: int | None = zlib.crc32(",".join(p.name for p in self._paths).encode())
        self.skipped: list[str] = []

    @property
    def health(self) -> SourceHealth:
        return SourceHealth(unreadable=len(self.skipped))

    def frames(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            image = read_picture(path)
            if image is None:
                self.skipped.append(path.name)
                continue
            yield Frame(index, index * STILL_S, image, STILL_S)
        if len(self.skipped) == len(self._paths):
            raise DataError(
                f"{self._paths[0]} is not a picture that can be read" + (" (nor any other there)" if len(self._paths) > 1 else "")
            )

    def close(self) -> None:
        return None


def nominal_step_s(decoder: Decoder) -> float:
    """Return the seconds from frame to frame that a container promises."""
    fps = decoder.get(cv2.CAP_PROP_FPS)
    return 1 / fps if 0 < fps < 1000 else 1 / _NOMINAL_FPS


def why_not(path: Path) -> str:
    """Return why a file cannot be opened, as the end of a sentence."""
    if path.exists() and not permitted(path, os.R_OK):
        return "may not be read by this user (permission denied). Change its permissions, or copy it"
    return "is not a video that can be read (wrong format, or cut short)"


def _size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 for what stands behind a URL."""
    return path.stat().st_size if path.is_file() else 0
