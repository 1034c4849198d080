"""The pipeline: detects, aligns, reads, tracks and smooths the faces of a frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.preprocess import INPUT_SIZE, resize_crop, to_grey
from mien.privacy.policy import NOT_PERMITTED, ExpressionPermit, Policy, permit_expressions
from mien.records import Box, Detection, FaceReading, Frame, FrameResult, HeadPose, Prediction
from mien.vision.aligner import align_faces, crop_transform
from mien.vision.detector import Detector
from mien.vision.finder import FaceFinder
from mien.vision.legibility import unread_reasons
from mien.vision.pose import FacingFilter, head_pose
from mien.vision.predictor import Predictor
from mien.vision.smoother import Smoother
from mien.vision.tracker import Tracker

_UNKNOWN: Final[NDArray[np.float32]] = np.full(len(EMOTIONS), np.nan, np.float32)
_BATCH: Final = 256
"""Maximum batch size for the faces of still pictures; larger ones are not faster and need more memory."""


@dataclass(frozen=True, slots=True)
class ExpressionReader:
    """A model and the permit to read expressions with it."""

    predictor: Predictor
    permit: ExpressionPermit

    def read(self, faces: Sequence[tuple[str, Detection, NDArray[np.uint8]]]) -> list[FaceReading]:
        """Return the readings of faces, given as names, detections and crops, (1, 48, 48) uint8. Nothing is smoothed."""
        found = []
        for k in range(0, len(faces), _BATCH):
            batch = faces[k : k + _BATCH]
            rows = self.predictor.predict(np.stack([crop for _, _, crop in batch])).probabilities
            for (name, detection, _), row in zip(batch, rows, strict=True):
                label = EMOTIONS[int(row.argmax())]
                below = self.predictor.card.uncertain_below[label]
                found.append(
                    FaceReading(
                        track_id=name,
                        detection=detection,
                        raw=row,
                        smoothed=row,
                        label=label,
                        uncertain_below=below,
                        pose=head_pose(detection.landmarks),
                    )
                )
        return found


def open_reader(policy: Policy, load: Callable[[], Predictor]) -> ExpressionReader | None:
    """Return a reader of expressions; None if the policy does not permit reading them. ``load`` is then not called.

    Raises:
        NotPermittedError: the policy permits no reading at all.
    """
    permit = permit_expressions(policy)
    return None if permit is None else ExpressionReader(load(), permit)


def model_name(reader: ExpressionReader | None) -> str:
    """Return the display name of a reader's model."""
    return "no model" if reader is None else reader.predictor.card.name


class Observer(Protocol):
    """Observes the faces that pass the quality gate. It must not store any of them."""

    def observe(
        self,
        t_s: float,
        track_ids: Sequence[str],
        crops: NDArray[np.uint8],
        detections: Sequence[Detection],
        prediction: Prediction | None,
    ) -> None:
        """Add the N legible faces of a frame.

        Args:
            t_s: time of the frame in seconds.
            track_ids: N track names.
            crops: (N, 1, 48, 48) uint8.
            detections: N detections.
            prediction: the model's prediction for the crops; None if expressions may not be read.
        """


