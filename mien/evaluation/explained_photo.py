"""Class-activation maps overlaid on the faces of a photo, with probabilities beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.drawing import CLASS_RGB, WHITE, Canvas, Rgb, ink_on
from mien.emotions import EMOTIONS
from mien.evaluation.explanation import evidence, face_with_map, heatmap, overlay
from mien.files import atomic_path
from mien.preprocess import resize_crop, to_grey
from mien.records import Box, Detection
from mien.vision.aligner import align_faces, crop_transform
from mien.vision.detector import Detector
from mien.vision.predictor import Predictor
from mien.words import exact_percent

_INK: Final[Rgb] = (28, 32, 38)
_SOFT: Final[Rgb] = (110, 118, 130)
_TRACK: Final[Rgb] = (232, 235, 239)
_LONGEST: Final = 900
_PANEL: Final = 330.0
_ROW: Final = 190.0
_GAP: Final = 16.0


@dataclass(frozen=True, slots=True)
class ExplainedFace:
    """One face of a photo.

    Attributes:
        detection: the detected face.
        crop: (48, 48) uint8 model input.
        probabilities: (7,) float32.
        explained: index of the explained class.
        evidence_map: (h, w) float32 evidence for it.
        uncertain: whether the confidence is below the threshold on the bundle's card.
    """

    detection: Detection
    crop: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    explained: int
    evidence_map: NDArray[np.float32]
    uncertain: bool

    @property
    def text(self) -> str:
        """Label and confidence; an uncertain one has a question mark."""
        best = int(self.probabilities.argmax())
        return f"{EMOTIONS[best]}{'?' if self.uncertain else ''} {exact_percent(float(self.probabilities[best]), 0)}"

    def as_dict(self) -> dict[str, Any]:
        """Return the face as a JSON-compatible dict."""
        box = self.detection.box
        return {
            "box": [round(v, 1) for v in (box.x, box.y, box.w, box.h)],
            "label": EMOTIONS[int(self.probabilities.argmax())],
            "confidence": round(float(self.probabilities.max()), 4),
            "uncertain": self.uncertain,
            "probabilities": {name: round(float(p), 4) for name, p in zip(EMOTIONS, self.probabilities, strict=True)},
            "explained": EMOTIONS[self.explained],
        }


def explain_photo(
    image: NDArray[np.uint8], detector: Detector | None, predictor: Predictor, expression: str | None = None
) -> list[ExplainedFace]:
    """Return the explained faces of a photo from left to right; empty without faces.

    Args:
        image: (H, W, 3) uint8 BGR.
        detector: the face detector; None if the image is a face crop.
        predictor: predictor of a bundle with activation maps.
        expression: the class to explain; None for the predicted class of each face.

    Raises:
        BundleError: the bundle has no activation maps.
    """
    height, width = image.shape[:2]
    if detector is None:
        side = min(height, width)
        box = Box((width - side) / 2, (height - side) / 2, side, side)
        detections: Sequence[Detection] = [Detection(box, 1.0, None)]
        faces = resize_crop(to_grey(image))[None, None]
    else:
        detections = detector.detect(image)
        faces = align_faces(image, detections)
    if not detections:
        return []
    prediction, maps = predictor.explain(faces)
    below = predictor.card.uncertain_below
    predicted = prediction.probabilities.argmax(1)
    explained = np.full(len(predicted), EMOTIONS.index(expression)) if expression else predicted
    evidence_maps = evidence(maps, explained)
    return [
        ExplainedFace(
            detection, faces[i, 0], row, int(explained[i]), evidence_maps[i], bool(row.max() < below[EMOTIONS[int(predicted[i])]])
        )
        for i, (detection, row) in enumerate(zip(detections, prediction.probabilities, strict=True))
    ]


def draw_explained(target: Path, image: NDArray[np.uint8], faces: Sequence[ExplainedFace], of_crop: bool = False) -> None:
    """Write a PNG of the photo with the evidence overlaid on every face, and the crop, map and probabilities of each face.

    Args:
        target: the file to write.
        image: (H, W, 3) uint8 BGR.
        faces: the explained faces, at least one.
        of_crop: whether the image is a face crop, which the map then fills.
    """
    combined = np.zeros(image.shape[:2], np.float32)
    for face in faces:
        combined = np.maximum(combined, _in_photo(face, image.shape, of_crop))
    picture = overlay(image, combined)
    zoom = _LONGEST / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * zoom)), max(1, round(image.shape[0] * zoom)))
    shrink = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    photo = cv2.cvtColor(cv2.resize(picture, size, interpolation=shrink), cv2.COLOR_BGR2RGB)
    columns = max(1, -(-len(faces) * round(_ROW) // max(size[1], round(_ROW))))
    rows = -(-len(faces) // columns)
    width = round(size[0] + 2 * _GAP + columns * (_PANEL + _GAP))
    height = round(max(size[1], rows * _ROW) + 2 * _GAP)
    page = Canvas(2 * width, 2 * height, 2.0, WHITE)
    corner = 2 * round(_GAP)
    large = cv2.resize(photo, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)
    page.image[corner : corner + large.shape[0], corner : corner + large.shape[1]] = large
    for number, face in enumerate(faces):
        box = face.detection.box
        label = str(number + 1)
        x, y = _GAP + max(box.x, 0) * zoom, _GAP + max(box.y, 0) * zoom
        page.pill(x, y, 20, 20, 10, CLASS_RGB[face.explained])
        page.text(x + 10, y + 2, label, 13, ink_on(CLASS_RGB[face.explained]), "centre")
        left = size[0] + 2 * _GAP + number // rows * (_PANEL + _GAP)
        _draw_panel(page, face, label, left, _GAP + number % rows * _ROW)
    with atomic_path(target, private=True) as temporary:
        Image.fromarray(page.image).resize((width, height), Image.Resampling.BOX).save(temporary, format="PNG")


def _in_photo(face: ExplainedFace, shape: tuple[int, ...], of_crop: bool) -> NDArray[np.float32]:
    """Return (H, W) float32: the heatmap of a face in coordinates of the photo, 0 elsewhere."""
    local = heatmap(face.evidence_map)
    height, width = shape[:2]
    if of_crop:
        box = face.detection.box
        scale = len(local) / box.w
        transform = np.array([[scale, 0, -box.x * scale], [0, scale, -box.y * scale]])
    else:
        transform = crop_transform(face.detection)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # the transform maps photo to crop coordinates, as WARP_INVERSE_MAP requires
    return np.asarray(cv2.warpAffine(local, transform, (width, height), flags=flags), np.float32)


def _draw_panel(page: Canvas, face: ExplainedFace, label: str, x: float, y: float) -> None:
    """Draw the crop, map and probabilities of one face with the top-left corner at (x, y)."""
    page.text(x, y, f"{label}: {face.text}", 15, _INK)
    page.text(x + _PANEL, y + 3, f"evidence for {EMOTIONS[face.explained]}", 11.5, _SOFT, "right")
    pair = cv2.cvtColor(face_with_map(face.crop, face.evidence_map, 4), cv2.COLOR_BGR2RGB)
    pair = np.concatenate([pair[:, :192], pair[:, 192:]], 0)  # crop above map
    small = cv2.resize(pair, (2 * 72, 2 * 146), interpolation=cv2.INTER_AREA)
    left, top = page.px(x), page.px(y + 24)
    page.image[top : top + small.shape[0], left : left + small.shape[1]] = small
    for k, name in enumerate(EMOTIONS):
        line = y + 26 + k * 20.5
        share = float(face.probabilities[k])
        page.text(x + 84, line, name, 12, _INK)
        page.bar(x + 144, line + 3, _PANEL - 144 - 42, 9, share, CLASS_RGB[k], _TRACK)
        page.text(x + _PANEL, line, exact_percent(share, 0), 12, _INK, "right")
