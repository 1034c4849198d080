"""Drift monitoring: references from a bundle and a data set, and streams from pictures or stored sessions.

Like ``session`` and ``lifecycle``, this module connects stages that do not know one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.audit.faces import FACE_CHECKS, find_faces
from mien.data.dataset import FaceDataset
from mien.data.decoding import decode_face
from mien.data.fer2013 import has_fer2013_labels
from mien.data.fer_folders import Progress
from mien.data.votes import read_votes
from mien.errors import DataError
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.evaluation.truths import available_truths
from mien.files import file_hash
from mien.modelcard import ModelCard
from mien.monitoring.accuracy_estimate import CorruptionLevel, fit_accuracy
from mien.monitoring.features import FeatureMap, random_features
from mien.monitoring.live_drift import SAMPLE_EVERY_S
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import MEASURES, FaceBatch, FaceObservation, Scope, measure, observe, pose_measures
from mien.monitoring.reference import Reference
from mien.monitoring.trigger import DriftTrigger
from mien.monitoring.verdict import WindowVerdict
from mien.preprocess import CANONICAL_LANDMARKS
from mien.records import Detection, Prediction
from mien.sessions.archive import Archive
from mien.sessions.layout import observations_path
from mien.sessions.observations import read_answers
from mien.sessions.stored import StoredSession
from mien.sources.files import IMAGE_ENDINGS, read_picture
from mien.vision.aligner import align_faces
from mien.vision.detector import Detector
from mien.vision.predictor import Predictor

SUITE_FACES: Final = 1000
"""Default number of faces for the accuracy estimate, each degraded in sixty ways."""
_BATCH: Final = 64
_BETWEEN_S: Final = 60.0


def make_reference(
    bundle: Path,
    dataset: FaceDataset,
    split: str,
    weights: Path | None = None,
    *,
    votes: Path | None = None,
    suite_faces: int = SUITE_FACES,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Reference:
    """Return the drift reference of a bundle on one split of a data set, with a fitted accuracy estimate.

    The truth is given by the votes, or by the labels if the bundle's first head predicts them; without either, there
    is no accuracy estimate.

    Args:
        bundle: the model's file.
        dataset: the data set.
        split: a split that the model was not trained on.
        weights: YuNet's file, to measure head poses; None leaves them unknown.
        votes: the FER+ votes; None without votes.
        suite_faces: number of faces for the accuracy estimate, each degraded in sixty ways; 0 omits the estimate.
        seed: random seed.
        progress: called with (faces done, total faces).

    Raises:
        UsageError: the split is unknown or empty.
        DataError: too few faces.
        BundleError: the bundle is broken.
    """
    predictor = Predictor(bundle)
    part = dataset.split(split)
    part = part.take(np.random.default_rng(seed).permutation(len(part)))  # data sets may be sorted by class
    part = replace(part, labels=_true_labels(part, votes, predictor.card, has_fer2013_labels(dataset)))
    judged = np.flatnonzero(part.labels >= 0)
    spoilt = min(suite_faces, len(judged))
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
    chosen = judged[:spoilt]
    suite = corruption_levels(predictor, reference.features, part.take(chosen), points[chosen], faces.take(chosen), seed)

    def counted() -> Iterator[CorruptionLevel]:
        for number, condition in enumerate(suite):
            progress(len(part) + spoilt * number, total)
            yield condition

    return replace(reference, accuracy=fit_accuracy(counted()))


def _true_labels(part: FaceDataset, votes: Path | None, card: ModelCard, fer2013_labels: bool) -> NDArray[np.int64]:
    """Return (N,) true classes for the first head of a bundle; -1 if unknown."""
    truths = available_truths(part, read_votes(votes, part) if votes else None, card.heads, fer2013_labels)
    of_first = [truth.labels for truth in truths if truth.head == card.heads[0]]
    return of_first[0] if of_first else np.full(len(part), -1, np.int64)


def corruption_levels(
    predictor: Predictor,
    features: FeatureMap,
    part: FaceDataset,
    points: NDArray[np.float32],
    plain: FaceBatch,
    seed: int,
) -> Iterator[CorruptionLevel]:
    """Yield the model's results on the original faces, then under each corruption at each severity.

    Args:
        predictor: the model.
        features: maps faces to features.
        part: N labelled faces in random order.
        points: (N, 5, 2) float32 landmarks.
        plain: the model's output for the original faces.
        seed: seed of the corruptions.
    """
    yield corruption_level("", features, plain, part.labels)
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            faces = read_faces(predictor, corrupt(part.images, name, severity, points, seed))
            yield corruption_level(name, features, faces, part.labels)


def corruption_level(family: str, features: FeatureMap, faces: FaceBatch, labels: NDArray[np.int64]) -> CorruptionLevel:
    """Return the training data of the accuracy estimate for faces whose classes are known."""
    probabilities = faces.probabilities
    return CorruptionLevel(
        family,
        random_features(features(faces).astype(np.float64)).astype(np.float32),
        probabilities.argmax(1) == labels,
        float(probabilities.max(1).mean()),
    )


def read_faces(predictor: Predictor, images: NDArray[np.uint8], progress: Progress = lambda done, total: None) -> FaceBatch:
    """Return the model's output for (N, 48, 48) uint8 crops; size and pose are unknown."""
    parts = []
    for start in range(0, len(images), _BATCH):
        crops = images[start : start + _BATCH]
        prediction = predictor.predict(crops[:, None])
        parts.append(FaceBatch(prediction.embedding, prediction.probabilities, measure(crops)))
        progress(start + len(crops), len(images))
    return FaceBatch.join(parts)


