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

from mien.analytics.attention import BACK
from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.privacy.permit import NOT_PERMITTED
from mien.records import FACING_YAW_DEG, Box, Detection, FaceReading, FrameResult, HeadPose

_FRAME: Final = ("frame", "t_s", "interval_s", "width", "height")
_FACE: Final = ("track_id", "score", "x", "y", "w", "h", "unread", "label", "uncertain_below")
_POSE: Final = ("yaw_deg", "pitch_deg", "roll_deg")
COLUMNS: Final = (*_FRAME, *_FACE, *(f"{n}_raw" for n in EMOTIONS), *(f"{n}_smoothed" for n in EMOTIONS), *_POSE)
_NOTHING: Final = np.full(len(EMOTIONS), np.nan, np.float32)
_STEPS_DEG: Final = (0.0, FACING_YAW_DEG * (1 + BACK) / 2, 90.0)
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
    writer.writerow(COLUMNS)
    for result in results:
        frame = (result.index, repr(result.t_s), repr(result.interval_s), *result.size)
        placed = full or result.index in seams
        rows = [_row(face, placed, full) for face in result.faces]
        writer.writerows([*frame, *row] for row in rows or [[""] * (len(COLUMNS) - len(frame))])
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
        if tuple(next(reader)) != COLUMNS:
            raise ValueError("other columns")
        for (index, t_s, interval_s, width, height), rows in groupby(reader, key=lambda row: tuple(row[: len(_FRAME)])):
            faces = tuple(_face(row[len(_FRAME) :]) for row in rows if row[len(_FRAME)])
            yield FrameResult(int(index), float(t_s), (int(width), int(height)), faces, float(interval_s))
    except (ValueError, StopIteration, csv.Error) as error:
        raise DataError(f"{name} is no finished segment ({error}). Start over with --again") from error


def _row(face: FaceReading, placed: bool, full: bool) -> list[object]:
    box, pose = face.detection.box, face.pose
    side = round(min(box.w, box.h))
    place = [repr(float(v)) for v in (box.x, box.y, box.w, box.h)] if placed else [0, 0, side, side]
    read = full and not face.unread
    nothing = [""] * len(EMOTIONS)
    if pose is not None and not full:
        steps = int(not pose.faces_screen(BACK)) + int(not pose.faces_screen())
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


def _face(row: Sequence[str]) -> FaceReading:
    name, score, x, y, w, h, unread, label, below = row[: len(_FACE)]
    values = row[len(_FACE) :]
    raw, smoothed, pose = values[: len(EMOTIONS)], values[len(EMOTIONS) : 2 * len(EMOTIONS)], values[2 * len(EMOTIONS) :]
    if label and label not in EMOTIONS:
        raise ValueError(f"{label!r} is no expression")
    return FaceReading(
        name,
        Detection(Box(float(x), float(y), float(w), float(h)), float(score), None),
        np.array(raw, np.float32) if label else _NOTHING,
        np.array(smoothed, np.float32) if label else _NOTHING,
        label,
        float(below),
        HeadPose(*(float(v) for v in pose)) if pose[0] else None,
        unread or ("" if label else NOT_PERMITTED),
    )
