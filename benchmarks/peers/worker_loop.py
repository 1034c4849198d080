"""Main loop of the Python workers: read requests, pass on pictures one by one, time the peer's call.

It runs in the peer's environment, so it needs only NumPy, not Mien. Pictures are raw uint8 files, read
one at a time outside the timed part. Requests:

    {"do": "faces",  "path", "shape": [N, 48, 48],    "first", "count"}
    {"do": "frames", "path", "shape": [N, H, W, 3],   "first", "count", "times_s": […], "new": true, "video": true}
    {"do": "about"}

The first two also have ``order``, the seven names. Answers have one entry per picture: ``scores`` (seven numbers
in that order, or null if no face was found) and ``ms``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np


class Reader(Protocol):
    """A loaded peer."""

    def about(self) -> dict[str, Any]:
        """Return notes for the table, such as ``{"note": "Haar cascade"}``."""

    def begin(self, video: bool) -> None:
        """Prepare for frames that are unrelated to earlier ones."""

    def read_face(self, face: np.ndarray) -> Mapping[str, float]:
        """Return a score for each of the seven names of a (48, 48) uint8 grey crop, from the emotion network alone."""

    def read_frame(self, frame: np.ndarray, t_s: float) -> Mapping[str, float] | None:
        """Return the scores of the largest face in a (H, W, 3) uint8 BGR frame, or None if there is none."""


def serve(open_reader: Callable[[], Reader]) -> None:
    """Answer requests until the input ends; the peer is imported and loaded on the first."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output of the peer must not mix with the answers
    reader: Reader | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if reader is None:
            reader = open_reader()
        answer = reader.about() if request["do"] == "about" else _read(reader, request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _read(reader: Reader, request: dict[str, Any]) -> dict[str, Any]:
    shape = tuple(request["shape"][1:])
    size = int(np.prod(shape))
    faces = request["do"] == "faces"
    if request.get("new"):
        reader.begin(bool(request["video"]))
    scores: list[list[float] | None] = []
    milliseconds: list[float] = []
    with open(request["path"], "rb") as file:  # noqa: PTH123  this runs in Pythons and numpys of any age
        file.seek(request["first"] * size)
        for k in range(request["count"]):
            picture = np.fromfile(file, np.uint8, size).reshape(shape)
            if not faces:
                picture = np.ascontiguousarray(picture[..., ::-1])  # files are RGB
            started = time.perf_counter()
            read = reader.read_face(picture) if faces else reader.read_frame(picture, request["times_s"][k])
            milliseconds.append(round(1000 * (time.perf_counter() - started), 4))
            scores.append(None if read is None else [round(float(read[name]), 6) for name in request["order"]])
    return {"scores": scores, "ms": milliseconds}
