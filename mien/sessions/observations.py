"""``observations.csv``: one row for each face in each frame, written while a session runs and read back later.

Rows are written to ``observations.partial.csv`` and passed to the operating system at once; at the end
the file is renamed. After a kill the partial file remains. Readers skip an incomplete last line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median_low
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import DataError, write_error
from mien.locks import is_in_use
from mien.privacy.release import ReleasedFace, ReleasedResult
from mien.sessions.append_file import AppendFile
from mien.sessions.layout import OBSERVATIONS_NAME, PARTIAL_NAME, set_aside
from mien.sessions.records import SeenFace, SeenFrame

COLUMNS: Final[tuple[str, ...]] = (
    *("t_s", "frame", "track_id", "x", "y", "w", "h", "label", "confidence", "uncertain", "unread"),
    *(f"{name}_raw" for name in EMOTIONS),
    *(f"{name}_smoothed" for name in EMOTIONS),
    *("facing", "yaw_deg", "pitch_deg", "roll_deg"),
)
"""Seconds, pixels, probabilities from 0 to 1, facing the screen or not, degrees. Cells are empty for a face that was not
read; ``unread`` says why."""
OBSERVABLE_COLUMNS: Final = ("t_s", "frame", "track_id", "unread", "facing")
"""The columns if expressions may not be read."""

_ANSWER_COLUMNS: Final = ("t_s", "track_id", "unread", *(f"{name}_raw" for name in EMOTIONS))
_LONG_GAP: Final = 3.0
"""A gap longer than this many usual intervals means that there was no face."""
_LATEST_S: Final = 1e9
_LARGEST_PROBABILITY: Final = 1.001  # values in the file are rounded
_NO_REASON: Final = "not told"
"""Why a face was not read, if the file gives neither an expression nor a reason."""
_Row = Mapping[str, str]


class ObservationsFile:
    """The observations of a running session. Those of a killed session in the folder are set aside.

    Args:
        folder: the session's folder; created if missing.
        expressions: whether expressions may be read in the session.

    Attributes:
        file: the file that rows are appended to.

    Raises:
        DeviceError: here or later, if the file cannot be written.
    """

    def __init__(self, folder: Path, expressions: bool = True) -> None:
        self._folder = folder
        self._columns = columns(expressions)
        if (folder / PARTIAL_NAME).exists() and not is_in_use(folder / PARTIAL_NAME):
            set_aside(folder)
        self.file = AppendFile(folder / PARTIAL_NAME)
        self.file.append(_csv_text([self._columns]))

    def update(self, result: ReleasedResult) -> None:
        """Append the faces of a frame."""
        if result.faces:
            rows = [_row(face, result) for face in result.faces]
            self.file.append(_csv_text([[row[name] for name in self._columns] for row in rows]))

    def flush(self) -> None:
        """Sync all rows to disk."""
        self.file.sync()
        self.file.check()

    def close(self) -> Path:
        """Give the file its final name, and return the path."""
        target = self._folder / OBSERVATIONS_NAME
        self.file.close()
        try:
            (self._folder / PARTIAL_NAME).replace(target)
        except OSError as error:
            raise write_error(f"cannot write {target}: {error.strerror}. Its rows are in {PARTIAL_NAME}", error) from error
        return target

    def abandon(self) -> None:
        """Close the file and leave it partial."""
        self.file.close()


def columns(expressions: bool) -> tuple[str, ...]:
    """Return the columns of a session in which expressions may be read, or may not."""
    return COLUMNS if expressions else OBSERVABLE_COLUMNS


@dataclass(frozen=True, slots=True)
class FaceAnswer:
    """The model's answer for one face in one frame.

    Attributes:
        t_s: time in seconds on the source's clock.
        track_id: the face's random name.
        probabilities: (7,) float32, not smoothed.
    """

    t_s: float
    track_id: str
    probabilities: NDArray[np.float32]


def read_observations(path: Path) -> Iterator[SeenFrame]:
    """Yield the frames with faces.

    The file holds neither the length of frames nor frames without a face. The length is taken
    from the times of rows; frames without a face appear as gaps.

    Args:
        path: the file, complete or partial.

    Raises:
        DataError: the file cannot be read, or is not an observations file.
    """
    try:
        times = sorted({_seconds(row["t_s"]) for row in _rows(path)})
        usual_s = median_low(b - a for a, b in pairwise(times)) if len(times) > 1 else 0.0
        last_s: float | None = None
        for (t_text, _), rows in groupby(_rows(path), key=lambda row: (row["t_s"], row["frame"])):
            t_s = _seconds(t_text)
            gap_s = t_s - last_s if last_s is not None else usual_s
            if gap_s < 0:
                raise ValueError(f"times run back, to {t_text} s")
            if gap_s > _LONG_GAP * usual_s:
                gap_s = usual_s  # the tally finds the gap by the times
            yield SeenFrame(t_s, gap_s, tuple(_seen_face(row) for row in rows))
            last_s = t_s
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not an observations file ({type(error).__name__}: {error})") from error


def read_answers(path: Path) -> Iterator[FaceAnswer]:
    """Yield the model's answers in the order of the file. Faces that were not read are skipped.

    Nothing is yielded for a session in which expressions could not be read.

    Args:
        path: the file, complete or partial.

    Raises:
        DataError: the file cannot be read, or is not an observations file.
    """
    try:
        rows = csv.reader(_whole_lines(path))
        header = next(rows, [])
        if tuple(header) == OBSERVABLE_COLUMNS:
            return
        missing = [name for name in _ANSWER_COLUMNS if name not in header]
        if missing:
            raise DataError(f"{path} is not an observations file: the column {missing[0]} is missing")
        t_at, track_at, unread_at, *raw_at = (header.index(name) for name in _ANSWER_COLUMNS)
        for row in rows:
            if not row[unread_at] and row[raw_at[0]]:
                t_s, probabilities = float(row[t_at]), np.array([row[k] for k in raw_at], np.float32)
                possible = ((probabilities >= 0) & (probabilities <= _LARGEST_PROBABILITY)).all()
                if not (abs(t_s) <= _LATEST_S and possible):
                    raise ValueError(f"a time or a probability is out of range, at {row[t_at]} s")
                yield FaceAnswer(t_s, row[track_at], probabilities)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise DataError(f"{path} is not an observations file ({type(error).__name__}: {error})") from error


def _csv_text(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _row(face: ReleasedFace, result: ReleasedResult) -> dict[str, object]:
    """Return a face by column; values that are unknown or not released are empty."""
    box, pose, shown = face.box, face.pose, face.expression
    nothing = [""] * len(EMOTIONS)
    values = [
        f"{result.t_s:.4f}",
        result.index,
        face.track_id,
        *([""] * 4 if box is None else [f"{value:.1f}" for value in (box.x, box.y, box.w, box.h)]),
        *(["", "", ""] if shown is None else [shown.label, f"{shown.confidence:.4f}", int(shown.uncertain)]),
        face.unread,
        *(nothing if shown is None else [f"{p:.4f}" for p in shown.raw]),
        *(nothing if shown is None else [f"{p:.4f}" for p in shown.smoothed]),
        "" if face.facing is None else int(face.facing),
        *([""] * 3 if pose is None else [f"{angle:.1f}" for angle in (pose.yaw_deg, pose.pitch_deg, pose.roll_deg)]),
    ]
    return dict(zip(COLUMNS, values, strict=True))


def _whole_lines(path: Path) -> Iterator[str]:
    """Yield the complete lines of a file."""
    with path.open("rb") as handle:
        yield from (line.decode() for line in handle if line.endswith(b"\n"))


def _rows(path: Path) -> Iterator[_Row]:
    """Yield the rows of a file by column."""
    try:
        yield from csv.DictReader(_whole_lines(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _LATEST_S:
        raise ValueError(f"a time of {text} s")
    return seconds


def _seen_face(row: _Row) -> SeenFace:
    label, facing = row.get("label", ""), row.get("facing", "")  # without expressions there is no such column
    if label and label not in EMOTIONS:
        raise ValueError(f"{label!r} is not an expression")
    unread = row["unread"] or ("" if label else _NO_REASON)
    return SeenFace(row["track_id"], label, row.get("uncertain") == "1", unread, facing == "1" if facing else None)
