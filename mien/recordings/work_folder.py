"""The folder in which a recording is analysed, and in which interrupted analyses are resumed.

Finished segments survive any interruption. An analysis is only resumed with the same file and
options, which are stored in the folder and compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.arrays import read_arrays
from mien.documents import conform, load_json, read_limited, record_from
from mien.errors import DataError, DeviceError, StorageError, UsageError, write_error
from mien.files import atomic_path, folder_error, open_private, private_folder, write_json, write_text
from mien.locks import is_in_use, take
from mien.recordings.frame_times import FrameTimes
from mien.sessions.erasure import delete_half_written, delete_segments
from mien.sessions.layout import ALL_NAMES, ANALYSIS_NAME, MARK_NAME, PARTIAL_NAME, RUNNING_NAME, SEGMENTS_NAME, set_aside
from mien.sessions.records import SessionRecord

_BEGUN_NAME: Final = "begun.json"
_TIMES_NAME: Final = "times.npz"
_MAX_TIMES_BYTES: Final = 512 << 20
_MAX_SEGMENT_BYTES: Final = 256 << 20
_LATEST: Final = 1e12
COMPARED: Final = "made_with"


class WorkFolder:
    """The folder of the analysis of one recording.

    Args:
        folder: the folder; created by ``taken`` or ``begin``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._segments = folder / SEGMENTS_NAME

    @property
    def finished(self) -> dict[str, Any] | None:
        """The document of a finished analysis; None if there is none."""
        return _document(self.folder / ANALYSIS_NAME, _Finished)

    @property
    def begun(self) -> dict[str, Any] | None:
        """The document of an unfinished analysis; None if there is none."""
        return _document(self._segments / _BEGUN_NAME, _Begun)

    def check(self, made_with: Mapping[str, Any]) -> None:
        """Check that the file and options are those of the existing analysis, if there is one.

        Raises:
            UsageError: they differ; the message lists all differences.
        """
        existing = self.finished or self.begun
        if existing is None:
            return
        before = existing.get(COMPARED, {})
        names = dict.fromkeys([*before, *made_with])
        differences = [
            f"{name} was {_shortened(before.get(name))}, is {_shortened(made_with.get(name))}"
            for name in names
            if before.get(name) != made_with.get(name)
        ]
        if differences:
            raise UsageError(
                f"{self.folder} holds an analysis with other settings ({'; '.join(differences)}). Use the same file, model "
                "(--model) and options, choose another folder with --out, or start over with --overwrite"
            )

    def begin(self, document: Mapping[str, Any], again: bool) -> None:
        """Prepare the folder for a new analysis, or keep an unfinished one to resume it.

        Args:
            document: the values that a resumed run must match (``COMPARED``) and reuse.
            again: start over; a finished analysis is moved into ``earlier-N``.

        Raises:
            DeviceError: the folder cannot be written.
        """
        try:
            if again or self.begun is None:
                set_aside(self.folder)
                delete_segments(self.folder, keep=RUNNING_NAME)
            private_folder(self._segments)
        except OSError as error:
            raise folder_error(self.folder, error) from error
        if self.begun is None:
            write_json(self._segments / _BEGUN_NAME, document, private=True)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Lock the folder against other programs for the duration of the block.

        Raises:
            DeviceError: another program holds the lock, or the folder cannot be written.
        """
        if is_in_use(self.folder / PARTIAL_NAME):
            raise DeviceError(f"{self.folder} is being written by a live session. Wait for its end, or choose another --out")
        try:
            descriptor = open_private(self._segments / RUNNING_NAME, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise folder_error(self.folder, error) from error
        try:
            if not take(descriptor):
                raise DeviceError(f"{self.folder} is being written by another analysis. Wait for it, or choose another --out")
            delete_half_written(self.folder)
            try:
                yield
            finally:
                delete_half_written(self.folder)  # files of a worker that was stopped while writing
        finally:
            os.close(descriptor)

    def keep_times(self, times: FrameTimes) -> None:
        """Store the times of the recording's frames."""
        with atomic_path(self._segments / _TIMES_NAME, private=True) as temporary:
            np.savez(
                temporary,
                stamps_ms=times.stamps_ms,
                t_s=times.t_s,
                interval_s=times.interval_s,
                damage=np.array([times.repaired, times.missing_s, times.lost]),
            )

    @property
    def times(self) -> FrameTimes | None:
        """The times of the recording's frames; None if they have not been determined."""
        path = self._segments / _TIMES_NAME
        if not path.is_file():
            return None
        try:
            return _times(read_arrays(path, _MAX_TIMES_BYTES, _MAX_TIMES_BYTES))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read ({error}). Start over with --overwrite") from error

    def keep(self, number: int, text: str) -> None:
        """Store the rows of a finished segment.

        Raises:
            DeviceError: the file cannot be written, or the folder was removed during the analysis.
        """
        if not self._segments.is_dir():
            raise StorageError(f"{self.folder} was removed while the analysis ran")
        write_text(self._path(number), text, private=True)

    def has(self, number: int) -> bool:
        """Return whether a segment is finished."""
        return self._path(number).is_file()

    def text(self, number: int) -> str:
        """Return the rows of a finished segment."""
        try:
            return read_limited(self._path(number), _MAX_SEGMENT_BYTES).decode("utf-8")
        except OSError as error:
            raise write_error(f"cannot read {self._path(number)}: {error.strerror}", error) from error
        except ValueError as error:
            raise DataError(f"{self._path(number)} is not a complete segment ({error}). Start over with --overwrite") from error

    def clear_results(self) -> None:
        """Delete the incomplete results of a killed run.

        Raises:
            DeviceError: a file cannot be deleted.
        """
        try:
            for name in ALL_NAMES:
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise DeviceError(f"cannot delete {error.filename}: {error.strerror}") from error

    def discard_unless_read(self) -> None:
        """Delete what ``begin`` and the caller created, if no frame of the recording was found."""
        if self.finished is not None or (self._segments / _TIMES_NAME).is_file():
            return
        with suppress(OSError):  # a leftover does no harm: it is overwritten by the next run
            delete_segments(self.folder)
            (self.folder / MARK_NAME).unlink(missing_ok=True)
            self.folder.rmdir()

    def finish(self, document: Mapping[str, Any]) -> None:
        """Mark the analysis as finished; its segments are no longer needed.

        Raises:
            DeviceError: the file cannot be written.
        """
        write_json(self.folder / ANALYSIS_NAME, document, private=True)

    def clear_segments(self) -> None:
        """Delete the segments of a finished analysis.

        Raises:
            DeviceError: a file cannot be deleted.
        """
        try:
            delete_segments(self.folder)
        except OSError as error:
            raise DeviceError(f"cannot delete {error.filename}: {error.strerror}") from error

    def _path(self, number: int) -> Path:
        return self._segments / f"{number:05d}.csv"


