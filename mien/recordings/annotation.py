"""The annotated copy of a recording, written only with ``--annotate``.

If expressions may not be read, face positions are not stored either. Faces are then detected
again, and only their boxes are drawn.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import DataError, write_error
from mien.files import atomic_path
from mien.privacy.policy import NOT_PERMITTED
from mien.recordings.video_writer import VideoWriter
from mien.records import Box, Detection, FaceReading, Frame
from mien.sessions.layout import ANNOTATED_NAME, OBSERVATIONS_NAME
from mien.sources.recorded import VideoSource
from mien.views.dashboard_picture import annotated
from mien.views.screenshot import without_faces
from mien.vision.detector_choice import open_detector
from mien.vision.finder import FaceFinder

_LARGEST: Final = 1e6
_UNKNOWN: Final = np.full(len(EMOTIONS), np.nan, np.float32)


@dataclass(frozen=True, slots=True)
class AnnotationTask:
    """The task of writing one annotated video.

    Attributes:
        path: the recording.
        folder: folder of its finished session; the video is written there.
        full: whether expressions were read.
        blurred: whether to pixelate faces.
    """

    path: str
    folder: str
    full: bool
    blurred: bool


def annotate(task: AnnotationTask) -> int:
    """Write the annotated video and return its number of frames.

    Presentation times are those of the recording. Its audio is copied, or encoded as AAC.

    Raises:
        DataError: the recording or its observations cannot be read.
        DeviceError: the video cannot be written.
    """
    source = VideoSource(Path(task.path))
    folder = Path(task.folder)
    faces_of = _stored_faces(folder / OBSERVATIONS_NAME) if task.full else _detected_faces()
    count = 0
    target = folder / ANNOTATED_NAME
    with atomic_path(target, private=True) as temporary:
        writer = VideoWriter(temporary, Path(task.path))
        try:
            for frame in source.frames():
                writer.write(_drawn(frame, faces_of(frame), task), frame.t_s)
                count += 1
            writer.finish()
        except (av.error.FFmpegError, OSError) as error:
            message = f"cannot write {target} ({error}). Free some space or choose another folder"
            raise write_error(message, OSError(error.errno, str(error))) from error
        finally:
            source.close()
            writer.close()
    return count


def _detected_faces() -> Callable[[Frame], tuple[FaceReading, ...]]:
    """Return a function that detects the faces of consecutive frames, without reading expressions."""
    finder = FaceFinder(open_detector())

    def faces(frame: Frame) -> tuple[FaceReading, ...]:
        places = (Detection(found.box, found.score, None) for found in finder.update(frame.t_s, frame.image))
        return tuple(
            FaceReading(track_id="", detection=place, raw=_UNKNOWN, smoothed=_UNKNOWN, label="", unread=NOT_PERMITTED)
            for place in places
        )

    return faces


def _stored_faces(path: Path) -> Callable[[Frame], tuple[FaceReading, ...]]:
    """Return a function that looks up the faces of consecutive frames in a finished session."""
    rows = _frames(path)
    held = [next(rows, None)]

    def faces(frame: Frame) -> tuple[FaceReading, ...]:
        while held[0] is not None and held[0][0] < frame.index:
            held[0] = next(rows, None)
        return held[0][1] if held[0] is not None and held[0][0] == frame.index else ()

    return faces


def _drawn(frame: Frame, faces: tuple[FaceReading, ...], task: AnnotationTask) -> NDArray[np.uint8]:
    """Return the frame with its faces drawn, (H, W, 3) uint8 BGR."""
    image = without_faces(frame.image, faces) if task.blurred else frame.image
    return cv2.cvtColor(annotated(image, faces, chips=task.full), cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)


def _frames(path: Path) -> Iterator[tuple[int, tuple[FaceReading, ...]]]:
    """Yield frame numbers and faces of a finished session, for frames with at least one face.

    Raises:
        DataError: the file cannot be read, or is not an observations file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            for number, group in groupby(csv.DictReader(handle), key=lambda row: row["frame"]):
                yield int(number), tuple(_face(row) for row in group)
    except (OSError, csv.Error, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}). Start over with --overwrite") from error


def _number(text: str) -> float:
    value = float(text)
    if not abs(value) <= _LARGEST:
        raise ValueError(f"{text} is too large or not a number")
    return value


def _face(row: Mapping[str, str]) -> FaceReading:
    box = Box(*(_number(row[name]) for name in ("x", "y", "w", "h")))
    label = row["label"]
    smoothed = np.array([row[f"{name}_smoothed"] for name in EMOTIONS], np.float32) if label else _UNKNOWN
    below = math.inf if row["uncertain"] == "1" else 0.0
    return FaceReading(
        track_id=row["track_id"],
        detection=Detection(box, 1.0, None),
        raw=smoothed,
        smoothed=smoothed,
        label=label,
        uncertain_below=below,
        unread=row["unread"],
    )
