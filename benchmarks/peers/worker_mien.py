"""Mien in the race: the live pipeline for frames, the bundle alone for crops."""

from __future__ import annotations

from typing import Any

import numpy as np
from worker_loop import serve


class MienReader:
    """The default bundle and the detector that live would take, with live's own settings."""

    def __init__(self) -> None:
        from pathlib import Path

        from mien.settings import LiveSettings
        from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
        from mien.vision.detector import open_detector
        from mien.vision.predictor import Predictor

        self._settings = LiveSettings("auto", Path("out"), DEFAULT_BUNDLE)
        self._predictor = Predictor(bundle_path(DEFAULT_BUNDLE))
        self._detector = open_detector()
        self.begin(video=True)

    def about(self) -> dict[str, Any]:
        return {
            "note": f"the live pipeline with its defaults: detector {self._detector.name}, bundle {self._predictor.card.name}"
        }

    def begin(self, video: bool) -> None:
        from random import Random

        from mien.live.pipeline import ExpressionReader, Pipeline
        from mien.privacy.permit import permit_expressions
        from mien.privacy.policy import decide

        permit = permit_expressions(decide())
        assert permit is not None  # own use, as on a developer's machine
        # names for faces of a recording; a picture is read as one of a folder is, each for itself
        reader = ExpressionReader(self._predictor, permit)
        self._pipeline = Pipeline(self._detector, reader, Random(0), self._settings.smoothing_s)  # noqa: S311
        self._index = 0

    def read_face(self, face: np.ndarray) -> dict[str, float]:
        return self._named(self._predictor.predict(face[None, None]).probabilities[0])

    def read_frame(self, frame: np.ndarray, t_s: float) -> dict[str, float] | None:
        from mien.records import Frame

        result = self._pipeline.update(Frame(self._index, t_s, frame))
        self._index += 1
        faces = [face for face in result.faces if not face.unread]
        if not faces:
            return None
        return self._named(max(faces, key=lambda face: face.detection.box.w * face.detection.box.h).smoothed)

    def _named(self, probabilities: np.ndarray) -> dict[str, float]:
        return dict(zip(self._predictor.card.labels, probabilities.tolist(), strict=True))


if __name__ == "__main__":
    serve(MienReader)
