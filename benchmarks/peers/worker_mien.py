"""Worker for Mien, through its public calls: ``Analyzer.stream`` for clips, ``.image`` for pictures, ``.faces`` for crops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from worker_loop import serve

if TYPE_CHECKING:
    from mien import FaceReading, Frame, FrameResult


class MienReader:
    """The library with its defaults, which are those of the live view."""

    def __init__(self) -> None:
        from mien import Analyzer
        from mien.vision.bundles import DEFAULT_BUNDLE

        self._analyzer, self._model = Analyzer(DEFAULT_BUNDLE), DEFAULT_BUNDLE
        self.begin(video=True)

    def about(self) -> dict[str, Any]:
        calls = "Analyzer.image(picture), Analyzer.stream(frames) for clips and Analyzer.faces([crop])"
        detector = self._analyzer.detector
        return {"note": f"timed: {calls} with their defaults, one picture per call: detector {detector}, bundle {self._model}"}

    def begin(self, video: bool) -> None:
        self._results: Iterator[FrameResult] | None = self._analyzer.stream(self._frames()) if video else None
        self._index = 0

    def _frames(self) -> Iterator[Frame]:
        while True:  # the stream requests a frame when its next result is requested
            yield self._next

    def read_face(self, face: np.ndarray) -> dict[str, float]:
        return self._analyzer.faces([face])[0].probabilities

    def read_frame(self, frame: np.ndarray, t_s: float) -> dict[str, float] | None:
        from mien import Frame

        if self._results is None:
            result = self._analyzer.image(frame)
        else:
            self._next = Frame(self._index, t_s, frame)
            self._index += 1
            result = next(self._results)
        faces: list[FaceReading] = [face for face in result.faces if not face.unread]
        if not faces:
            return None
        return max(faces, key=lambda face: face.detection.box.w * face.detection.box.h).probabilities


if __name__ == "__main__":
    serve(MienReader)
