"""Observations: predictions and quality measures of one face at one time.

An observation contains numbers only. Track ids are random and end with the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from mien.audit.faces import FaceGeometry
from mien.audit.quality import pixel_scores
from mien.emotions import EMOTIONS
from mien.records import Detection, Prediction

Scope = Literal["all", "answers", "picture"]
"""The part of a face that a monitor uses.

all: embedding, predictions and picture; answers: predictions only (stored sessions have no pictures); picture: brightness,
sharpness, size and pose, if the policy permits no expressions.
"""

MEASURES: Final[dict[str, str]] = {
    "brightness": "mean grey level of the crop, 0 to 255",
    "contrast": "standard deviation of the crop's grey levels",
    "sharpness": "fine detail: log10 of the Laplacian's variance over the crop's variance",
    "face_size_px": "width of the face in the frame, pixels",
    "turn": "yaw: offset of the nose between the eyes, 0 centred, ±1 at an eye",
    "nod": "pitch: position of the nose between eyes and mouth, 0 as in the mean face",
    "tilt_deg": "roll: rotation of the line between the eyes, degrees",
}
"""Quality measures of a face, with units."""

_PIXEL_MEASURES: Final = ("brightness", "contrast", "sharpness")
_POSE_MEASURES: Final = ("turn", "nod", "tilt_deg")


@dataclass(frozen=True, slots=True)
class FaceObservation:
    """One face at one time.

    Attributes:
        t_s: time on the source's clock, in seconds.
        track_id: track id of the face.
        embedding: (D,) float32; NaN if unknown.
        probabilities: (7,) float32, not smoothed; NaN if the policy permits no predictions.
        measures: (M,) float32 in the order of ``MEASURES``; NaN if unknown.
    """

    t_s: float
    track_id: str
    embedding: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    measures: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FaceBatch:
    """N observations as arrays.

    Attributes:
        embedding: (N, D) float32; NaN if unknown.
        probabilities: (N, 7) float32; NaN if the policy permits no predictions.
        measures: (N, M) float32 in the order of ``MEASURES``; NaN if unknown.
    """

    embedding: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    measures: NDArray[np.float32]

    @classmethod
    def of(cls, observations: Sequence[FaceObservation]) -> FaceBatch:
        """Return the batch of one or more observations."""
        return cls(
            np.stack([face.embedding for face in observations]),
            np.stack([face.probabilities for face in observations]),
            np.stack([face.measures for face in observations]),
        )

    @classmethod
    def join(cls, batches: Sequence[FaceBatch]) -> FaceBatch:
        """Return the concatenation of one or more batches."""
        return cls(
            np.concatenate([batch.embedding for batch in batches]),
            np.concatenate([batch.probabilities for batch in batches]),
            np.concatenate([batch.measures for batch in batches]),
        )

    def __len__(self) -> int:
        return len(self.embedding)

    def take(self, index: NDArray[np.int64]) -> FaceBatch:
        """Return the faces at the given indices, (K,) int64."""
        return FaceBatch(self.embedding[index], self.probabilities[index], self.measures[index])


def observe(
    t_s: float,
    track_ids: Sequence[str],
    faces: NDArray[np.uint8],
    prediction: Prediction,
    detections: Sequence[Detection | None] = (),
) -> tuple[FaceObservation, ...]:
    """Return one observation per face of a frame.

    Args:
        t_s: time of the frame in seconds.
        track_ids: N track ids.
        faces: (N, 1, 48, 48) uint8 model inputs.
        prediction: predictions for the faces.
        detections: detections of the faces; without them size and pose are NaN.
    """
    measures = measure(faces[:, 0], detections)
    rows = zip(track_ids, prediction.embedding, prediction.probabilities, measures, strict=True)
    return tuple(FaceObservation(t_s, name, embedding, probabilities, row) for name, embedding, probabilities, row in rows)


def unread_prediction(faces: int, width: int) -> Prediction:
    """Return a prediction of NaN for N ``faces``, with (N, ``width``) embeddings, for use without a model."""
    return Prediction(np.full((faces, len(EMOTIONS)), np.nan, np.float32), np.full((faces, width), np.nan, np.float32))


def measure(crops: NDArray[np.uint8], detections: Sequence[Detection | None] = ()) -> NDArray[np.float32]:
    """Return (N, M) float32 ``MEASURES`` of (N, 48, 48) uint8 crops; NaN without a detection or landmarks."""
    found = np.full((len(crops), len(MEASURES)), np.nan, np.float32)
    names = list(MEASURES)
    pixels = pixel_scores(crops)
    for name in _PIXEL_MEASURES:
        found[:, names.index(name)] = pixels[name]
    landmarks = np.full((len(crops), 5, 2), np.nan, np.float32)
    for i, detection in enumerate(detections):
        if detection is not None:
            found[i, names.index("face_size_px")] = detection.box.w
            if detection.landmarks is not None:
                landmarks[i] = detection.landmarks
    found[:, [names.index(name) for name in _POSE_MEASURES]] = pose_measures(landmarks)
    return found


def pose_measures(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, 3) float32 turn, nod and tilt from (N, 5, 2) landmarks; NaN landmarks give NaN."""
    known = np.isfinite(landmarks).all((1, 2))
    geometry = FaceGeometry(np.asarray(known, np.float32), landmarks).scores(np.zeros(len(landmarks), np.float32))
    return np.stack([geometry[name] for name in _POSE_MEASURES], 1)
