"""Opens the source that a user names: a camera, a stream, a video file, pictures, or the built-in demo."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from mien.errors import DataError, DeviceError, UsageError, nearest
from mien.sources.animation import is_animated
from mien.sources.cameras import CameraDevice, CameraOptions, find_camera, list_cameras, listed
from mien.sources.capture import CaptureSource, Stream, Timing
from mien.sources.demo import DemoSource
from mien.sources.files import IMAGE_ENDINGS
from mien.sources.recorded import PictureSource, VideoSource
from mien.sources.source import Source
from mien.visible import visible

_URL_SCHEMES: Final = ("rtsp://", "rtsps://", "http://", "https://", "udp://", "tcp://")
_WORDS: Final = ("auto", "demo")


def open_source(spec: str, options: CameraOptions | None = None, patience_s: float = 60.0) -> tuple[Source, str]:
    """Return the source that ``spec`` names, and a notice for the user or "".

    Args:
        spec: ``auto`` (the first camera, else the demo), ``demo``, a camera's index or a part
            of its name, a URL, a video file, a picture, or a folder of pictures.
        options: size and frame rate requested from a camera.
        patience_s: time without a frame after which a live source ends, in seconds.

    Raises:
        DataError: the file does not exist or cannot be read.
        DeviceError: the camera or the stream cannot be opened.
        UsageError: the name matches several cameras, or the URL scheme is not supported.
    """
    timing = Timing(patience_s=patience_s)
    if spec == "demo":
        return DemoSource(), _ignored_options(options, "demo")
    if spec == "auto":
        here = list_cameras()
        try:
            return _camera(here[0].index if here else 0, options, timing)
        except DeviceError as error:
            reason = f"{error}. Instead, this" if here else "No camera found: this"
            return DemoSource(), f"{reason} is the built-in demo (a moving portrait). Choose with --source."
    if numbered := re.fullmatch(r"(?:/dev/video)?(\d{1,4})", spec):
        return _camera(int(numbered[1]), options, timing)
    if spec.lower().startswith(_URL_SCHEMES):
        return _stream(spec, options, timing)
    if "://" in spec:
        raise UsageError(f"source has an unsupported URL scheme; supported: {', '.join(_URL_SCHEMES)}")
    path = Path(spec)
    if _exists(path):
        if not (path.is_file() or path.is_dir()):
            raise DataError(f"{visible(spec)} is neither a file nor a folder. A video device is given by its number or name")
        is_picture = path.is_dir() or (path.suffix.lower() in IMAGE_ENDINGS and not is_animated(path))
        source = PictureSource(path) if is_picture else VideoSource(path)
        return source, _ignored_options(options, path.name)
    camera = find_camera(spec, list_cameras())
    if camera is None:
        raise DataError(_unknown(spec, path))
    return _camera(camera.index, options, timing)


def _camera(index: int, options: CameraOptions | None, timing: Timing) -> tuple[Source, str]:
    device = CameraDevice(index, options or CameraOptions())
    device.ask_permission()
    return CaptureSource(device, timing), device.notice


def _stream(url: str, options: CameraOptions | None, timing: Timing) -> tuple[Source, str]:
    stream = Stream(url)
    source = CaptureSource(stream, timing)
    if not source.is_recording:
        return source, _ignored_options(options, stream.name)
    source.close()  # a recording behind a URL is read like a file, every frame once
    return VideoSource(url, stream.name), _ignored_options(options, stream.name)


def _ignored_options(options: CameraOptions | None, name: str) -> str:
    """Return the notice for options that apply to cameras only."""
    return f"{name} is not a camera: --camera-size and --camera-fps are ignored" if options not in (None, CameraOptions()) else ""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        raise DataError(
            f"source is {str(path)[:80]!r}, which cannot be opened ({error.__class__.__name__}: {error.args[-1]})"
        ) from error


def _unknown(spec: str, path: Path) -> str:
    """Return the error message for an unknown source, with the most similar valid name."""
    here = list_cameras()
    siblings: list[str] = []
    with suppress(OSError):
        siblings = [str(path.with_name(other.name)) for other in path.parent.iterdir()]
    near = nearest(spec, [*_WORDS, *siblings, *(camera.name for camera in here)])
    return (
        f"no file, folder or camera called {spec!r}.{near} Use a path, a URL, auto, demo, or a camera's index or name "
        f"(cameras here: {listed(here)})"
    )
