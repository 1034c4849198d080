"""The library's API: expressions in images, videos and streams.

It connects the same stages as a session and returns the same records. It writes no files, shows nothing and starts no
threads.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, UsageError
from mien.pipeline import Pipeline, open_reader, read_crops, read_pictures
from mien.privacy.policy import policy_here
from mien.records import Frame, FrameResult
from mien.sources.factory import open_source
from mien.sources.files import read_picture
from mien.sources.recorded import VideoSource
from mien.sources.source import Source
from mien.views.dashboard_picture import annotated
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.detector_choice import detector_notice, open_detector
from mien.vision.pictures import ColourOrder, as_bgr
from mien.vision.predictor import Predictor
from mien.vision.tracker import name_source

if TYPE_CHECKING:
    import pandas as pd

    from mien.records import FaceReading

Picture = str | Path | Image.Image | NDArray[np.generic]
"""A file, a Pillow image, or an array (H, W), (H, W, 3) or (H, W, 4); see :func:`mien.vision.pictures.as_bgr`."""

_SAME_TIME_S = 1e-6
_LOG: Final = logging.getLogger("mien")


class Analyzer:
    """Recognises the expressions of faces.

    Model and face detector are loaded once, by the constructor. An analyzer can be used for any number of pictures and
    videos, by one thread at a time. As a context manager, it closes open videos and cameras at the end of the block.

    Args:
        model: name of a packaged bundle, or path of a bundle.
        smoothing_s: time constant of the smoothing in videos and streams, in seconds; 0 disables it.
        threads: number of threads of the model; results do not depend on it.
        deployment: file of the deployment declaration (``mien policy init``). The default is the file named by the
            environment variable ``MIEN_DEPLOYMENT``, or ``deployment.toml`` in the working
            directory; a warning that names it is logged. Without a declaration, the rule for own
            use on yourself applies. If expressions are not permitted, faces are detected but not
            read.

    Raises:
        NotPermittedError: the declaration permits nothing.
        MienError: the model is missing or broken, or the declaration cannot be read.
    """

    def __init__(
        self,
        model: str = DEFAULT_BUNDLE,
        *,
        smoothing_s: float = 0.4,
        threads: int = 2,
        deployment: str | Path | None = None,
    ) -> None:
        policy, declared = policy_here(deployment)
        if declared and deployment is None:
            _LOG.warning(declared)
        self._reader = open_reader(policy, lambda: Predictor(bundle_path(model), threads))
        self._detector = open_detector()
        if notice := detector_notice(self._detector.name):
            _LOG.warning(notice)
        self._smoothing_s = smoothing_s
        self._sources: WeakSet[Source] = WeakSet()
        self._closed = False

    @property
    def detector(self) -> str:
        """Name of the face detector: ``yunet``, or ``mien-detect`` from the package."""
        return self._detector.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close open videos and cameras. The analyzer cannot be used afterwards. May be called more than once."""
        self._closed = True
        for source in list(self._sources):
            source.close()

    def image(self, picture: Picture, *, order: ColourOrder = "bgr") -> FrameResult:
        """Return the faces in a picture, from left to right.

        Args:
            picture: a file, a Pillow image or an array.
            order: channel order of an array: ``bgr`` as in OpenCV, or ``rgb`` as in Matplotlib, imageio and scikit-image.
                Ignored for files and Pillow images.

        Raises:
            DataError: the file cannot be read, or the array is not a picture.
            UsageError: unknown ``order``.
            RuntimeError: the analyzer is closed.
        """
        return self.images([picture], order=order)[0]

    def images(self, pictures: Iterable[Picture], *, order: ColourOrder = "bgr") -> list[FrameResult]:
        """Return the faces in each picture, like :meth:`image`, with batched inference.

        ``index`` of each result is the number of the picture, from 0.

        Raises:
            DataError: a file cannot be read, or an array is not a picture.
        """
        self._check_open()
        return read_pictures((_pixels(picture, order) for picture in pictures), self._detector, self._reader, name_source(None))

    def faces(self, crops: Iterable[Picture], *, order: ColourOrder = "bgr") -> list[FaceReading]:
        """Return the reading of each face crop, without face detection.

        A crop shows one face, framed as in FER2013, at any size; its central square is scaled to 48x48 pixels. The quality
        gate is not applied.

        Raises:
            DataError: a file cannot be read, or an array is not a picture.
        """
        self._check_open()
        return read_crops((_pixels(crop, order) for crop in crops), self._reader)

    def video(
        self,
        path: str | Path,
        *,
        every_s: float = 0.0,
        start_s: float = 0.0,
        end_s: float | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Iterator[FrameResult]:
        """Yield the faces in each frame of a video file, with presentation times.

        Args:
            path: a file; ``demo`` and ``0`` have no special meaning here.
            every_s: interval of the frames to analyse, in seconds; 0 for all frames. A face keeps its ``track_id`` across
                gaps of one and a half such intervals, and of at least one second.
            start_s: time of the first frame to analyse, in seconds.
            end_s: time in seconds at which to stop; None for the end of the video.
            progress: called for each frame with (frames decoded, total frames according to the container).

        Raises:
            DataError: the file is missing or is not a readable video.
            UsageError: a time is out of range.
        """
        self._check_open()
        _check_times(every_s, start_s, end_s)
        if not Path(path).is_file():
            raise DataError(f"no video at {path}")
        source = VideoSource(Path(path))
        frames = _counted(source, progress)
        if every_s or start_s or end_s is not None:
            frames = _sampled(frames, every_s, start_s, math.inf if end_s is None else end_s)
        return self._results(source, frames)

    def stream(self, source: str | Iterable[Frame] = "auto") -> Iterator[FrameResult]:
        """Yield the faces in each frame of a camera, a network stream, a folder of pictures, the demo, or your own frames.

        Every frame is analysed; a camera waits for the consumer.

        Args:
            source: a source as for ``mien live --source``, or frames in chronological order.

        Raises:
            MienError: the source is unavailable.
        """
        self._check_open()
        if not isinstance(source, str):
            return map(Pipeline(self._detector, self._reader, name_source(None), self._smoothing_s).update, source)
        opened, notice = open_source(source)
        if notice:
            _LOG.warning(notice)
        return self._results(opened, opened.frames())

    def _results(self, source: Source, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        self._sources.add(source)
        pipeline = Pipeline(self._detector, self._reader, name_source(source.seed), self._smoothing_s)

        def results() -> Iterator[FrameResult]:
            with closing(source):
                yield from map(pipeline.update, frames)

        return results()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the analyzer is closed")


def draw(picture: Picture, result: FrameResult, *, order: ColourOrder = "bgr") -> Image.Image:
    """Return a copy of a picture with boxes, landmarks and readings drawn on it, as an RGB Pillow image.

    Args:
        picture: the picture that ``result`` belongs to, at any size.
        result: the faces.
        order: channel order of an array, as in :meth:`Analyzer.image`.

    Raises:
        DataError: the file cannot be read, or the array is not a picture.
    """
    pixels = _pixels(picture, order)
    zoom = (pixels.shape[1] / max(result.size[0], 1), pixels.shape[0] / max(result.size[1], 1))
    return Image.fromarray(annotated(pixels, result.faces, zoom=zoom))


def to_dataframe(results: FrameResult | Iterable[FrameResult]) -> pd.DataFrame:
    """Return a pandas data frame with one row per face and frame.

    Columns are named as in a session's ``observations.csv``: times in seconds, boxes in pixels, angles in degrees, and one
    column of probabilities per class. Missing values are NaN. Frames without faces have no rows.

    Raises:
        DeviceError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise DeviceError("to_dataframe needs the package pandas. Install it with: pip install pandas") from error
    rows = [
        {
            "t_s": result.t_s,
            "frame": result.index,
            "track_id": face.track_id,
            "x": face.detection.box.x,
            "y": face.detection.box.y,
            "w": face.detection.box.w,
            "h": face.detection.box.h,
            "label": face.label,
            "confidence": math.nan if face.unread else face.confidence,
            "uncertain": face.uncertain,
            "unread": face.unread,
            **{name: face.probabilities.get(name, math.nan) for name in EMOTIONS},
            **{f"{angle}_deg": getattr(face.pose, f"{angle}_deg", math.nan) for angle in ("yaw", "pitch", "roll")},
        }
        for result in ([results] if isinstance(results, FrameResult) else results)
        for face in result.faces
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = (
    *("t_s", "frame", "track_id", "x", "y", "w", "h", "label", "confidence", "uncertain", "unread"),
    *EMOTIONS,
    *("yaw_deg", "pitch_deg", "roll_deg"),
)
"""The columns of :func:`to_dataframe`."""


def _pixels(picture: Picture, order: ColourOrder) -> NDArray[np.uint8]:
    """Return a picture as (H, W, 3) uint8 BGR."""
    if not isinstance(picture, (str, Path)):
        return as_bgr(picture, order)
    if not Path(picture).is_file():
        raise DataError(f"there is no picture {picture}")
    pixels = read_picture(Path(picture))
    if pixels is None:
        raise DataError(f"{picture} cannot be decoded as a picture")
    return pixels


def _check_times(every_s: float, start_s: float, end_s: float | None) -> None:
    for name, value in (("every_s", every_s), ("start_s", start_s)):
        if not 0 <= value < math.inf:
            raise UsageError(f"{name} is {value:g}; it must be 0 seconds or more")
    if end_s is not None and not end_s > start_s:
        raise UsageError(f"end_s is {end_s:g}; it must be later than start_s, {start_s:g} seconds")


def _counted(source: VideoSource, progress: Callable[[int, int], object] | None) -> Iterator[Frame]:
    """Yield the frames of a video and report progress."""
    for count, frame in enumerate(source.frames(), 1):
        if progress is not None:
            progress(count, max(count, source.total or 0))
        yield frame


def _sampled(frames: Iterable[Frame], every_s: float, start_s: float, end_s: float) -> Iterator[Frame]:
    """Yield the frames at the requested times; each represents the time until the next one yielded."""
    held: Frame | None = None
    origin_s = due_s = start_s
    for frame in frames:
        if frame.t_s >= end_s:
            break
        if frame.t_s < due_s - _SAME_TIME_S:
            if held is not None:
                held = replace(held, interval_s=held.interval_s + frame.interval_s)
            continue
        if held is not None:
            yield held
        else:
            origin_s = frame.t_s
        held = frame
        if every_s:
            due_s = origin_s + every_s * (math.floor((frame.t_s - origin_s + _SAME_TIME_S) / every_s) + 1)
    if held is not None:
        yield held
