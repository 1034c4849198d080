"""What drift is looked for in: one face at one moment, as the model and a ruler see it.

An observation holds numbers only, for as long as the window they are counted in is open. It
knows no camera, no bundle and no person; a track's name is random and ends with its session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.audit.faces import FaceGeometry
from mien.audit.quality import pixel_scores
from mien.records import Detection, Prediction

MEASURES: Final[dict[str, str]] = {
    "brightness": "mean grey level of the crop, 0 to 255",
    "contrast": "standard deviation of the crop's grey levels",
    "sharpness": "fine detail: log10 of the Laplacian's variance over the crop's",
    "face_size_px": "width of the face in the frame, pixels",
    "turn": "sideways pose: the nose's offset between the eyes, 0 straight, ±1 at an eye",
    "nod": "up and down pose: where the nose stands between eyes and mouth, 0 as in the mean face",
    "tilt_deg": "turn of the eyes' line, degrees",
}
"""What is measured of every picture of a face, and in which unit."""

_PIXEL_MEASURES: Final = ("brightness", "contrast", "sharpness")
_POSE_MEASURES: Final = ("turn", "nod", "tilt_deg")


@dataclass(frozen=True, slots=True)
class FaceObservation:
    """One face at one moment.

    Attributes:
        t_s: when, on the source's clock, in seconds.
        track_id: the face's name while it is followed.
        embedding: (D,) float32, the model's; NaN where nobody has it.
        probabilities: (7,) float32, the model's answer, not smoothed; NaN where no model may read the face.
        measures: (M,) float32 in the order of ``MEASURES``; NaN where nobody knows.
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
        embedding: (N, D) float32; NaN where nobody has it.
        probabilities: (N, 7) float32; NaN where no model may read the face.
        measures: (N, M) float32 in the order of ``MEASURES``; NaN where nobody knows.
    """

    embedding: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    measures: NDArray[np.float32]

    @classmethod
    def of(cls, observations: Sequence[FaceObservation]) -> FaceBatch:
        """Return one observation or more as arrays."""
        return cls(
            np.stack([face.embedding for face in observations]),
            np.stack([face.probabilities for face in observations]),
            np.stack([face.measures for face in observations]),
        )

    @classmethod
    def join(cls, batches: Sequence[FaceBatch]) -> FaceBatch:
        """Return one batch or more as one."""
        return cls(
            np.concatenate([batch.embedding for batch in batches]),
            np.concatenate([batch.probabilities for batch in batches]),
            np.concatenate([batch.measures for batch in batches]),
        )

    def __len__(self) -> int:
        return len(self.embedding)

    def take(self, index: NDArray[np.int64]) -> FaceBatch:
        """Return the faces at these positions."""
        return FaceBatch(self.embedding[index], self.probabilities[index], self.measures[index])


def observe(
    t_s: float,
    track_ids: Sequence[str],
    faces: NDArray[np.uint8],
    prediction: Prediction,
    detections: Sequence[Detection | None] = (),
) -> tuple[FaceObservation, ...]:
    """Return one observation for each face of a frame.

    Args:
        t_s: the frame's time in seconds.
        track_ids: N names.
        faces: (N, 1, 48, 48) uint8, what the model was shown.
        prediction: what it made of them.
        detections: where the faces were in the frame; without them size and pose are unknown.
    """
    measures = measure(faces[:, 0], detections)
    rows = zip(track_ids, prediction.embedding, prediction.probabilities, measures, strict=True)
    return tuple(FaceObservation(t_s, name, embedding, answer, row) for name, embedding, answer, row in rows)


def measure(crops: NDArray[np.uint8], detections: Sequence[Detection | None] = ()) -> NDArray[np.float32]:
    """Return (N, M) float32 ``MEASURES`` of (N, 48, 48) uint8 crops; NaN where a detection does not tell."""
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
    """Return (N, 3) float32 turn, nod and tilt of faces by (N, 5, 2) landmarks; NaN where these are."""
    known = np.isfinite(landmarks).all((1, 2))
    geometry = FaceGeometry(np.asarray(known, np.float32), landmarks).scores(np.zeros(len(landmarks), np.float32))
    return np.stack([geometry[name] for name in _POSE_MEASURES], 1)
