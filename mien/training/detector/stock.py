"""Scenes of a run, composed in advance by another process and stored on disk by round.

Composing a scene takes longer than a training step on it, so both run in parallel, and scenes are used more than once. The
file of a round depends only on the settings and the material, whose key is in its name, so a resumed run reuses existing
files and a run with other settings does not.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from mien.arrays import read_arrays
from mien.errors import DataError, DeviceError, MienError
from mien.files import atomic_path
from mien.stops import block_signals, end_with_parent, leave_signals_to_parent
from mien.training.detector.scenes import SCENE, Composer, Scene
from mien.training.stopping import StopRequest

_PAUSE_S: Final = 0.2
_LEAD: Final = 4
"""Number of rounds that are composed ahead of the requested one."""
_MAX_LABEL_BYTES: Final = 16_384
"""Upper bound of the labels of a scene; a face has 64 bytes."""


def write_round(path: Path, number: int, size: int, composer: Composer) -> None:
    """Compose the scenes of round ``number`` and write them to ``path``, unless the file exists.

    Raises:
        DeviceError: the file cannot be written.
    """
    if path.is_file():
        return
    scenes = [composer.compose(number * size + k) for k in range(size)]
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            grey=np.stack([scene.grey for scene in scenes]),
            counts=np.array([len(scene.scores) for scene in scenes]),
            boxes=np.concatenate([scene.boxes for scene in scenes]),
            landmarks=np.concatenate([scene.landmarks for scene in scenes]),
            scores=np.concatenate([scene.scores for scene in scenes]),
        )


def read_round(path: Path, size: int) -> list[Scene]:
    """Return the ``size`` scenes in a file written by ``write_round``.

    Raises:
        DataError: the file cannot be read or is broken.
    """
    most = size * (SCENE * SCENE + _MAX_LABEL_BYTES) + _MAX_LABEL_BYTES
    try:
        stored = read_arrays(path, most, most)
        counts = stored["counts"]
        faces = int(counts.sum())
        for name, shape in (
            ("grey", (size, SCENE, SCENE)),
            ("counts", (size,)),
            ("boxes", (faces, 4)),
            ("landmarks", (faces, 5, 2)),
            ("scores", (faces,)),
        ):
            if stored[name].shape != shape:
                raise ValueError(f"{name} has the shape {stored[name].shape}, expected {shape}")
        ends = np.cumsum(counts)[:-1]
        parts = (np.split(stored[name], ends) for name in ("boxes", "landmarks", "scores"))
        return [Scene(grey, *labels) for grey, *labels in zip(stored["grey"], *parts, strict=True)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is broken ({error}). Delete it; it will be composed again") from error


def round_path(folder: Path, number: int, key: str) -> Path:
    """Return the path of the scenes of a round; ``key`` identifies settings and material."""
    return folder / f"{number:05d}-{key}.npz"


def _compose(folder: Path, key: str, rounds: Sequence[int], size: int, composer: Composer, connection: Connection) -> None:
    """Compose rounds in order, at most ``_LEAD`` ahead of the numbers received; runs in the child process.

    An error is sent to the parent process.
    """
    leave_signals_to_parent()
    end_with_parent()
    cv2.setNumThreads(1)
    requested = rounds[0]
    try:
        for number in rounds:
            while number > requested + _LEAD:
                requested = connection.recv()
            write_round(round_path(folder, number, key), number, size, composer)
    except MienError as error:
        connection.send(error)


def delete_rounds(folder: Path) -> None:
    """Delete the scene files in a folder, and the folder if it is empty then."""
    for path in folder.glob("*.npz"):
        path.unlink()
    with suppress(OSError):  # it is missing, or has other files
        folder.rmdir()


class Stock:
    """Composes the scenes of all rounds in another process, a few rounds ahead of the requested one.

    Args:
        folder: folder of the scene files.
        key: identifies the settings and the material of the scenes.
        rounds: numbers of the rounds, in the order in which they are requested.
        size: number of scenes per round.
        window: number of rounds before the requested one whose files are kept; older ones are deleted.
        composer: composes the scenes.
    """

    def __init__(self, folder: Path, key: str, rounds: Sequence[int], size: int, window: int, composer: Composer) -> None:
        self._folder, self._key, self._size, self._window = folder, key, size, window
        # fork if possible, which does not copy the material
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(method)
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_compose, args=(folder, key, rounds, size, composer, theirs), daemon=True)
        with block_signals():
            self._process.start()
        theirs.close()  # so that the end of the process can be noticed

    def round(self, number: int, stop: StopRequest) -> list[Scene]:
        """Return the scenes of a round, waiting until they are composed.

        Raises:
            StorageError: the disk is full.
            DeviceError: a file cannot be written, or the composing process ended early.
            DataError: the round's file is broken.
            KeyboardInterrupt: a stop was requested while waiting.
        """
        with suppress(OSError):  # it does not exist, or is deleted at the end of the run
            self._path(number - self._window - 1).unlink()
        with suppress(OSError):  # the process has ended
            self._connection.send(number)
        path = self._path(number)
        while not path.is_file():
            if stop:
                raise KeyboardInterrupt
            try:
                if self._connection.poll(_PAUSE_S):
                    raise self._connection.recv()
            except (EOFError, OSError) as error:
                if not path.is_file():
                    raise DeviceError(
                        "the process that composes scenes ended early. Is there enough memory? Resume with --resume"
                    ) from error
        return read_round(path, self._size)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()
        self._connection.close()

    def _path(self, number: int) -> Path:
        return round_path(self._folder, number, self._key)
