"""A photo with its faces read and explained: the maps drawn where the faces are, the numbers beside them."""

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
from mien.evaluation.explanation import evidence, face_with_map, heat, lay_over
from mien.files import atomic_path
from mien.preprocess import INPUT_SIZE
from mien.records import Box, Detection
from mien.vision.aligner import align_faces, crop_transform
from mien.vision.detector import Detector
from mien.vision.predictor import Predictor

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
        detection: where it is.
        crop: (48, 48) uint8, what the model saw.
        probabilities: (7,) float32.
        shown: index of the class whose evidence is shown.
        places: (h, w) float32, the evidence for it.
        uncertain: whether the reading should be taken for a guess, by the bundle's card.
    """

    detection: Detection
    crop: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    shown: int
    places: NDArray[np.float32]
    uncertain: bool

    @property
    def words(self) -> str:
        """The reading as people see it; a guess carries a question mark."""
        best = int(self.probabilities.argmax())
        return f"{EMOTIONS[best]}{'?' if self.uncertain else ''} {self.probabilities[best]:.0%}"

    def as_dict(self) -> dict[str, Any]:
        """Return the face as plain values."""
        box = self.detection.box
        return {
            "box": [round(v, 1) for v in (box.x, box.y, box.w, box.h)],
            "label": EMOTIONS[int(self.probabilities.argmax())],
            "confidence": round(float(self.probabilities.max()), 4),
            "uncertain": self.uncertain,
            "probabilities": {name: round(float(p), 4) for name, p in zip(EMOTIONS, self.probabilities, strict=True)},
            "explained": EMOTIONS[self.shown],
        }


def explain_photo(
    image: NDArray[np.uint8], detector: Detector | None, predictor: Predictor, expression: str | None = None
) -> list[ExplainedFace]:
    """Return the faces of a photo, read and explained, from left to right; empty where there is none.

    Args:
        image: (H, W, 3) uint8 BGR.
        detector: finds the faces; None for an image that is a face crop already.
        predictor: a bundle with activation maps.
        expression: the class whose evidence is wanted; None for each face's own answer.

    Raises:
        BundleError: the bundle has no maps.
    """
    height, width = image.shape[:2]
    if detector is None:
        side = min(height, width)
        box = Box((width - side) / 2, (height - side) / 2, side, side)
        detections: Sequence[Detection] = [Detection(box, 1.0, None)]
        left, top = int(box.x), int(box.y)
        grey = cv2.cvtColor(image[top : top + side, left : left + side], cv2.COLOR_BGR2GRAY)
        shrink = side > INPUT_SIZE
        small = cv2.resize(grey, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
        faces = np.asarray(small, np.uint8)[None, None]
    else:
        detections = detector.detect(image)
        faces = align_faces(image, detections)
    if not detections:
        return []
    prediction, maps = predictor.explain(faces)
    doubt = predictor.card.uncertain_below
    own = prediction.probabilities.argmax(1)
    shown = np.full(len(own), EMOTIONS.index(expression)) if expression else own
    places = evidence(maps, shown)
    return [
        ExplainedFace(detection, faces[i, 0], row, int(shown[i]), places[i], bool(row.max() < doubt))
        for i, (detection, row) in enumerate(zip(detections, prediction.probabilities, strict=True))
    ]


def draw_explained(target: Path, image: NDArray[np.uint8], faces: Sequence[ExplainedFace], of_crop: bool = False) -> None:
    """Write a PNG: the photo with the evidence drawn on every face, and each face's crop, map and seven numbers.

    Args:
        target: the file.
        image: (H, W, 3) uint8 BGR.
        faces: what was found in it, at least one.
        of_crop: the image is a face crop itself, so the evidence fills it.
    """
    warmth = np.zeros(image.shape[:2], np.float32)
    for face in faces:
        warmth = np.maximum(warmth, _in_photo(face, image.shape, of_crop))
    picture = lay_over(image, warmth)
    zoom = _LONGEST / max(image.shape[:2])
    size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
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
        page.pill(x, y, 20, 20, 10, CLASS_RGB[face.shown])
        page.text(x + 10, y + 2, label, 13, ink_on(CLASS_RGB[face.shown]), "centre")
        left = size[0] + 2 * _GAP + number // rows * (_PANEL + _GAP)
        _draw_panel(page, face, label, left, _GAP + number % rows * _ROW)
    with atomic_path(target) as temporary:
        Image.fromarray(page.image).resize((width, height), Image.Resampling.BOX).save(temporary, format="PNG")


def _in_photo(face: ExplainedFace, shape: tuple[int, ...], of_crop: bool) -> NDArray[np.float32]:
    """Return (H, W) float32: the face's evidence where the face is in the photo, 0 elsewhere."""
    warm = heat(face.places)
    height, width = shape[:2]
    if of_crop:
        box = face.detection.box
        scale = len(warm) / box.w
        transform = np.array([[scale, 0, -box.x * scale], [0, scale, -box.y * scale]])
    else:
        transform = crop_transform(face.detection)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # the transform leads from the photo to the crop, which is what an inverse map wants
    return np.asarray(cv2.warpAffine(warm, transform, (width, height), flags=flags), np.float32)


def _draw_panel(page: Canvas, face: ExplainedFace, label: str, x: float, y: float) -> None:
    """Draw one face's crop, its map and its seven probabilities, the top-left corner at (x, y)."""
    page.text(x, y, f"{label}: {face.words}", 15, _INK)
    page.text(x + _PANEL, y + 3, f"evidence for {EMOTIONS[face.shown]}", 11.5, _SOFT, "right")
    pair = cv2.cvtColor(face_with_map(face.crop, face.places, 4), cv2.COLOR_BGR2RGB)
    pair = np.concatenate([pair[:, :192], pair[:, 192:]], 0)  # one below the other
    small = cv2.resize(pair, (2 * 72, 2 * 146), interpolation=cv2.INTER_AREA)
    left, top = page.px(x), page.px(y + 24)
    page.image[top : top + small.shape[0], left : left + small.shape[1]] = small
    for k, name in enumerate(EMOTIONS):
        line = y + 26 + k * 20.5
        share = float(face.probabilities[k])
        page.text(x + 84, line, name, 12, _INK)
        page.bar(x + 144, line + 3, _PANEL - 144 - 42, 9, share, CLASS_RGB[k], _TRACK)
        page.text(x + _PANEL, line, f"{share:.0%}", 12, _INK, "right")
