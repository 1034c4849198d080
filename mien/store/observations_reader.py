"""``observations.csv`` read back as what was seen in each frame, also after a kill.

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

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.store.seen import SeenFace, SeenFrame

_LONG_GAP: Final = 3.0
"""A gap of more than this many usual ones means that nobody was there."""
_NOT_TOLD: Final = "not told"
"""Why a face was not read, where the file has neither an expression nor a reason."""
_Row = Mapping[str, str]


def read_observations(path: Path) -> Iterator[SeenFrame]:
    """Yield the frames of a file; where rows are missing for long, one frame without faces stands for the gap.

    Args:
        path: the file, whole or partial: a last line that was cut off is passed over.

    Raises:
        DataError: the file cannot be read, or is none of Mien's.
    """
    try:
        times = sorted({float(row["t_s"]) for row in _rows(path)})
        usual_s = median_low(b - a for a, b in pairwise(times)) if len(times) > 1 else 0.0
        last_s: float | None = None
        for (t_text, _), rows in groupby(_rows(path), key=lambda row: (row["t_s"], row["frame"])):
            t_s = float(t_text)
            gap_s = t_s - last_s if last_s is not None else usual_s
            if last_s is not None and gap_s > _LONG_GAP * usual_s:
                yield SeenFrame(last_s + usual_s, gap_s - usual_s, ())
                gap_s = usual_s
            yield SeenFrame(t_s, gap_s, tuple(_face(row) for row in rows))
            last_s = t_s
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is no file of observations ({type(error).__name__}: {error})") from error


def _rows(path: Path) -> Iterator[_Row]:
    """Yield the rows of a file by column."""
    try:
        with path.open("rb") as handle:
            whole = (line.decode() for line in handle if line.endswith(b"\n"))
            yield from csv.DictReader(whole)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _face(row: _Row) -> SeenFace:
    """Return a row's face."""
    label, facing = row["label"], row.get("facing", "")
    if label and label not in EMOTIONS:
        raise ValueError(f"{label!r} is no expression")
    unread = row["unread"] or ("" if label else _NOT_TOLD)
    return SeenFace(row["track_id"], label, row["uncertain"] == "1", unread, facing == "1" if facing else None)
