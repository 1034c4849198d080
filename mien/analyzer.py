"""The library's front door: expressions in a picture, a video or a stream, in three lines.

It wires the same stages as a session and gives the same records; it keeps nothing, shows
nothing and starts no thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random, SystemRandom

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.live.decoder import read_picture
from mien.live.pipeline import ExpressionReader, Pipeline
from mien.live.sources import Source, open_source
from mien.privacy.deployment import read_deployment
from mien.privacy.permit import permit_expressions
from mien.privacy.policy import decide
from mien.records import Frame, FrameResult
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.detector import open_detector
from mien.vision.pictures import as_bgr
from mien.vision.predictor import Predictor


class Analyzer:
    """Reads the expressions of faces.

    One analyzer may be used for many pictures and videos, by one thread at a time.

    Args:
        model: a packaged bundle's name or a bundle's path.
        smoothing_s: time constant of the smoothing in videos and streams, in seconds; 0 for none.
        threads: threads of the model; answers do not depend on it.
        deployment: the declaration of who uses it on whom (``mien deploy init``); own use on oneself
            where there is none. Where it permits no expressions, faces are found and not read.

    Raises:
        NotPermittedError: the declaration permits nothing at all.
        MienError: there is no such model, or it is broken.
    """

    def __init__(
        self, model: str = DEFAULT_BUNDLE, smoothing_s: float = 0.4, threads: int = 2, deployment: str | Path | None = None
    ) -> None:
        permit = permit_expressions(decide(read_deployment(Path(deployment)) if deployment else None))
        self._reader = None if permit is None else ExpressionReader(Predictor(bundle_path(model), threads), permit)
        self._smoothing_s = smoothing_s

    def image(self, picture: str | Path | NDArray[np.generic]) -> FrameResult:
        """Return the faces of one picture, from left to right.

        Args:
            picture: a file, or an array (H, W), (H, W, 3) BGR or (H, W, 4) BGRA; see
                :func:`mien.vision.pictures.as_bgr`.

        Raises:
            DataError: the file cannot be read, or the array is no picture.
        """
        if isinstance(picture, (str, Path)):
            if not Path(picture).is_file():
                raise DataError(f"there is no picture {picture}")
            pixels = read_picture(Path(picture))
            if pixels is None:
                raise DataError(f"{picture} is not a picture that can be read")
        else:
            pixels = as_bgr(picture)
        return self._pipeline(SystemRandom()).update(Frame(0, 0.0, pixels))

    def video(self, path: str | Path) -> Iterator[FrameResult]:
        """Yield the faces of every frame of a video file, with its presentation times.

        Raises:
            DataError: there is no such file, or it is not a video that can be read.
        """
        if not Path(path).is_file():
            raise DataError(f"there is no video {path}")
        return self._results(open_source(str(path))[0])

    def stream(self, source: str = "auto") -> Iterator[FrameResult]:
        """Yield the faces of a camera, a network stream, a folder or the demo as ``mien live --source`` takes it.

        Every frame the source delivers is read: a camera waits, and its times tell how long.

        Raises:
            MienError: the source is not to be had.
        """
        return self._results(open_source(source)[0])

    def _results(self, source: Source) -> Iterator[FrameResult]:
        # a recording's names must replay; a camera's must not be guessed
        random = SystemRandom() if source.seed is None else Random(source.seed)  # noqa: S311  a recording's names must replay
        pipeline = self._pipeline(random)
        with closing(source):
            for frame in source.frames():
                yield pipeline.update(frame)

    def _pipeline(self, random: Random) -> Pipeline:
        return Pipeline(open_detector(), self._reader, random, self._smoothing_s)
