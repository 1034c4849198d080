"""CSV rows of a finished segment, stored until the recording is assembled. They contain no image data.

Numbers are written so that they are restored exactly. A frame without faces has a row too. If
expressions may not be read, a row only holds what may be released: the size of a face and its head
direction in three steps. Face positions are then stored only for the frames shared by neighbouring
segments, which are needed to match tracks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.privacy.policy import NOT_PERMITTED
from mien.records import FACING_YAW_DEG, Box, Detection, FaceReading, FrameResult, HeadPose
from mien.vision.pose import RETURN_FACTOR

_FRAME: Final = ("frame", "t_s", "interval_s", "width", "height")
_FACE: Final = ("track_id", "score", "x", "y", "w", "h", "unread", "label", "uncertain_below")
_POSE: Final = ("yaw_deg", "pitch_deg", "roll_deg")
_EXPRESSIONS: Final = (*(f"{n}_raw" for n in EMOTIONS), *(f"{n}_smoothed" for n in EMOTIONS))
COLUMNS: Final = (*_FRAME, *_FACE, *_EXPRESSIONS, *_POSE)
OBSERVABLE_COLUMNS: Final = (*_FRAME, *_FACE, *_POSE)
"""The columns if expressions may not be read."""
_LARGEST: Final = 1e9
_MAX_PROBABILITY: Final = 1.001  # values are rounded
_UNKNOWN: Final = np.full(len(EMOTIONS), np.nan, np.float32)
_STEPS_DEG: Final = (0.0, FACING_YAW_DEG * (1 + RETURN_FACTOR) / 2, 90.0)
"""Yaw angles stored for clearly facing, just facing and not facing the screen."""


def segment_text(results: Iterable[FrameResult], full: bool, seams: Sequence[int]) -> str:
    """Return the results of a segment as CSV text.

    Args:
        results: the results, one per frame.
        full: whether expressions, positions and poses may be stored.
        seams: numbers of the frames shared with the neighbouring segments.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = COLUMNS if full else OBSERVABLE_COLUMNS
    writer.writerow(columns)
    for result in results:
        frame = (result.index, repr(result.t_s), repr(result.interval_s), *result.size)
        has_box = full or result.index in seams
        rows = [_row(face, has_box, full) for face in result.faces]
        writer.writerows([*frame, *row] for row in rows or [[""] * (len(columns) - len(frame))])
    return text.getvalue()


def read_segment_text(text: str, name: str) -> Iterator[FrameResult]:
    """Yield the results in a segment's CSV text, one per frame.

    Args:
        text: output of ``segment_text``.
        name: name of the segment in error messages.

    Raises:
        DataError: the text is not a complete segment.
    """
    try:
        reader = csv.reader(io.StringIO(text))
        if tuple(next(reader)) not in (COLUMNS, OBSERVABLE_COLUMNS):
            raise ValueError("unexpected columns")
        for (index, t_s, interval_s, width, height), rows in groupby(reader, key=lambda row: tuple(row[: len(_FRAME)])):
            faces = tuple(_face(row[len(_FRAME) :]) for row in rows if row[len(_FRAME)])
            frame_t_s, frame_interval_s = _number(t_s), _number(interval_s)
            yield FrameResult(int(index), frame_t_s, (int(width), int(height)), faces, frame_interval_s)
    except (ValueError, IndexError, StopIteration, csv.Error) as error:
        raise DataError(f"{name} is not a complete segment ({error}). Start over with --overwrite") from error


def _row(face: FaceReading, has_box: bool, full: bool) -> list[object]:
    box, pose = face.detection.box, face.pose
    side = round(min(box.w, box.h))
    place = [repr(float(v)) for v in (box.x, box.y, box.w, box.h)] if has_box else [0, 0, side, side]
    read = full and not face.unread
    empty = [""] * len(EMOTIONS) if full else []
    if pose is not None and not full:
        steps = int(not pose.faces_screen(RETURN_FACTOR)) + int(not pose.faces_screen())
        pose = HeadPose(_STEPS_DEG[steps], 0.0, 0.0)
    return [
        face.track_id,
        repr(float(face.detection.score)),
        *place,
        face.unread,
        face.label if read else "",
        repr(float(face.uncertain_below)),
        *([f"{p:.9g}" for p in face.raw] if read else empty),
        *([f"{p:.9g}" for p in face.smoothed] if read else empty),
        *([""] * len(_POSE) if pose is None else [repr(float(v)) for v in (pose.yaw_deg, pose.pitch_deg, pose.roll_deg)]),
    ]


def _number(text: str) -> float:
    value = float(text)
    if not abs(value) <= _LARGEST:
        raise ValueError(f"{text} is too large or not a number")
    return value


def _probabilities(texts: Sequence[str]) -> NDArray[np.float32]:
    values = np.array(texts, np.float32)
    if values.shape != (len(EMOTIONS),) or not ((values >= 0) & (values <= _MAX_PROBABILITY)).all():
        raise ValueError("invalid probabilities")
    return values


def _face(row: Sequence[str]) -> FaceReading:
    name, score, x, y, w, h, unread, label, below = row[: len(_FACE)]
    values = row[len(_FACE) :]
    pose, values = values[-len(_POSE) :], values[: -len(_POSE)]
    raw, smoothed = values[: len(EMOTIONS)], values[len(EMOTIONS) :]
    if label and label not in EMOTIONS:
        raise ValueError(f"{label!r} is not an expression")
    return FaceReading(
        track_id=name,
        detection=Detection(Box(_number(x), _number(y), _number(w), _number(h)), _number(score), None),
        raw=_probabilities(raw) if label else _UNKNOWN,
        smoothed=_probabilities(smoothed) if label else _UNKNOWN,
        label=label,
        uncertain_below=float(below),
        pose=HeadPose(*(_number(v) for v in pose)) if pose[0] else None,
        unread=unread or ("" if label else NOT_PERMITTED),
    )
