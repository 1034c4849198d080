"""Recorded sources, read to their end, every frame once: a video, or pictures."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from mien.errors import DataError, DeviceError
from mien.records import LONGEST_INTERVAL_S, Frame, SourceHealth
from mien.sources.files import IMAGE_ENDINGS, read_picture
from mien.sources.health import HealthMonitor
from mien.sources.stamps import TimestampRepair
from mien.sources.video import open_video
from mien.visible import visible

STILL_S: Final = 2.0
"""Interval between the pictures of a folder in seconds."""


class VideoSource:
    """A video with its own presentation times, at a constant or variable frame rate.

    Args:
        address: path of a file, or URL of a recording.
        name: display name; the file name if not given.

    Raises:
        DataError: it is not a readable video.
    """

    is_live = False
    preview_s: float | None = None

    def __init__(self, address: Path | str, name: str = "") -> None:
        path = Path(address)
        self.name = visible(name or path.name)
        self._reader = open_video(address, name=name)
        self.total = self._reader.total
        self.seed: int | None = zlib.crc32(os.fsencode(f"{self.name}:{_size_of(path)}"))
        self._stamps = TimestampRepair(self._reader.step_s)
        self._monitor = HealthMonitor()

    @property
    def health(self) -> SourceHealth:
        return replace(self._monitor.health, repaired_times=self._stamps.repaired)

    def frames(self) -> Iterator[Frame]:
        held: Frame | None = None  # a frame lasts until the next one, so it is held until that time is known
        gap_s = 0.0
        try:
            while self._reader.advance():
                t_s, image = self._stamps.update(self._reader.stamp_s), self._reader.image()
                self._monitor.update(t_s, image)
                if held is not None:
                    gap_s = t_s - held.t_s
                    yield replace(held, interval_s=min(gap_s, longest_interval_s(self._reader.step_s)))
                held = Frame(held.index + 1 if held is not None else 0, t_s, image)
        except OSError as error:
            raise DeviceError(f"{self.name} was lost before its end: {error}. The session so far is saved") from error
        if held is None:
            raise DataError(f"{self.name} has no frame that can be decoded")
        yield replace(held, interval_s=last_interval_s(gap_s, self._reader.step_s))

    def close(self) -> None:
        self._reader.close()


class PictureSource:
    """One picture, or the pictures of a folder sorted by name. Each picture is a new scene.

    Args:
        path: the picture or the folder.

    Attributes:
        skipped: names of the pictures that could not be read.

    Raises:
        DataError: the folder contains no picture.
    """

    is_live = False
    preview_s: float | None = None

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            try:
                self._paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and p.is_file())
            except OSError as error:
                raise DataError(f"cannot open {path} ({error.strerror}). Check its permissions") from error
            if not self._paths:
                raise DataError(f"no pictures in the folder {path} (looked for {', '.join(sorted(IMAGE_ENDINGS))})")
        else:
            self._paths = [path]
        self.name = visible(path.name or path.absolute().name)  # "." has no name
        self.total: int | None = len(self._paths)
        self.seed: int | None = zlib.crc32(b",".join(os.fsencode(p.name) for p in self._paths))
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
            yield Frame(index, index * STILL_S, image, STILL_S, is_new_scene=True)
        if len(self.skipped) == len(self._paths):
            raise DataError(
                f"{self._paths[0]} cannot be decoded as a picture" + (", nor can the others" if len(self._paths) > 1 else "")
            )

    def close(self) -> None:
        return None


def longest_interval_s(step_s: float) -> float:
    """Return the longest interval of a frame in seconds; the rest of a longer gap counts as absence."""
    return max(LONGEST_INTERVAL_S, 2 * step_s)


def last_interval_s(gap_s: float, step_s: float) -> float:
    """Return the interval of the last frame in seconds: that of the frame before it, or ``step_s`` after a gap.

    Args:
        gap_s: time between the last two frames in seconds; 0 if there is only one frame.
        step_s: usual interval between frames in seconds.
    """
    return gap_s if 0 < gap_s <= longest_interval_s(step_s) else step_s


def _size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 for a URL."""
    return path.stat().st_size if path.is_file() else 0
