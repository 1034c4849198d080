"""Where frames come from: a camera, a stream, a video file, pictures, or the built-in demo.

A source delivers frames with times of its own clock and knows nothing of threads, faces or
screens. A *live* source waits for nobody: who is slow loses frames, and the runner counts
them. A recorded source is read to its end, every frame once.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's own complaints; ours say more
import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, DeviceError
from mien.live.demo import DemoSource
from mien.records import Frame

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

IMAGE_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
STILL_S: Final = 2.0
"""Pictures follow one another this slowly, so that no track reaches from one to the next."""
_URL_SCHEMES: Final = ("rtsp://", "rtsps://", "http://", "https://", "udp://", "tcp://")
_NOMINAL_FPS: Final = 25.0
_MAX_FAILED_READS: Final = 50


class Source(Protocol):
    """A stream of frames.

    Attributes:
        name: what is being watched, for people.
        is_live: whether frames are lost to who is slow.
        total: frames in all, None where nobody knows.
        seed: a number that is the same whenever this recording is opened; None for a live
            source, whose track names must differ every time.
        preview_s: how long an unwatched run lasts, in seconds; None to the source's end.
    """

    name: str
    is_live: bool
    total: int | None
    seed: int | None
    preview_s: float | None

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            DeviceError: the device or the connection was lost.
        """

    def close(self) -> None:
        """Give the device back. Safe to call twice."""


class VideoSource:
    """A video file; times are the file's own presentation times."""

    is_live = False
    preview_s: float | None = None

    def __init__(self, path: Path) -> None:
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise DataError(f"{path} is not a video that can be read (wrong format, or cut short)")
        self.name = path.name
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total = count if count > 0 else None
        self.seed: int | None = zlib.crc32(f"{path.name}:{path.stat().st_size}".encode())
        self._path = path

    def frames(self) -> Iterator[Frame]:
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        step_s = 1 / fps if 0 < fps < 1000 else 1 / _NOMINAL_FPS
        last_s = -step_s
        index = 0
        while True:
            ok, image = self._capture.read()
            if not ok:
                break
            t_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if t_s <= last_s:  # some containers carry no times: the nominal rate goes on
                t_s = last_s + step_s
            yield Frame(index, t_s, as_bgr(image), t_s - last_s if index else step_s)
            last_s = t_s
            index += 1
        if index == 0:
            raise DataError(f"{self._path} holds no frame that can be decoded")

    def close(self) -> None:
        self._capture.release()


class PictureSource:
    """One picture, or the pictures of a folder by name; each stands for itself."""

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


class CaptureSource:
    """A camera by index, or a network stream by URL; times are seconds since it was opened."""

    is_live = True
    preview_s: float | None = None
    total: int | None = None
    seed: int | None = None

    def __init__(self, target: int | str) -> None:
        self.name = f"camera {target}" if isinstance(target, int) else target.split("@")[-1]  # no password on screen
        self._capture = cv2.VideoCapture(target)
        if not self._capture.isOpened():
            raise DeviceError(
                f"no camera {target} here, or another program holds it. Plug it in, choose another index, or use --source demo"
                if isinstance(target, int)
                else f"cannot open the stream {self.name}. Check the address and that the server runs"
            )

    def frames(self) -> Iterator[Frame]:
        started = time.monotonic()
        last_s = 0.0
        index = failed = 0
        while True:
            ok, image = self._capture.read()
            if not ok:
                failed += 1
                if failed >= _MAX_FAILED_READS:
                    raise DeviceError(
                        f"{self.name} delivers no frames any more (unplugged, or ended?). What was read so far is saved"
                        if index
                        else f"{self.name} opens but delivers no frame. Is it in use elsewhere, or not a video stream?"
                    )
                time.sleep(0.02)
                continue
            failed = 0
            t_s = time.monotonic() - started
            yield Frame(index, t_s, as_bgr(image), t_s - last_s)
            last_s = t_s
            index += 1

    def close(self) -> None:
        self._capture.release()


def open_source(spec: str) -> tuple[Source, str]:
    """Return the source that ``spec`` names, and a sentence for the user ("" where nothing needs saying).

    Args:
        spec: ``auto`` (the first camera, else the demo), ``demo``, a camera's index, a URL,
            a video file, a picture, or a folder of pictures.

    Raises:
        DataError: no such file, or it cannot be read.
        DeviceError: no such camera, or the stream does not answer.
    """
    if spec == "demo":
        return DemoSource(), ""
    if spec == "auto":
        try:
            return CaptureSource(0), ""
        except DeviceError:
            return DemoSource(), "No camera found: this is the built-in demo (a moving portrait). Choose with --source."
    if spec.isdecimal():
        return CaptureSource(int(spec)), ""
    if spec.startswith(_URL_SCHEMES):
        return CaptureSource(spec), ""
    path = Path(spec)
    if not path.exists():
        raise DataError(f"no file, folder or camera called {spec!r}. Use a path, a camera index, a URL, auto or demo")
    if path.is_dir() or path.suffix.lower() in IMAGE_ENDINGS:
        return PictureSource(path), ""
    return VideoSource(path), ""


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """Return a picture as (H, W, 3) uint8 BGR, or None when it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread cannot open every name on every system
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else as_bgr(image)


def as_bgr(image: object) -> NDArray[np.uint8]:
    """Return what OpenCV decoded as (H, W, 3) uint8 BGR; grey and alpha are converted."""
    array = np.asarray(image)
    if array.ndim == 2:
        return cv2.cvtColor(array, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    if array.shape[2] == 4:
        return cv2.cvtColor(array, cv2.COLOR_BGRA2BGR).astype(np.uint8, copy=False)
    return array.astype(np.uint8, copy=False)