def _shortened(value: object) -> object:
    """Return the first twelve digits of a hash; other values unchanged."""
    return value[:12] if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else value


@dataclass(frozen=True, slots=True)
class _Begun:
    """The document of an analysis that was started."""

    made_with: dict[str, Any]
    started_at: str

    def __post_init__(self) -> None:
        SessionRecord("checked", datetime.fromisoformat(self.started_at))  # raises for a start outside the valid range


@dataclass(frozen=True, slots=True)
class _Finished(_Begun):
    """The document of a finished analysis."""

    frames: int
    video_s: float
    damage: str
    annotated: str = ""


def _times(arrays: Mapping[str, NDArray[Any]]) -> FrameTimes:
    """Return the times of a recording from its arrays.

    Raises:
        ValueError: an array is missing or has the wrong shape, or times decrease or are not finite.
    """
    columns = [arrays.get(name) for name in ("stamps_ms", "t_s", "interval_s")]
    damage = arrays.get("damage")
    if damage is None or damage.shape != (3,) or any(each is None or each.ndim != 1 or not each.size for each in columns):
        raise ValueError("not frame times")
    stamps_ms, t_s, interval_s = (np.asarray(each, np.float64) for each in columns)
    whole = len(stamps_ms) == len(t_s) == len(interval_s) and (np.diff(t_s) >= 0).all() and (interval_s >= 0).all()
    if not whole or not all((abs(each) <= _LATEST).all() for each in (stamps_ms, t_s, interval_s, damage.astype(np.float64))):
        raise ValueError("times that decrease or are not numbers")
    repaired, missing_s, lost = damage.astype(np.float64).tolist()
    return FrameTimes(stamps_ms, t_s, interval_s, int(repaired), missing_s, int(lost))


def _document(path: Path, form: type[_Begun]) -> dict[str, Any] | None:
    """Return a JSON object with the fields of ``form``; None if there is no file.

    Raises:
        DataError: the file cannot be read, or is not such an object.
    """
    try:
        document: dict[str, Any] = conform(load_json(path), dict[str, Any], path.name)
        record_from(form, document, path.name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Start over in another folder with --out") from error
    return document