class Pipeline:
    """Detects, aligns, checks, reads, tracks and smooths faces. State is stored per track, not per position.

    Results depend only on the frames so far; no clock or thread is used.

    Args:
        detector: the face detector.
        reader: reads all faces of a frame in one batch; None if expressions may not be read.
        random: random generator of the track names.
        tau_s: time constant of the smoothing in seconds.
        observer: observes legible faces, such as a drift monitor, or None.
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
        self._facing = FacingFilter()
        self._read: set[str] = set()
        self._step_s = 0.0

    def update(self, frame: Frame) -> FrameResult:
        """Return the result for the next frame. Frames must be in order of time."""
        detections = self._finder.update(frame.t_s, frame.image)
        if frame.is_new_scene:
            self._tracker.forget()
        track_ids = self._tracker.update(frame.t_s, detections, frame.image, self._step_s)
        self._step_s = frame.interval_s
        self._smoother.keep_only(self._tracker.active)
        crops, poses, faults = _inspect(frame.image, detections, [name in self._read for name in track_ids])
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
        return self._facing.update(FrameResult(frame.index, frame.t_s, (width, height), faces, frame.interval_s))

    def _reading(
        self, t_s: float, name: str, detection: Detection, raw: NDArray[np.float32] | None, pose: HeadPose | None, fault: str
    ) -> FaceReading:
        if raw is None or self._predictor is None:
            return FaceReading(
                track_id=name, detection=detection, raw=_UNKNOWN, smoothed=_UNKNOWN, label="", pose=pose, unread=fault
            )
        smoothed, label = self._smoother.update(name, t_s, raw)
        return FaceReading(
            track_id=name,
            detection=detection,
            raw=raw,
            smoothed=smoothed,
            label=label,
            uncertain_below=self._predictor.card.uncertain_below[label],
            pose=pose,
        )


def read_pictures(
    images: Iterable[NDArray[np.uint8]], detector: Detector, reader: ExpressionReader | None, random: Random
) -> list[FrameResult]:
    """Return the faces of unrelated pictures, (H, W, 3) uint8 BGR.

    Faces are read in batches across pictures. Each picture is released as soon as its faces are cropped.
    """
    found: list[tuple[tuple[int, int], list[FaceReading]]] = []
    legible: list[tuple[str, Detection, NDArray[np.uint8]]] = []
    for image in images:
        detections = detector.detect(image)
        names = Tracker(random).update(0.0, detections)
        crops, poses, faults = _inspect(image, detections, [False] * len(detections))
        faces = []
        for name, detection, crop, pose, fault in zip(names, detections, crops, poses, faults, strict=True):
            fault = fault or ("" if reader is not None else NOT_PERMITTED)
            faces.append(
                FaceReading(
                    track_id=name, detection=detection, raw=_UNKNOWN, smoothed=_UNKNOWN, label="", pose=pose, unread=fault
                )
            )
            if not fault:
                legible.append((name, detection, crop))
        found.append(((image.shape[1], image.shape[0]), faces))
    readings = iter(reader.read(legible) if reader is not None else ())
    return [
        FrameResult(index, 0.0, size, tuple(face if face.unread else next(readings) for face in faces))
        for index, (size, faces) in enumerate(found)
    ]


def read_crops(crops: Iterable[NDArray[np.uint8]], reader: ExpressionReader | None) -> list[FaceReading]:
    """Return the readings of pictures, (H, W, 3) uint8 BGR, that are already face crops. There is no quality gate."""
    faces = []
    for image in crops:
        place = Detection(Box(0, 0, image.shape[1], image.shape[0]), 1.0, None)
        faces.append(("", place, resize_crop(to_grey(image))[None]))
    if reader is None:
        return [
            FaceReading(track_id=name, detection=place, raw=_UNKNOWN, smoothed=_UNKNOWN, label="", unread=NOT_PERMITTED)
            for name, place, _ in faces
        ]
    return reader.read(faces)


def _inspect(
    image: NDArray[np.uint8], detections: Sequence[Detection], was_read: Sequence[bool]
) -> tuple[NDArray[np.uint8], list[HeadPose | None], list[str]]:
    """Return crops, (N, 1, 48, 48) uint8, head poses, and for each face why it cannot be read, or ""."""
    crops = align_faces(image, detections)
    poses = [head_pose(detection.landmarks) for detection in detections]
    return crops, poses, unread_reasons(crops, [_side_px(detection) for detection in detections], poses, was_read)


def _side_px(detection: Detection) -> float:
    """Return the side of a face's crop in pixels of the frame."""
    transform = crop_transform(detection)
    return INPUT_SIZE / math.hypot(float(transform[0, 0]), float(transform[1, 0]))
