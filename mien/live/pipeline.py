"""One frame in, everything known about its faces out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.preprocess import INPUT_SIZE
from mien.privacy.permit import NOT_PERMITTED, ExpressionPermit
from mien.records import Detection, FaceReading, Frame, FrameResult, HeadPose, Prediction
from mien.vision.aligner import align_faces, crop_transform
from mien.vision.detector import Detector
from mien.vision.finder import FaceFinder
from mien.vision.legibility import why_unread
from mien.vision.pose import head_pose
from mien.vision.predictor import Predictor
from mien.vision.smoother import Smoother
from mien.vision.tracker import Tracker

_NOTHING: Final[NDArray[np.float32]] = np.full(len(EMOTIONS), np.nan, np.float32)


@dataclass(frozen=True, slots=True)
class ExpressionReader:
    """A model, and the permit to read expressions with it: the one is of no use without the other."""

    predictor: Predictor
    permit: ExpressionPermit


class Observer(Protocol):
    """What looks on at the faces that are good enough to be read; it must keep none of them."""

    def observe(
        self,
        t_s: float,
        track_ids: Sequence[str],
        crops: NDArray[np.uint8],
        detections: Sequence[Detection],
        prediction: Prediction | None,
    ) -> None:
        """Take in a frame's time, N names, crops (N, 1, 48, 48) and places, and what the model makes of them, if it may."""


class Pipeline:
    """Find, align, judge, read, track, smooth; state is kept by track, never by position.

    The answer depends on the frames given so far and on nothing else: no clock, no thread.

    Args:
        detector: finds faces.
        reader: reads them, all faces of a frame in one batch; None where expressions may not be read.
        random: source of track names.
        tau_s: smoothing time constant in seconds.
        observer: looks on, such as a watch for drift; None for nobody.
    """

    def __init__(
        self,
        detector: Detector,
        reader: ExpressionReader | None,
        random: Random,
        tau_s: float,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer
        self._finder = FaceFinder(detector)
        self._predictor = None if reader is None else reader.predictor
        self._tracker = Tracker(random)
        self._smoother = Smoother(tau_s)
        self._read: set[str] = set()

    def update(self, frame: Frame) -> FrameResult:
        """Return the faces of ``frame``; frames come in the order of their times."""
        detections = self._finder.update(frame.t_s, frame.image)
        track_ids = self._tracker.update(frame.t_s, detections)
        self._smoother.forget_all_but(self._tracker.active)
        crops = align_faces(frame.image, detections)
        poses = [head_pose(detection.landmarks) for detection in detections]
        was_read = [name in self._read for name in track_ids]
        faults = why_unread(crops, [_side_px(detection) for detection in detections], poses, was_read)
        legible = np.array([not fault for fault in faults], np.bool_)
        prediction = None if self._predictor is None else self._predictor.predict(crops[legible])
        if self._observer is not None:
            seen = np.flatnonzero(legible)
            names, places = [track_ids[k] for k in seen], [detections[k] for k in seen]
            self._observer.observe(frame.t_s, names, crops[legible], places, prediction)
        if prediction is None:
            faults = [fault or NOT_PERMITTED for fault in faults]
        self._read = {name for name, fault in zip(track_ids, faults, strict=True) if not fault}
        raw = iter(() if prediction is None else prediction.probabilities)
        faces = tuple(
            self._reading(frame.t_s, name, detection, None if fault else next(raw), pose, fault)
            for name, detection, pose, fault in zip(track_ids, detections, poses, faults, strict=True)
        )
        height, width = frame.image.shape[:2]
        return FrameResult(frame.index, frame.t_s, (width, height), faces, frame.interval_s)

    def _reading(
        self, t_s: float, name: str, detection: Detection, raw: NDArray[np.float32] | None, pose: HeadPose | None, fault: str
    ) -> FaceReading:
        if raw is None or self._predictor is None:
            return FaceReading(name, detection, _NOTHING, _NOTHING, "", pose=pose, unread=fault)
        smoothed, label = self._smoother.update(name, t_s, raw)
        return FaceReading(name, detection, raw, smoothed, label, self._predictor.card.uncertain_below, pose)


def _side_px(detection: Detection) -> float:
    """Return how many frame pixels the side of a face's crop covers."""
    transform = crop_transform(detection)
    return INPUT_SIZE / math.hypot(float(transform[0, 0]), float(transform[1, 0]))
