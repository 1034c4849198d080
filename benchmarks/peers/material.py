"""The input of all peers: the same crops, canvases and frames, as raw files readable in any language.

Pixels are uint8, one picture after another, in RGB order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.errors import DataError
from mien.files import atomic_path, file_hash, write_json

WIDTH, HEIGHT, SIDE = 640, 480, 200
GREY: Final = 127
APART_S: Final = 2.0
"""Seconds between unrelated pictures: too long for any tracker to treat them as consecutive frames."""
CLIP_S: Final = 10.0
"""Maximum length of a clip in seconds, because every peer processes all clips in every round."""
CLIPS: Final = ("sad_to_happy.mp4", "neutral_smile_neutral.mp4")


@dataclass(frozen=True, slots=True)
class Pictures:
    """A raw file of pictures and the request for it.

    Attributes:
        path: the file.
        shape: shape of all pictures together, their number first.
        times_s: time of each picture in seconds.
        video: whether they are consecutive frames of a video.
    """

    path: Path
    shape: tuple[int, ...]
    times_s: tuple[float, ...]
    video: bool

    def request(self, first: int, count: int) -> dict[str, Any]:
        """Return the request for ``count`` pictures from ``first`` on."""
        part = {"path": str(self.path), "shape": self.shape, "first": first, "count": count}
        if len(self.shape) == 3:
            return {"do": "faces", **part}
        times = list(self.times_s[first : first + count])
        # unrelated pictures never continue what came before
        return {"do": "frames", **part, "times_s": times, "video": self.video, "new": first == 0 or not self.video}


def sample(part: FaceDataset, count: int) -> FaceDataset:
    """Return ``count`` images of ``part`` in a seeded random order; 0 means all."""
    order = np.random.default_rng(0).permutation(len(part))
    return part.take(order[: count or len(part)])


def on_canvas(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a (480, 640, 3) grey canvas with ``face`` (48, 48) enlarged to 200x200 in its centre."""
    canvas = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
    left, top = (WIDTH - SIDE) // 2, (HEIGHT - SIDE) // 2
    canvas[top : top + SIDE, left : left + SIDE] = cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[..., None]
    return canvas


@contextmanager
def crops_file(faces: NDArray[np.uint8]) -> Iterator[Pictures]:
    """Yield crops (N, 48, 48) as a temporary file."""
    with TemporaryDirectory(prefix="race-") as folder:
        yield _written(Path(folder) / "crops.raw", np.ascontiguousarray(faces))


@contextmanager
def canvases_file(faces: NDArray[np.uint8]) -> Iterator[Pictures]:
    """Yield the canvases of crops (N, 48, 48) as a temporary file; all canvases together take gigabytes."""
    with TemporaryDirectory(prefix="race-") as folder:
        yield _written(Path(folder) / "canvases.raw", np.stack([on_canvas(face) for face in faces]))


def clip_files(clips: Path, cache: Path) -> dict[str, Pictures]:
    """Return the clips of a folder as frames, by file name; decoded once and kept in ``cache``.

    Raises:
        DataError: a clip is missing or cannot be decoded.
    """
    decoded = {}
    for name in CLIPS:
        source = clips / name
        if not source.is_file():
            raise DataError(f"no clip {source}. Pass the folder with {' and '.join(CLIPS)} with --clips")
        decoded[name] = _decoded(source, cache / f"{source.stem}-{file_hash(source)[:12]}")
    return decoded


def _decoded(source: Path, place: Path) -> Pictures:
    facts, raw = place.with_suffix(".json"), place.with_suffix(".raw")
    if not facts.is_file():
        video = cv2.VideoCapture(str(source))
        times, shape = [], (0, 0, 0)
        with atomic_path(raw) as temporary, temporary.open("wb") as file:
            while (read := video.read())[0] and (t_s := video.get(cv2.CAP_PROP_POS_MSEC) / 1000) < CLIP_S:
                times.append(t_s)
                shape = read[1].shape
                file.write(np.ascontiguousarray(read[1][..., ::-1]).tobytes())
        video.release()
        if not times:
            raise DataError(f"{source} is not a video that can be read (wrong format or truncated)")
        write_json(facts, {"shape": [len(times), *shape], "times_s": times})
    known = json.loads(facts.read_text(encoding="utf-8"))
    return Pictures(raw, tuple(known["shape"]), tuple(known["times_s"]), video=True)


def _written(path: Path, pictures: NDArray[np.uint8]) -> Pictures:
    pictures.tofile(path)
    return Pictures(path, pictures.shape, tuple(APART_S * k for k in range(len(pictures))), video=False)
