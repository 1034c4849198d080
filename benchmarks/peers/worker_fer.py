"""Worker for ``fer``: its public ``detect_emotions`` for frames, its classifier alone for crops."""

from __future__ import annotations

from typing import Any

import numpy as np
from worker_loop import serve


class FerReader:
    """``FER()`` as in its manual."""

    def __init__(self) -> None:
        from fer.fer import FER

        self._fer = FER()
        labels = FER._get_labels()
        self._names = [labels[i] for i in range(len(labels))]

    def about(self) -> dict[str, Any]:
        return {"note": "detect_emotions() with defaults: Haar cascade, TFLite network"}

    def begin(self, video: bool) -> None:
        return None

    def read_face(self, face: np.ndarray) -> dict[str, float]:
        import cv2

        # the steps of detect_emotions() after cropping: 64x64, grey, -1 to 1
        pixels = cv2.resize(face, (64, 64)).astype("float32")
        answer = np.asarray(self._fer._classify_emotions((pixels / 255.0 - 0.5)[None] * 2.0))[0]
        return dict(zip(self._names, answer))  # noqa: B905  its environment may hold an older Python

    def read_frame(self, frame: np.ndarray, t_s: float) -> dict[str, float] | None:
        found = self._fer.detect_emotions(frame)
        if not found:
            return None
        largest: dict[str, float] = max(found, key=lambda face: face["box"][2] * face["box"][3])["emotions"]
        return largest


if __name__ == "__main__":
    serve(FerReader)
