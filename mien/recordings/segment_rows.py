"""What a finished segment is kept as until its recording is put together: rows, and nothing of a face's picture.

Numbers are written so that reading them back gives the same bits. A frame without faces has a
row too. Where expressions are not permitted, a row holds no more than what is released there:
how large a face is and how far it is turned, in three steps. Only the two frames at which
segments meet say where faces are, without which nobody could tell who is who.
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
"""The columns where expressions may not be read."""
_LARGEST: Final = 1e9
_MOST_SHARE: Final = 1.001  # rounded
_NOTHING: Final = np.full(len(EMOTIONS), np.nan, np.float32)
_STEPS_DEG: Final = (0.0, FACING_YAW_DEG * (1 + RETURN_FACTOR) / 2, 90.0)
"""Facing the screen clearly, only just, and turned away: all that sums and rules ask of a pose."""


def segment_text(results: Iterable[FrameResult], full: bool, seams: Sequence[int]) -> str:
    """Return the results of a segment as the text of a CSV.

    Args:
        results: frame by frame.
        full: whether expressions, places and poses may be kept.
        seams: numbers of the frames at which it meets its neighbours.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = COLUMNS if full else OBSERVABLE_COLUMNS
    writer.writerow(columns)
    for result in results:
        frame = (result.index, repr(result.t_s), repr(result.interval_s), *result.size)
        placed = full or result.index in seams
        rows = [_row(face, placed, full) for face in result.faces]
        writer.writerows([*frame, *row] for row in rows or [[""] * (len(columns) - len(frame))])
    return text.getvalue()


def read_segment_text(text: str, name: str) -> Iterator[FrameResult]:
    """Yield the results that a text holds, frame by frame.

    Args:
        text: from ``segment_text``.
        name: how errors call it.

    Raises:
        DataError: it is something else.
    """
    try:
        reader = csv.reader(io.StringIO(text))
        if tuple(next(reader)) not in (COLUMNS, OBSERVABLE_COLUMNS):
            raise ValueError("other columns")
        for (index, t_s, interval_s, width, height), rows in groupby(reader, key=lambda row: tuple(row[: len(_FRAME)])):
            faces = tuple(_face(row[len(_FRAME) :]) for row in rows if row[len(_FRAME)])
            when_s, lasted_s = _number(t_s), _number(interval_s)
            yield FrameResult(int(index), when_s, (int(width), int(height)), faces, lasted_s)
    except (ValueError, IndexError, StopIteration, csv.Error) as error:
        raise DataError(f"{name} is not a complete segment ({error}). Start over with --overwrite") from error


def _row(face: FaceReading, placed: bool, full: bool) -> list[object]:
    box, pose = face.detection.box, face.pose
    side = round(min(box.w, box.h))
    place = [repr(float(v)) for v in (box.x, box.y, box.w, box.h)] if placed else [0, 0, side, side]
    read = full and not face.unread
    nothing = [""] * len(EMOTIONS) if full else []
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
        *([f"{p:.9g}" for p in face.raw] if read else nothing),
        *([f"{p:.9g}" for p in face.smoothed] if read else nothing),
        *([""] * len(_POSE) if pose is None else [repr(float(v)) for v in (pose.yaw_deg, pose.pitch_deg, pose.roll_deg)]),
    ]


def _number(text: str) -> float:
    value = float(text)
    if not abs(value) <= _LARGEST:
        raise ValueError(f"{text} is too large, or no number")
    return value


def _shares(texts: Sequence[str]) -> NDArray[np.float32]:
    values = np.array(texts, np.float32)
    if values.shape != (len(EMOTIONS),) or not ((values >= 0) & (values <= _MOST_SHARE)).all():
        raise ValueError("probabilities that are none")
    return values


def _face(row: Sequence[str]) -> FaceReading:
    name, score, x, y, w, h, unread, label, below = row[: len(_FACE)]
    values = row[len(_FACE) :]
    pose, values = values[-len(_POSE) :], values[: -len(_POSE)]
    raw, smoothed = values[: len(EMOTIONS)], values[len(EMOTIONS) :]
    if label and label not in EMOTIONS:
        raise ValueError(f"{label!r} is no expression")
    return FaceReading(
        track_id=name,
        detection=Detection(Box(_number(x), _number(y), _number(w), _number(h)), _number(score), None),
        raw=_shares(raw) if label else _NOTHING,
        smoothed=_shares(smoothed) if label else _NOTHING,
        label=label,
        uncertain_below=float(below),
        pose=HeadPose(*(_number(v) for v in pose)) if pose[0] else None,
        unread=unread or ("" if label else NOT_PERMITTED),
    )
