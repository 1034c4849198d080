"""Where frames come from: a camera, a stream, a video file, pictures, or the built-in demo.

A source delivers frames with times of its own clock and knows nothing of threads, faces or
screens. A *live* source waits for nobody: who is slow loses frames, and the runner counts
them. A recorded source is read to its end, every frame once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from mien.errors import DataError, DeviceError, nearest
from mien.live.cameras import CameraDevice, Wishes, camera_named, cameras_here, listed
from mien.live.capture import CaptureSource, Stream, Timing
from mien.live.demo import DemoSource
from mien.live.recorded import IMAGE_ENDINGS, PictureSource, VideoSource
from mien.records import Frame, SourceHealth

_URL_SCHEMES: Final = ("rtsp://", "rtsps://", "http://", "https://", "udp://", "tcp://")
_WORDS: Final = ("auto", "demo")


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

    @property
    def health(self) -> SourceHealth:
        """How the source fares now. May be asked from any thread."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            DeviceError: the device or the connection was lost, for longer than is waited.
        """

    def close(self) -> None:
        """Give the device back; ``frames`` of a live source ends, in whatever thread. Safe to call twice."""


def open_source(spec: str, wishes: Wishes | None = None, patience_s: float = 60.0) -> tuple[Source, str]:
    """Return the source that ``spec`` names, and a sentence for the user ("" where nothing needs saying).

    Args:
        spec: ``auto`` (the first camera, else the demo), ``demo``, a camera's index or a part
            of its name, a URL, a video file, a picture, or a folder of pictures.
        wishes: what a camera is asked for.
        patience_s: how long a live source may be lost before it ends.

    Raises:
        DataError: no such file, or it cannot be read.
        DeviceError: no such camera, or the stream does not answer.
        UsageError: several cameras are meant.
    """
    timing = Timing(patience_s=patience_s)
    if spec == "demo":
        return DemoSource(), _unheard(wishes, "demo")
    if spec == "auto":
        here = cameras_here()
        try:
            return _camera(here[0].index if here else 0, wishes, timing)
        except DeviceError as error:
            why = f"{error}. Instead, this" if here else "No camera found: this"
            return DemoSource(), f"{why} is the built-in demo (a moving portrait). Choose with --source."
    if numbered := re.fullmatch(r"(?:/dev/video)?(\d{1,4})", spec):
        return _camera(int(numbered[1]), wishes, timing)
    if spec.lower().startswith(_URL_SCHEMES):
        return _stream(spec, wishes, timing)
    path = Path(spec)
    if _exists(path):
        source = PictureSource(path) if path.is_dir() or path.suffix.lower() in IMAGE_ENDINGS else VideoSource(path)
        return source, _unheard(wishes, path.name)
    camera = camera_named(spec, cameras_here())
    if camera is None:
        raise DataError(_unknown(spec, path))
    return _camera(camera.index, wishes, timing)


def _camera(index: int, wishes: Wishes | None, timing: Timing) -> tuple[Source, str]:
    device = CameraDevice(index, wishes or Wishes())
    device.ask_permission()
    return CaptureSource(device, timing), device.answer


def _stream(url: str, wishes: Wishes | None, timing: Timing) -> tuple[Source, str]:
    stream = Stream(url)
    source = CaptureSource(stream, timing)
    if source.length is None:
        return source, _unheard(wishes, stream.name)
    source.close()  # a recording behind a URL: read like a file, each frame once
    return VideoSource(url, stream.name), _unheard(wishes, stream.name)


def _unheard(wishes: Wishes | None, name: str) -> str:
    """Return the sentence for wishes that only a camera could fulfil."""
    return f"{name} is read as it is: --camera-size and --camera-fps are for cameras" if wishes not in (None, Wishes()) else ""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        raise DataError(
            f"source is {str(path)[:80]!r}, which cannot be looked up ({error.__class__.__name__}: {error.args[-1]})"
        ) from error


def _unknown(spec: str, path: Path) -> str:
    """Return what to say of a source that is nothing, with the nearest that is something."""
    here = cameras_here()
    beside = [str(path.with_name(other.name)) for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = nearest(spec, [*_WORDS, *beside, *(camera.name for camera in here)])
    return (
        f"no file, folder or camera called {spec!r}.{near} Use a path, a URL, auto, demo, or a camera's index or name "
        f"(cameras here: {listed(here)})"
    )
