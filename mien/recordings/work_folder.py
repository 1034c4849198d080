"""The folder of a recording from the first finished segment to the last file.

What was finished stays through any stop. It is taken up again only by a run that would have
made the same: the file and the options stand beside it and are compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.errors import DataError, DeviceError, UsageError
from mien.files import atomic_path, write_json, write_text
from mien.locks import take
from mien.recordings.film_times import FilmTimes
from mien.store.deletion import delete_half_drawn, delete_segments
from mien.store.names import ALL_NAMES, ANALYSIS_NAME, SEGMENTS_NAME, set_aside

_BEGUN_NAME: Final = "begun.json"
_TIMES_NAME: Final = "times.npz"
_LOCK_NAME: Final = "running.lock"
COMPARED: Final = "made_with"


class WorkFolder:
    """Where one recording is analysed.

    Args:
        folder: made by ``begin``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._segments = folder / SEGMENTS_NAME

    @property
    def finished(self) -> dict[str, Any] | None:
        """What a finished analysis says of itself; None where there is none."""
        return _document(self.folder / ANALYSIS_NAME)

    @property
    def begun(self) -> dict[str, Any] | None:
        """What a started analysis says of itself; None where there is none."""
        return _document(self._segments / _BEGUN_NAME)

    def check(self, made_with: Mapping[str, Any]) -> None:
        """Refuse a run whose file or options are not those of what is there.

        Raises:
            UsageError: they differ; all differences are named.
        """
        there = self.finished or self.begun
        if there is None:
            return
        before = there.get(COMPARED, {})
        names = dict.fromkeys([*before, *made_with])
        differences = [f"{n} was {before.get(n)}, is {made_with.get(n)}" for n in names if before.get(n) != made_with.get(n)]
        if differences:
            raise UsageError(
                f"{self.folder} holds an analysis that was made otherwise ({'; '.join(differences)}). Use the same file and "
                "options, name another folder with --out, or start over with --again"
            )

    def begin(self, document: Mapping[str, Any], again: bool) -> None:
        """Make room, and write down what is begun; what is there already and fits is left as it is.

        Args:
            document: what a later run must agree with, under ``COMPARED``, and what it takes over.
            again: start over; a finished analysis is moved into ``earlier-N``.

        Raises:
            DeviceError: the disk refuses.
        """
        try:
            if again or self.begun is None:
                set_aside(self.folder)
                delete_segments(self.folder, keep=_LOCK_NAME)
            delete_half_drawn(self.folder)
            self._segments.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeviceError(f"cannot write {self.folder}: {error.strerror}. Choose another folder with --out") from error
        if self.begun is None:
            write_json(self._segments / _BEGUN_NAME, document)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keep other programs from the folder until the block ends.

        Raises:
            DeviceError: another program works there.
        """
        try:
            self._segments.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._segments / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DeviceError(f"cannot write {self.folder}: {error.strerror}. Choose another folder with --out") from error
        try:
            if not take(descriptor):
                raise DeviceError(f"{self.folder} is being written by another analysis. Wait for it, or choose another --out")
            yield
        finally:
            os.close(descriptor)

    def keep_times(self, times: FilmTimes) -> None:
        """Keep when the recording's frames stand."""
        with atomic_path(self._segments / _TIMES_NAME) as temporary:
            np.savez(
                temporary,
                stamps_ms=times.stamps_ms,
                t_s=times.t_s,
                interval_s=times.interval_s,
                damage=np.array([times.repaired, times.missing_s, times.lost]),
            )

    @property
    def times(self) -> FilmTimes | None:
        """When the recording's frames stand; None where nobody has looked yet."""
        path = self._segments / _TIMES_NAME
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as held:
                repaired, missing_s, lost = held["damage"].tolist()
                return FilmTimes(held["stamps_ms"], held["t_s"], held["interval_s"], int(repaired), missing_s, int(lost))
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} cannot be read ({error}). Start over with --again") from error

    def keep(self, number: int, text: str) -> None:
        """Keep a finished segment.

        Raises:
            DeviceError: the disk refuses, or the folder was removed while the analysis ran.
        """
        if not self._segments.is_dir():
            raise DeviceError(f"{self.folder} was removed while the analysis ran")
        write_text(self._path(number), text)

    def has(self, number: int) -> bool:
        """Return whether a segment is finished."""
        return self._path(number).is_file()

    def text(self, number: int) -> str:
        """Return the rows of a finished segment."""
        try:
            return self._path(number).read_text(encoding="utf-8")
        except OSError as error:
            raise DeviceError(f"cannot read {self._path(number)}: {error.strerror}") from error

    def clear_results(self) -> None:
        """Delete what a killed run had begun to put together.

        Raises:
            DeviceError: the disk refuses.
        """
        try:
            for name in ALL_NAMES:
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise DeviceError(f"cannot delete {error.filename}: {error.strerror}") from error

    def finish(self, document: Mapping[str, Any]) -> None:
        """Write down that all is there; from now on the segments are of no use.

        Raises:
            DeviceError: the disk refuses.
        """
        write_json(self.folder / ANALYSIS_NAME, document)

    def clear_segments(self) -> None:
        """Delete the segments, once nobody works here any more.

        Raises:
            DeviceError: the disk refuses.
        """
        try:
            delete_segments(self.folder)
        except OSError as error:
            raise DeviceError(f"cannot delete {error.filename}: {error.strerror}") from error

    def _path(self, number: int) -> Path:
        return self._segments / f"{number:05d}.csv"


def _document(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, None where there is no file.

    Raises:
        DataError: it is something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Start over in another folder with --out") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} is not what an analysis leaves. Start over in another folder with --out")
    return document
