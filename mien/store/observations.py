"""Every reading of a session as a CSV that a spreadsheet opens.

Rows go to ``observations.partial.csv`` while the session runs, each handed to the operating
system as it comes; at the end the file takes its final name. A kill leaves the partial file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mien.emotions import EMOTIONS
from mien.errors import DeviceError
from mien.locks import is_in_use
from mien.privacy.release import ReleasedFace, ReleasedResult
from mien.store.append_file import AppendFile
from mien.store.names import OBSERVATIONS_NAME, PARTIAL_NAME, set_aside

COLUMNS: Final[tuple[str, ...]] = (
    *("t_s", "frame", "track_id", "x", "y", "w", "h", "label", "confidence", "uncertain", "unread"),
    *(f"{name}_raw" for name in EMOTIONS),
    *(f"{name}_smoothed" for name in EMOTIONS),
    *("facing", "yaw_deg", "pitch_deg", "roll_deg"),
)
"""One row a face a frame: seconds, pixels, probabilities 0 to 1, facing the screen or not, degrees; empty where it was not
read (and why) or not released."""

FILE_NAME: Final = OBSERVATIONS_NAME


class ObservationsFile:
    """The observations of one session.

    What a killed session left in the folder is set aside, not overwritten.

    Args:
        folder: the session's folder; made if missing.

    Attributes:
        file: what the rows are added to.

    Raises:
        DeviceError: here or later, when the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if (folder / PARTIAL_NAME).exists() and not is_in_use(folder / PARTIAL_NAME):
            set_aside(folder)
        self.file = AppendFile(folder / PARTIAL_NAME)
        self.file.append(_lines([COLUMNS]))

    def update(self, result: ReleasedResult) -> None:
        """Add the faces of a frame."""
        if result.faces:
            self.file.append(_lines([_row(face, result) for face in result.faces]))

    def flush(self) -> None:
        """Bring all rows to the disk."""
        self.file.sync()
        self.file.check()

    def close(self) -> Path:
        """Give the file its final name, and return that path."""
        target = self._folder / FILE_NAME
        self.file.close()
        try:
            (self._folder / PARTIAL_NAME).replace(target)
        except OSError as error:
            raise DeviceError(f"cannot write {target}: {error.strerror}. Its rows stand in {PARTIAL_NAME}") from error
        return target

    def abandon(self) -> None:
        """Let go of the file and leave it partial."""
        self.file.close()


def _lines(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as the text of a CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


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
