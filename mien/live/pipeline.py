"""One frame in, everything known about its faces out."""

from __future__ import annotations

from random import Random

from mien.records import FaceReading, Frame, FrameResult
from mien.vision.aligner import align_faces
from mien.vision.detector import Detector
from mien.vision.finder import FaceFinder
from mien.vision.predictor import Predictor
from mien.vision.smoother import Smoother
from mien.vision.tracker import Tracker


class Pipeline:
    """Detect, align, predict, track, smooth; state is kept by track, never by position.

    Args:
        detector: finds faces.
        predictor: reads them, all faces of a frame in one batch.
        random: source of track names.
        tau_s: smoothing time constant in seconds.
    """

    def __init__(self, detector: Detector, predictor: Predictor, random: Random, tau_s: float) -> None:
        self._finder = FaceFinder(detector)
        self._predictor = predictor
        self._tracker = Tracker(random)
        self._smoother = Smoother(tau_s)

    def update(self, frame: Frame) -> FrameResult:
        """Return the faces of ``frame``; frames come in the order of their times."""
        detections = self._finder.update(frame.t_s, frame.image)
        probabilities = self._predictor.predict(align_faces(frame.image, detections)).probabilities
        track_ids = self._tracker.update(frame.t_s, detections)
        doubt = self._predictor.card.uncertain_below
        self._smoother.forget_all_but(self._tracker.active)
        faces = tuple(
            FaceReading(track_id, detection, raw, *self._smoother.update(track_id, frame.t_s, raw), doubt)
            for track_id, detection, raw in zip(track_ids, detections, probabilities, strict=True)
        )
        height, width = frame.image.shape[:2]
        return FrameResult(frame.index, frame.t_s, (width, height), faces, frame.interval_s)