@dataclass(slots=True)
class WatchResult:
    """Result of monitoring a folder of pictures or stored sessions.

    Attributes:
        pictures: number of pictures read.
        broken: number of unreadable files.
        faceless: number of pictures without a face.
        faces: number of faces found.
        verdicts: verdicts of all windows, in order.
        sessions: (name, start in seconds of the stream) of each stored session.
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
    """Return all pictures in a folder and its subfolders, sorted by name.

    Raises:
        DataError: the folder is missing or contains no pictures.
    """
    if not folder.is_dir():
        raise DataError(f"no folder at {folder}. Pass a folder of pictures")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS and path.is_file())
    if not found:
        raise DataError(f"no pictures in the folder {folder} (looked for {', '.join(sorted(IMAGE_ENDINGS))})")
    return found


def observe_pictures(
    paths: Sequence[Path],
    predict: Callable[[NDArray[np.uint8]], Prediction],
    detector: Detector | None,
    every_s: float,
    watched: WatchResult,
    progress: Progress = lambda done, total: None,
) -> Iterator[FaceObservation]:
    """Yield the faces in pictures as a stream with ``every_s`` seconds between pictures; every face counts as a new person.

    Args:
        paths: pictures in order.
        predict: the model, for (N, 1, 48, 48) uint8 crops.
        detector: the face detector; None if each picture is a face crop.
        every_s: time between pictures in seconds.
        watched: counters, updated in place.
        progress: called with (pictures done, total pictures).
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
            yield from observe(number * every_s, names, crops, predict(crops), detections)


def sessions_with_observations(root: Path) -> list[StoredSession]:
    """Return the sessions below a folder that have observations, oldest first, including running ones.

    Sessions whose erasure is not finished are left out.

    Raises:
        DataError: the folder is missing.
        DeviceError: the folder cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"no folder at {root}. Pass the folder of your sessions with --sessions")
    found = [each for each in Archive(root).sessions() if not each.begun]
    return [each for each in found if each.folder is not None and observations_path(each.folder) is not None]


def observe_sessions(sessions: Sequence[StoredSession], base: Reference, watched: WatchResult) -> Iterator[FaceObservation]:
    """Yield the predictions of stored sessions as one stream without gaps, at most one per face and second.

    Args:
        sessions: in order.
        base: reference of the model that made the predictions.
        watched: counters, updated in place; unreadable files are counted as broken and skipped.
    """
    embedding = np.full(len(base.features.centre), np.nan, np.float32)
    measures = np.full(len(MEASURES), np.nan, np.float32)
    from_s = last_s = 0.0
    for session in sessions:
        watched.sessions.append((session.name, from_s))
        looked: dict[str, float] = {}
        path = observations_path(session.folder) if session.folder is not None else None
        try:
            for answer in read_answers(path) if path is not None else ():
                if 0 <= answer.t_s - looked.get(answer.track_id, -math.inf) < SAMPLE_EVERY_S:
                    continue
                looked[answer.track_id] = answer.t_s
                watched.faces += 1
                last_s = max(last_s, from_s + answer.t_s)
                name = f"{session.name}/{answer.track_id}"
                yield FaceObservation(from_s + answer.t_s, name, embedding, answer.probabilities, measures)
        except DataError:
            watched.broken += 1
        from_s = last_s + _BETWEEN_S


def watch(faces: Iterator[FaceObservation], monitor: DriftMonitor, trigger: DriftTrigger, watched: WatchResult) -> None:
    """Process a whole stream with the monitor and the trigger."""
    for face in faces:
        verdict = monitor.update(face)
        if verdict is not None:
            watched.verdicts.append(verdict)
            trigger.update(verdict)


def reference_from_start(
    faces: Iterator[FaceObservation], base: Reference, minutes: float, source: str, scope: Scope = "all"
) -> Reference:
    """Return a reference made from the first minutes of a stream, which are consumed.

    Raises:
        DataError: there are too few faces in that time.
    """
    start: list[FaceObservation] = []
    ended = True
    for face in faces:
        start.append(face)
        if face.t_s - start[0].t_s >= 60 * minutes:
            ended = False
            break
    try:
        return Reference.from_stream(start, base, source=f"the first {minutes:g} minutes of {source}", scope=scope)
    except DataError as error:
        if not start:
            raise DataError(
                f"no face in the first {minutes:g} minutes of {source}, so there is nothing to compare with"
            ) from error
        if ended:
            advice = "Add pictures, or omit --first-minutes"
            raise DataError(f"{error}. {source} has only {len(start)} faces. {advice}") from error
        raise DataError(f"{error}. Use a larger --first-minutes") from error


def _read_crop(path: Path) -> NDArray[np.uint8] | None:
    """Return a face crop as (48, 48) uint8, None if the file is not a picture."""
    try:
        found = decode_face(path.read_bytes())
    except OSError:
        return None
    return None if found is None else found[0]


def _pose_columns() -> list[int]:
    return [list(MEASURES).index(name) for name in ("turn", "nod", "tilt_deg")]
