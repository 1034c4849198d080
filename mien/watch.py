"""Wires drift monitoring: a reference from a bundle and a data set; a folder of pictures, or stored sessions, as a stream.

A composition like ``session`` and ``lifecycle``: it joins the stages, which do not know one another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.audit.faces import FACE_CHECKS, find_faces
from mien.data.dataset import FaceDataset
from mien.data.decoding import decode_face
from mien.data.fer_folders import Progress
from mien.errors import DataError
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.files import file_hash
from mien.live.decoder import read_picture
from mien.live.recorded import IMAGE_ENDINGS
from mien.monitoring.accuracy_estimate import Condition, fit_accuracy
from mien.monitoring.features import FeatureMap, random_features
from mien.monitoring.live_drift import LOOK_EVERY_S
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import MEASURES, FaceBatch, FaceObservation, measure, observe, pose_measures
from mien.monitoring.reference import Reference
from mien.monitoring.trigger import DriftTrigger
from mien.monitoring.verdict import WindowVerdict
from mien.preprocess import CANONICAL_LANDMARKS
from mien.records import Detection
from mien.store.answers import StoredSession, answers_of
from mien.vision.aligner import align_faces
from mien.vision.detector import Detector
from mien.vision.predictor import Predictor

SUITE_FACES: Final = 1000
"""Faces that are spoilt in sixty ways to learn where the model fails."""
_BATCH: Final = 64
_BETWEEN_S: Final = 60.0


def make_reference(
    bundle: Path,
    dataset: FaceDataset,
    split: str,
    weights: Path | None = None,
    *,
    suite_faces: int = SUITE_FACES,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Reference:
    """Return the reference of a bundle on one split of a data set, with a learnt estimate of accuracy.

    Args:
        bundle: the model's file.
        dataset: the data set.
        split: of it, one that the model was not trained on.
        weights: YuNet's file, by which poses are measured; None leaves them unknown.
        suite_faces: how many faces are spoilt in sixty ways for the estimate of accuracy; 0 leaves it out.
        seed: of everything random.
        progress: called with (faces read, in all).

    Raises:
        UsageError: no such split, or it is empty.
        DataError: too few faces.
        BundleError: the bundle is broken.
    """
    predictor = Predictor(bundle)
    part = dataset.split(split)
    part = part.take(np.random.default_rng(seed).permutation(len(part)))  # data sets are sorted by class
    spoilt = min(suite_faces, len(part))
    total = len(part) + spoilt * len(CORRUPTIONS) * len(SEVERITIES)
    faces = read_faces(predictor, part.images, lambda done, _: progress(done, total))
    points = np.tile(CANONICAL_LANDMARKS, (len(part), 1, 1))
    if weights is not None:
        found = find_faces(part.images, weights)
        known = ~FACE_CHECKS[0].flags(found.score) & np.isfinite(found.landmarks).all((1, 2))
        points[known] = found.landmarks[known]
        faces.measures[:, _pose_columns()] = pose_measures(np.where(known[:, None, None], found.landmarks, np.nan))
    reference = Reference.from_faces(
        faces,
        part.labels,
        bundle=predictor.card.name,
        bundle_sha256=file_hash(bundle),
        source=f"{split}, {len(part):,} faces",
        dataset_hash=dataset.content_hash(),
        seed=seed,
    )
    if not spoilt:
        return reference
    suite = spoilt_conditions(predictor, reference.features, part.take(np.arange(spoilt)), points[:spoilt], faces, seed)

    def counted() -> Iterator[Condition]:
        for number, condition in enumerate(suite):
            progress(len(part) + spoilt * number, total)
            yield condition

    return replace(reference, accuracy=fit_accuracy(counted()))


def spoilt_conditions(
    predictor: Predictor,
    features: FeatureMap,
    part: FaceDataset,
    points: NDArray[np.float32],
    plain: FaceBatch,
    seed: int,
) -> Iterator[Condition]:
    """Yield what the model makes of faces as they are, then under each corruption at each severity.

    Args:
        predictor: the model.
        features: from a face to features.
        part: N labelled faces in no order.
        points: (N, 5, 2) float32, their landmarks.
        plain: what the model makes of them, these first.
        seed: of the corruptions.
    """
    n = len(part)
    yield condition_of("", features, plain.take(np.arange(n)), part.labels)
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            faces = read_faces(predictor, corrupt(part.images, name, severity, points, seed))
            yield condition_of(name, features, faces, part.labels)


def condition_of(family: str, features: FeatureMap, faces: FaceBatch, labels: NDArray[np.int64]) -> Condition:
    """Return what the estimate of accuracy learns from faces whose classes are known."""
    answers = faces.probabilities
    return Condition(
        family,
        random_features(features(faces).astype(np.float64)).astype(np.float32),
        answers.argmax(1) == labels,
        float(answers.max(1).mean()),
    )


def read_faces(predictor: Predictor, images: NDArray[np.uint8], progress: Progress = lambda done, total: None) -> FaceBatch:
    """Return what the model makes of (N, 48, 48) uint8 crops; size and pose are unknown."""
    parts = []
    for start in range(0, len(images), _BATCH):
        crops = images[start : start + _BATCH]
        prediction = predictor.predict(crops[:, None])
        parts.append(FaceBatch(prediction.embedding, prediction.probabilities, measure(crops)))
        progress(start + len(crops), len(images))
    return FaceBatch.join(parts)


@dataclass(slots=True)
class Watched:
    """What came of watching a folder or stored sessions.

    Attributes:
        pictures: files that could be read.
        broken: files that could not be.
        faceless: pictures without a face.
        faces: faces found.
        verdicts: of every window, in order.
        sessions: name and start of each stored session, in seconds of the stream.
    """

    pictures: int = 0
    broken: int = 0
    faceless: int = 0
    faces: int = 0
    verdicts: list[WindowVerdict] = field(default_factory=list)
    sessions: list[tuple[str, float]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in ("pictures", "broken", "faceless", "faces")}


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder and below it, by name.

    Raises:
        DataError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}. Name a folder of pictures")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS and path.is_file())
    if not found:
        raise DataError(f"no pictures in the folder {folder} (looked for {', '.join(sorted(IMAGE_ENDINGS))})")
    return found


def observe_pictures(
    paths: Sequence[Path],
    predictor: Predictor,
    detector: Detector | None,
    every_s: float,
    watched: Watched,
    progress: Progress = lambda done, total: None,
) -> Iterator[FaceObservation]:
    """Yield the faces of pictures as a stream, each picture standing for ``every_s`` seconds and each face for someone new.

    Args:
        paths: pictures in order.
        predictor: the model.
        detector: finds the faces; None where each picture is one face that is cut out already.
        every_s: seconds from picture to picture.
        watched: what is counted on the way.
        progress: called with (pictures done, in all).
    """
    for number, path in enumerate(paths):
        progress(number, len(paths))
        detections: Sequence[Detection] = ()
        if detector is None:
            crop = _read_crop(path)
            crops = None if crop is None else crop[None, None]
        else:
            picture = read_picture(path)
            detections = () if picture is None else detector.detect(picture)
            crops = None if picture is None else align_faces(picture, detections)
        if crops is None:
            watched.broken += 1
            continue
        watched.pictures += 1
        watched.faces += len(crops)
        watched.faceless += not len(crops)
        if len(crops):
            names = [f"{number}-{k}" for k in range(len(crops))]
            yield from observe(number * every_s, names, crops, predictor.predict(crops), detections)


def observe_sessions(sessions: Sequence[StoredSession], base: Reference, watched: Watched) -> Iterator[FaceObservation]:
    """Yield the answers of stored sessions as one stream without the time between them, each face once a second.

    Args:
        sessions: in order.
        base: the reference of the model that gave the answers.
        watched: what is counted on the way; a file that cannot be read counts as broken and is passed over.
    """
    embedding = np.full(len(base.features.centre), np.nan, np.float32)
    measures = np.full(len(MEASURES), np.nan, np.float32)
    from_s = last_s = 0.0
    for session in sessions:
        watched.sessions.append((session.name, from_s))
        looked: dict[str, float] = {}
        try:
            for answer in answers_of(session):
                if 0 <= answer.t_s - looked.get(answer.track_id, -math.inf) < LOOK_EVERY_S:
                    continue
                looked[answer.track_id] = answer.t_s
                watched.faces += 1
                last_s = max(last_s, from_s + answer.t_s)
                name = f"{session.name}/{answer.track_id}"
                yield FaceObservation(from_s + answer.t_s, name, embedding, answer.probabilities, measures)
        except DataError:
            watched.broken += 1
        from_s = last_s + _BETWEEN_S


def watch(faces: Iterator[FaceObservation], monitor: DriftMonitor, trigger: DriftTrigger, watched: Watched) -> None:
    """Run a stream through monitor and trigger to its end."""
    for face in faces:
        verdict = monitor.update(face)
        if verdict is not None:
            watched.verdicts.append(verdict)
            trigger.update(verdict)


def own_reference(faces: Iterator[FaceObservation], base: Reference, minutes: float, source: str) -> Reference:
    """Return the reference that the first minutes of a stream make; the stream goes on behind them.

    Raises:
        DataError: too few faces in that time.
    """
    start: list[FaceObservation] = []
    for face in faces:
        start.append(face)
        if face.t_s - start[0].t_s >= 60 * minutes:
            break
    return Reference.from_stream(start, base, source=f"the first {minutes:g} minutes of {source}")


def _read_crop(path: Path) -> NDArray[np.uint8] | None:
    """Return a face that is cut out already as (48, 48) uint8, None where the file is no picture."""
    try:
        found = decode_face(path.read_bytes())
    except OSError:
        return None
    return None if found is None else found[0]


def _pose_columns() -> list[int]:
    return [list(MEASURES).index(name) for name in ("turn", "nod", "tilt_deg")]
