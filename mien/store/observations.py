"""Every reading of a session as a CSV that a spreadsheet opens.

Rows go to ``observations.partial.csv`` while the session runs, and are on disk at most a
second later; at the end the file takes its final name. A kill leaves the partial file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from mien.emotions import EMOTIONS
from mien.errors import DeviceError
from mien.privacy.release import ReleasedFace, ReleasedResult

COLUMNS: Final[tuple[str, ...]] = (
    *("t_s", "frame", "track_id", "x", "y", "w", "h", "label", "confidence", "uncertain", "unread"),
    *(f"{name}_raw" for name in EMOTIONS),
    *(f"{name}_smoothed" for name in EMOTIONS),
    *("facing", "yaw_deg", "pitch_deg", "roll_deg"),
)
"""One row a face a frame: seconds, pixels, probabilities 0 to 1, facing the screen or not, degrees; empty where
it was not read or not released."""

FILE_NAME: Final = "observations.csv"
PARTIAL_NAME: Final = "observations.partial.csv"
_FLUSH_EVERY_S: Final = 1.0


class ObservationsFile:
    """The observations of one session.

    Args:
        folder: the session's folder; made if missing.

    Raises:
        DeviceError: here or later, when the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle: io.TextIOWrapper = (folder / PARTIAL_NAME).open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise DeviceError(f"cannot write to {folder}: {error.strerror}. Choose another folder with --out") from error
        self._writer = csv.writer(self._handle, lineterminator="\n")
        self._write([COLUMNS])
        self._flushed_s = 0.0

    def update(self, result: ReleasedResult) -> None:
        """Add the faces of a frame."""
        self._write([_row(face, result) for face in result.faces])
        if abs(result.t_s - self._flushed_s) >= _FLUSH_EVERY_S:
            self.flush()
            self._flushed_s = result.t_s

    def flush(self) -> None:
        """Hand all rows to the operating system."""
        self._guard(self._handle.flush)

    def close(self) -> Path:
        """Give the file its final name, and return that path."""
        target = self._folder / FILE_NAME

        def finish() -> None:
            self._handle.close()
            (self._folder / PARTIAL_NAME).replace(target)

        self._guard(finish)
        return target

    def _write(self, rows: Sequence[Sequence[object]]) -> None:
        self._guard(lambda: self._writer.writerows(rows))

    def _guard(self, action: Callable[[], object]) -> None:
        """Run ``action``; what the disk refuses becomes a sentence."""
        try:
            action()
        except OSError as error:
            raise DeviceError(
                f"cannot write to {self._folder}: {error.strerror}. Rows written before stand in {PARTIAL_NAME}"
            ) from error


def _row(face: ReleasedFace, result: ReleasedResult) -> list[object]:
    """Return a face as a row; what is not known or not released stays empty."""
    box, pose, shown = face.box, face.pose, face.expression
    nothing = [""] * len(EMOTIONS)
    return [
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
