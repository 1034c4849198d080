"""Hand-made records for the tests of the views: no camera, no model, every value known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.privacy.policy import decide
from mien.privacy.release import ReleasedResult, release
from mien.records import Box, Detection, FaceReading, Frame, FrameResult, Snapshot
from mien.sessions.records import KeptSession


def probabilities(label: str, confidence: float) -> NDArray[np.float32]:
    """Return (7,) float32: ``confidence`` for ``label``, the rest shared evenly."""
    row = np.full(len(EMOTIONS), (1 - confidence) / (len(EMOTIONS) - 1), np.float32)
    row[EMOTIONS.index(label)] = confidence
    return row


def reading(
    label: str, confidence: float, box: tuple[float, float, float, float], track_id: str = "k3f9", landmarks: bool = True
) -> FaceReading:
    """Return a face in ``box`` (x, y, w, h), its landmarks where a frontal face has them."""
    x, y, w, h = box
    spots = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.78], [0.65, 0.78]], np.float32)
    points = (spots * (w, h) + (x, y)).astype(np.float32) if landmarks else None
    row = probabilities(label, confidence)
    return FaceReading(track_id=track_id, detection=Detection(Box(x, y, w, h), 0.95, points), raw=row, smoothed=row, label=label)


def trend(seconds: float = 10.0, points: int = 101) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times from 32 s on and (T, 7) values that drift from neutral over surprise to happy."""
    t_s = 32.0 + np.linspace(0, seconds, points)
    values = np.full((points, len(EMOTIONS)), 0.03)
    for label, centre in (("neutral", 0.1), ("surprise", 0.5), ("happy", 0.9)):
        values[:, EMOTIONS.index(label)] += np.exp(-(((t_s - 32.0) / seconds - centre) ** 2) / 0.05)
    return t_s, values / values.sum(axis=1, keepdims=True)


def frame(width: int = 640, height: int = 480, grey: int = 90) -> Frame:
    """Return an evenly grey frame."""
    return Frame(7, 42.0, np.full((height, width, 3), grey, np.uint8))


def snapshot(faces: Sequence[FaceReading] = (), size: tuple[int, int] = (640, 480), **changes: Any) -> Snapshot:
    """Return a session's state after 42 seconds, with ``changes`` to any of its fields."""
    t_s, values = trend()
    fields: dict[str, Any] = {
        "result": FrameResult(7, 42.0, size, tuple(faces)),
        "distribution": np.array([0.02, 0.0, 0.03, 0.52, 0.31, 0.04, 0.08]),
        "trend_t_s": t_s,
        "trend": values,
        "trend_window_s": 10.0,
        "source": "camera 0",
        "detector": "YuNet",
        "model": "mien-default",
        "elapsed_s": 83.4,
        "frames": 2210,
        "frames_with_face": 2104,
        "faces_max": 2,
        "captured_fps": 30.0,
        "processed_fps": 28.6,
        "dropped": 41,
        "paused": False,
        "notice": "",
    }
    return Snapshot(**(fields | changes))


def released(index: int, t_s: float, faces: Sequence[FaceReading], interval_s: float) -> ReleasedResult:
    """Return a frame of 640 x 480 pixels as own use on one's own machine releases it."""
    return release(decide(None), FrameResult(index, t_s, (640, 480), tuple(faces), interval_s))


def no_views(folder: Path, kept: KeptSession) -> None:
    """Write no pages and pictures, where a test needs the rows of many sessions only."""
