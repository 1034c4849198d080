"""``observations.csv`` read back as the frame results it was written from, also after a kill.

The file has a row a face a frame. It does not say how long a frame lasted, nor does it have
frames without a face; both are taken from the gaps between rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median_low
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.records import Box, Detection, FaceReading, FrameResult, HeadPose

_LONG_GAP: Final = 3.0
"""A gap of more than this many usual ones means that nobody was there."""
_Row = Mapping[str, str]


def read_observations(path: Path) -> Iterator[FrameResult]:
    """Yield the frames of a file; where rows are missing for long, one frame without faces stands for the gap.

    Frames come without their size, and faces without detector score and landmarks.

    Args:
        path: the file, whole or partial: a last line that was cut off is passed over.

    Raises:
        DataError: the file cannot be read, or is none of Mien's.
    """
    usual_s = _usual_gap_s(path)
    last_s: float | None = None
    try:
        for (t_text, index), rows in groupby(_rows(path), key=lambda row: (row["t_s"], row["frame"])):
            t_s = float(t_text)
            gap_s = t_s - last_s if last_s is not None else usual_s
            if gap_s > _LONG_GAP * usual_s:
                assert last_s is not None
                yield FrameResult(int(index) - 1, last_s + usual_s, (0, 0), (), gap_s - usual_s)
                gap_s = usual_s
            yield FrameResult(int(index), t_s, (0, 0), tuple(_face(row) for row in rows), gap_s)
            last_s = t_s
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is no file of observations ({type(error).__name__}: {error})") from error


def _usual_gap_s(path: Path) -> float:
    """Return the median time between two frames with a face, in seconds; 0 for fewer than two."""
    try:
        times = sorted({float(row["t_s"]) for row in _rows(path)})
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is no file of observations ({type(error).__name__}: {error})") from error
    return median_low(b - a for a, b in pairwise(times)) if len(times) > 1 else 0.0


def _rows(path: Path) -> Iterator[_Row]:
    """Yield the rows of a file by column."""
    try:
        with path.open("rb") as handle:
            whole = (line.decode() for line in handle if line.endswith(b"\n"))
            yield from csv.DictReader(whole)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _face(row: _Row) -> FaceReading:
    """Return a row's face."""
    box = Box(float(row["x"]), float(row["y"]), float(row["w"]), float(row["h"]))
    unread = row["unread"]
    pose = None
    if row.get("yaw_deg"):
        pose = HeadPose(float(row["yaw_deg"]), float(row["pitch_deg"]), float(row["roll_deg"]))
    if not unread and row["label"] not in EMOTIONS:
        raise ValueError(f"{row['label']!r} is no expression")
    return FaceReading(
        row["track_id"],
        Detection(box, float("nan"), None),
        _probabilities(row, "raw"),
        _probabilities(row, "smoothed"),
        row["label"],
        # the model's threshold is not in the file, but on which side of it the reading lay
        2.0 if row["uncertain"] == "1" else 0.0,
        pose,
        unread,
    )


def _probabilities(row: _Row, kind: str) -> NDArray[np.float32]:
    """Return (7,) float32, NaN where the face was not read."""
    return np.array([float(row[f"{name}_{kind}"] or "nan") for name in EMOTIONS], np.float32)
