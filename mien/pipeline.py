"""One frame in, everything known about its faces out."""

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

_NOTHING: Final[NDArray[np.float32]] = np.full(len(EMOTIONS), np.nan, np.float32)
_BATCH: Final = 256
"""Faces of still pictures that are read at once: more are no faster, and take memory."""


@dataclass(frozen=True, slots=True)
class ExpressionReader:
    """A model, and the permit to read expressions with it: the one is of no use without the other."""

    predictor: Predictor
    permit: ExpressionPermit

    def read(self, faces: Sequence[tuple[str, Detection, NDArray[np.uint8]]]) -> list[FaceReading]:
        """Return what still pictures of faces show, given as names, places and crops (1, 48, 48) uint8; nothing is smoothed."""
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
    """Return what reads expressions; None, with nothing loaded, where the policy does not permit it.

    Raises:
        NotPermittedError: the policy permits nothing at all.
    """
    permit = permit_expressions(policy)
    return None if permit is None else ExpressionReader(load(), permit)


def model_name(reader: ExpressionReader | None) -> str:
    """Return the name of the model that reads, for people."""
    return "no model" if reader is None else reader.predictor.card.name


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
        self._facing = FacingFilter()
        self._read: set[str] = set()
        self._step_s = 0.0

    def update(self, frame: Frame) -> FrameResult:
        """Return the faces of ``frame``; frames come in the order of their times."""
        detections = self._finder.update(frame.t_s, frame.image)
        if frame.is_new_scene:
            self._tracker.forget()
        track_ids = self._tracker.update(frame.t_s, detections, frame.image, self._step_s)
        self._step_s = frame.interval_s
        self._smoother.keep_only(self._tracker.active)
        crops, poses, faults = _look(frame.image, detections, [name in self._read for name in track_ids])
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
                track_id=name, detection=detection, raw=_NOTHING, smoothed=_NOTHING, label="", pose=pose, unread=fault
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
    """Return the faces of pictures (H, W, 3) uint8 BGR that have nothing to do with one another.

    All faces are read in batches. Pictures are asked for one by one, and none is held for longer than it takes to cut its
    faces out.
    """
    found: list[tuple[tuple[int, int], list[FaceReading]]] = []
    legible: list[tuple[str, Detection, NDArray[np.uint8]]] = []
    for image in images:
        detections = detector.detect(image)
        names = Tracker(random).update(0.0, detections)
        crops, poses, faults = _look(image, detections, [False] * len(detections))
        faces = []
        for name, detection, crop, pose, fault in zip(names, detections, crops, poses, faults, strict=True):
            fault = fault or ("" if reader is not None else NOT_PERMITTED)
            faces.append(
                FaceReading(
                    track_id=name, detection=detection, raw=_NOTHING, smoothed=_NOTHING, label="", pose=pose, unread=fault
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
    """Return the readings of pictures (H, W, 3) uint8 BGR that are face crops already; they pass no quality gate."""
    faces = []
    for image in crops:
        place = Detection(Box(0, 0, image.shape[1], image.shape[0]), 1.0, None)
        faces.append(("", place, resize_crop(to_grey(image))[None]))
    if reader is None:
        return [
            FaceReading(track_id=name, detection=place, raw=_NOTHING, smoothed=_NOTHING, label="", unread=NOT_PERMITTED)
            for name, place, _ in faces
        ]
    return reader.read(faces)


def _look(
    image: NDArray[np.uint8], detections: Sequence[Detection], was_read: Sequence[bool]
) -> tuple[NDArray[np.uint8], list[HeadPose | None], list[str]]:
    """Return crops (N, 1, 48, 48), poses, and why each face cannot be read, "" where it can."""
    crops = align_faces(image, detections)
    poses = [head_pose(detection.landmarks) for detection in detections]
    return crops, poses, unread_reasons(crops, [_side_px(detection) for detection in detections], poses, was_read)


def _side_px(detection: Detection) -> float:
    """Return how many frame pixels the side of a face's crop covers."""
    transform = crop_transform(detection)
    return INPUT_SIZE / math.hypot(float(transform[0, 0]), float(transform[1, 0]))
