"""What the model said of each face in stored sessions, read back from their folders for whoever watches for drift.

Only whole lines count, so a session that was killed or still runs can be read as far as it is.
Nothing is read but times, names of tracks and probabilities.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.store.observations import FILE_NAME

_FILES: Final = (FILE_NAME, FILE_NAME.replace(".csv", ".partial.csv"))
_NEEDED: Final = ("t_s", "track_id", "unread", *(f"{name}_raw" for name in EMOTIONS))


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session's folder.

    Attributes:
        name: the folder's.
        started_at: when it began, with a time zone.
        model: name of the model that read it, "" where nobody knows.
        readings: its file of observations.
    """

    name: str
    started_at: datetime
    model: str
    readings: Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said of one face at one moment.

    Attributes:
        t_s: seconds on the session's clock.
        track_id: the face's name in that session.
        probabilities: (7,) float32, not smoothed.
    """

    t_s: float
    track_id: str
    probabilities: NDArray[np.float32]


def sessions_in(root: Path) -> list[StoredSession]:
    """Return the sessions that have a folder in ``root``, the oldest first.

    Raises:
        DataError: no such folder, or it cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}. Name the folder of your sessions with --sessions")
    try:
        folders = [path for path in root.iterdir() if path.is_dir()]
        found = [_session(folder, path) for folder in folders if (path := _readings(folder)) is not None]
    except OSError as error:
        raise DataError(f"cannot read {root}: {error.strerror}") from error
    return sorted(found, key=lambda session: (session.started_at, session.name))


def answers_of(session: StoredSession) -> Iterator[Answer]:
    """Yield the answers of a session in the order of its file; faces that were not read are passed over.

    Raises:
        DataError: the file cannot be read, or is none of Mien's.
    """
    path = session.readings
    try:
        with path.open("rb") as handle:
            rows = csv.reader(line.decode() for line in handle if line.endswith(b"\n"))
            header = next(rows, [])
            missing = [name for name in _NEEDED if name not in header]
            if missing:
                raise DataError(f"{path} is no file of observations: the column {missing[0]} is missing")
            t_at, track_at, unread_at, *raw_at = (header.index(name) for name in _NEEDED)
            for row in rows:
                if not row[unread_at] and row[raw_at[0]]:
                    yield Answer(float(row[t_at]), row[track_at], np.array([row[k] for k in raw_at], np.float32))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise DataError(f"{path} is no file of observations ({type(error).__name__}: {error})") from error


def _readings(folder: Path) -> Path | None:
    return next((folder / name for name in _FILES if (folder / name).is_file()), None)


def _session(folder: Path, readings: Path) -> StoredSession:
    """Return a session by its folder's name and summary; one that does not say when it began, by its file's time."""
    try:
        started = datetime.strptime(folder.name[:19], "%Y-%m-%d_%H-%M-%S").astimezone()
    except ValueError:
        started = datetime.fromtimestamp(readings.stat().st_mtime).astimezone()
    try:
        model = json.loads((folder / "summary.json").read_text(encoding="utf-8")).get("model", "")
    except (OSError, ValueError, AttributeError):
        model = ""
    return StoredSession(folder.name, started, model if isinstance(model, str) else "", readings)
