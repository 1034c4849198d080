"""Scenes of a run, composed in advance by another process and stored on disk by round.

Composing a scene takes longer than a training step on it, so both run in parallel, and scenes are used more than once. The
file of a round depends only on the settings and the material, so a resumed run reuses existing files.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DeviceError
from mien.files import atomic_path
from mien.stops import block_signals, leave_signals_to_parent
from mien.training.detector.faces import TaughtFaces
from mien.training.detector.scenes import Composer, Scene
from mien.training.stopping import StopRequest
from mien.vision.detector import Detector

_PAUSE_S = 0.2


def write_round(folder: Path, number: int, size: int, composer: Composer) -> None:
    """Compose the scenes of round ``number`` and write them to the folder, unless the file exists."""
    path = round_path(folder, number)
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


def read_round(path: Path) -> list[Scene]:
    """Return the scenes in a file written by ``write_round``."""
    with np.load(path) as stored:
        ends = np.cumsum(stored["counts"])[:-1]
        parts = (np.split(stored[name], ends) for name in ("boxes", "landmarks", "scores"))
        return [Scene(grey, *labels) for grey, *labels in zip(stored["grey"], *parts, strict=True)]


def round_path(folder: Path, number: int) -> Path:
    """Return the path of the scenes of a round."""
    return folder / f"{number:05d}.npz"


def _compose(
    folder: Path,
    rounds: Sequence[int],
    size: int,
    faces: TaughtFaces,
    backgrounds: Sequence[NDArray[np.uint8]],
    seed: int,
    teacher: Detector | None,
) -> None:
    """Compose rounds in order while the parent process is running; runs in the child process."""
    leave_signals_to_parent()
    cv2.setNumThreads(1)
    parent = os.getppid()
    composer = Composer(faces, backgrounds, seed, teacher)
    for number in rounds:
        if os.getppid() != parent:
            return
        write_round(folder, number, size, composer)


def delete_rounds(folder: Path) -> None:
    """Delete the scene files in a folder, and the folder if it is empty then."""
    for path in folder.glob("*.npz"):
        path.unlink()
    with suppress(OSError):  # it is missing, or has other files
        folder.rmdir()


class Stock:
    """Composes the scenes of all rounds in another process.

    Args:
        folder: folder of the scene files.
        rounds: numbers of the rounds, in the order in which they are requested.
        size: number of scenes per round.
        faces: see ``Composer``.
        backgrounds: see ``Composer``.
        seed: see ``Composer``.
        teacher: see ``Composer``.
    """

    def __init__(
        self,
        folder: Path,
        rounds: Sequence[int],
        size: int,
        faces: TaughtFaces,
        backgrounds: Sequence[NDArray[np.uint8]],
        seed: int,
        teacher: Detector | None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        # fork if possible, which does not copy the material
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(method)
        self._process = context.Process(
            target=_compose, args=(folder, rounds, size, faces, backgrounds, seed, teacher), daemon=True
        )
        with block_signals():
            self._process.start()

    def round(self, number: int, stop: StopRequest) -> list[Scene]:
        """Return the scenes of a round, waiting until they are composed.

        Raises:
            DeviceError: the composing process ended early.
            KeyboardInterrupt: a stop was requested while waiting.
        """
        path = round_path(self._folder, number)
        while not path.is_file():
            if stop:
                raise KeyboardInterrupt
            if not self._process.is_alive() and not path.is_file():
                raise DeviceError("the process that composes scenes ended early. Is there enough memory? Resume with --resume")
            time.sleep(_PAUSE_S)
        return read_round(path)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()
