"""The recording with what was read drawn into it; made only because somebody asks.

Where expressions are not permitted, places are not kept either: faces are then looked for
anew, and a box is all that is drawn.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError
from mien.files import atomic_path
from mien.live.dashboard_picture import draw_faces
from mien.live.recorded import VideoSource
from mien.live.screenshot import without_faces
from mien.privacy.permit import NOT_PERMITTED
from mien.records import Box, Detection, FaceReading, Frame
from mien.store.names import ANNOTATED_NAME, OBSERVATIONS_NAME
from mien.vision.detector import open_detector
from mien.vision.finder import FaceFinder

_LETTERS: Final = 450.0
"""In a picture with a shorter side of so many pixels letters have the size they have in the live view."""
_NOTHING: Final = np.full(len(EMOTIONS), np.nan, np.float32)


@dataclass(frozen=True, slots=True)
class AnnotationTask:
    """One video to be drawn.

    Attributes:
        path: the recording.
        folder: its finished session, and where the video goes.
        full: whether expressions were read.
        blurred: reduce faces to a few large squares.
        fps: frames a second of the video.
    """

    path: str
    folder: str
    full: bool
    blurred: bool
    fps: float


def annotate(task: AnnotationTask) -> int:
    """Write the annotated video and return how many frames it has.

    Raises:
        DataError: the recording or its observations cannot be read.
        DeviceError: the disk refuses, or OpenCV has no encoder.
    """
    source = VideoSource(Path(task.path))
    folder = Path(task.folder)
    faces_of = _read_before(folder / OBSERVATIONS_NAME) if task.full else _found_anew()
    writer: cv2.VideoWriter | None = None
    size, count = (0, 0), 0
    with atomic_path(folder / ANNOTATED_NAME) as temporary:
        try:
            for frame in source.frames():
                picture = _drawn(frame, faces_of(frame), task)
                if writer is None:
                    size = (picture.shape[1], picture.shape[0])
                    writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), task.fps, size)
                    if not writer.isOpened():
                        raise DeviceError(f"cannot write {folder / ANNOTATED_NAME}: OpenCV has no MPEG-4 encoder here")
                if (picture.shape[1], picture.shape[0]) != size:  # a video has one size, whatever its source does
                    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
                writer.write(picture)
                count += 1
        finally:
            source.close()
            if writer is not None:
                writer.release()
    return count


def _found_anew() -> Callable[[Frame], tuple[FaceReading, ...]]:
    """Return what finds the faces of frames given in order, and says of each no more than where it is."""
    finder = FaceFinder(open_detector())

    def faces(frame: Frame) -> tuple[FaceReading, ...]:
        places = (Detection(found.box, found.score, None) for found in finder.update(frame.t_s, frame.image))
        return tuple(FaceReading("", place, _NOTHING, _NOTHING, "", unread=NOT_PERMITTED) for place in places)

    return faces


def _read_before(path: Path) -> Callable[[Frame], tuple[FaceReading, ...]]:
    """Return what looks up the faces of frames given in order in a finished session."""
    rows = _frames(path)
    held = [next(rows, None)]

    def faces(frame: Frame) -> tuple[FaceReading, ...]:
        while held[0] is not None and held[0][0] < frame.index:
            held[0] = next(rows, None)
        return held[0][1] if held[0] is not None and held[0][0] == frame.index else ()

    return faces


def _drawn(frame: Frame, faces: tuple[FaceReading, ...], task: AnnotationTask) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 BGR: the frame with its faces."""
    image = without_faces(frame.image, faces) if task.blurred else frame.image
    picture = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    scale = max(0.85, min(image.shape[:2]) / _LETTERS)
    shown = draw_faces(picture, faces, scale=scale, chips=task.full)
    return cv2.cvtColor(shown.image, cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)


def _frames(path: Path) -> Iterator[tuple[int, tuple[FaceReading, ...]]]:
    """Yield the frames with faces of a finished session, by number.

    Raises:
        DataError: the file cannot be read, or is none of Mien's.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            for number, group in groupby(csv.DictReader(handle), key=lambda row: row["frame"]):
                yield int(number), tuple(_face(row) for row in group)
    except (OSError, csv.Error, KeyError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Start over with --again") from error


def _face(row: Mapping[str, str]) -> FaceReading:
    box = Box(*(float(row[name]) for name in ("x", "y", "w", "h")))
    label = row["label"]
    smoothed = np.array([row[f"{name}_smoothed"] for name in EMOTIONS], np.float32) if label else _NOTHING
    below = math.inf if row["uncertain"] == "1" else 0.0
    return FaceReading(row["track_id"], Detection(box, 1.0, None), smoothed, smoothed, label, below, unread=row["unread"])
