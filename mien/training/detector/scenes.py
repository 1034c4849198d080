"""Synthetic scenes composed of backgrounds and heads, with labelled faces. A scene depends only on the seed and its number.

Faces are 12 to 300 pixels wide, rotated by up to 45 degrees, single or in groups, and complete or partly outside the scene.
The scene is then blurred, darkened, made noisy and compressed as by webcams. A quarter of the scenes contains no face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.records import Box
from mien.training.detector.backgrounds import draw_shape, procedural
from mien.training.detector.faces import TaughtFaces
from mien.training.detector.heads import MARGIN, DrawnHead, draw_cloths, draw_head
from mien.vision.detector import Detector

SCENE: Final = 224
"""Width and height of a scene in pixels."""
SMALLEST, LARGEST = 12.0, 300.0
"""Width of a face's box in pixels, before clipping to the scene."""
_FACELESS: Final = 0.25
_MIN_VISIBLE: Final = 0.55
"""Minimum share of a face inside the scene; faces with less are ignored in training."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture with labelled faces.

    Attributes:
        grey: (SCENE, SCENE) uint8.
        boxes: (F, 4) float32 left, top, width and height in pixels.
        landmarks: (F, 5, 2) float32 pixels.
        scores: (F,) float32 target scores, 0 to 1; negative for faces to ignore.
    """

    grey: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    scores: NDArray[np.float32]


class Composer:
    """Composes scenes by number.

    Args:
        faces: face crops.
        backgrounds: (H, W) uint8 pictures without faces; if empty, all backgrounds are procedural.
        seed: seed of the scenes.
        teacher: detector whose scores on the scene are used as soft targets; None for hard targets.
    """

    def __init__(
        self, faces: TaughtFaces, backgrounds: Sequence[NDArray[np.uint8]], seed: int, teacher: Detector | None = None
    ) -> None:
        self._faces, self._backgrounds, self._seed, self._teacher = faces, backgrounds, seed, teacher
        self._cloths = draw_cloths(np.random.default_rng(seed))

    def compose(self, number: int) -> Scene:
        """Return scene ``number``, from 0."""
        random = np.random.default_rng((self._seed, number))
        faceless = is_faceless(self._seed, number)
        tiles = not faceless and random.random() < 0.12
        canvas = self._tiles(random) if tiles else self._background(random, SCENE).astype(np.float32)
        placed: list[_Placed] = []
        if tiles:
            count = int(random.integers(2, 5))
            side = SCENE // count
            for row in range(count):
                for column in range(count):
                    if random.random() < 0.85:
                        size = side * random.uniform(0.3, 0.75)
                        centre = np.array((column + 0.5, row + 0.5)) * side + random.normal(0, 0.07, 2) * side
                        self._place(random, canvas, placed, size, centre, clip=(column * side, row * side, side))
        else:
            self._scatter(random, canvas, placed, faceless)
        grey = _degraded(random, canvas)
        return self._labelled(grey, [each for each in placed if each.is_face])

    def _background(self, random: np.random.Generator, side: int) -> NDArray[np.uint8]:
        if not self._backgrounds or random.random() < 0.15:
            return procedural(random, side)
        picture = self._backgrounds[int(random.integers(len(self._backgrounds)))]
        most = min(picture.shape)
        cut = int(min(most, max(48, most * random.uniform(0.12, 1) ** 1.2)))
        y, x = (int(random.integers(0, length - cut + 1)) for length in picture.shape)
        part: Any = picture[y : y + cut, x : x + cut]
        how = cv2.INTER_AREA if cut > side else cv2.INTER_LINEAR
        part = cv2.resize(part, (side, side), interpolation=how)
        if random.random() < 0.5:
            part = part[:, ::-1]
        if random.random() < 0.08:
            part = np.rot90(part, int(random.integers(1, 4)))
        if random.random() < 0.3:
            part = np.clip((part.astype(np.float32) - 128) * random.uniform(0.4, 1.3) + 128 + random.normal(0, 25), 0, 255)
        return np.ascontiguousarray(part, np.uint8)

    def _tiles(self, random: np.random.Generator) -> NDArray[np.float32]:
        """Return the canvas of a gallery, with one background for all tiles or one for each tile."""
        level = float(random.integers(0, 256))
        canvas = np.full((SCENE, SCENE), level, np.float32)
        count = int(random.integers(2, 5))
        side = SCENE // count
        gap = int(random.integers(0, 5))
        for row in range(count):
            for column in range(count):
                tile = self._background(random, side) if random.random() < 0.8 else np.full((side, side), level, np.uint8)
                y, x = row * side + gap, column * side + gap
                canvas[y : y + side - 2 * gap, x : x + side - 2 * gap] = tile[: side - 2 * gap, : side - 2 * gap]
        return canvas

    def _scatter(self, random: np.random.Generator, canvas: NDArray[np.float32], placed: list[_Placed], faceless: bool) -> None:
        for _ in range(int(random.integers(0, 4)) if random.random() < 0.15 else 0):
            shapes = canvas.astype(np.uint8)
            draw_shape(random, shapes)
            canvas[:] = shapes
        decoys = int(random.integers(1, 4)) if random.random() < (0.35 if faceless else 0.15) else 0
        for _ in range(decoys):
            self._place(random, canvas, placed, _size(random), random.uniform(0, SCENE, 2), decoy=True)
        if faceless:
            return
        largest = _size(random)
        many = 1 + random.poisson(0.5 if largest > 110 else 1.3 if largest > 50 else 3.0)
        for k in range(many):
            size = largest if k == 0 else min(_size(random), max(60.0, largest * random.uniform(0.3, 1)))
            reach = 0.15 if size > 80 else 0.03
            centre = random.uniform(-reach * size, SCENE + reach * size, 2)
            if size > 100:  # large faces are moved towards the centre
                centre = SCENE / 2 + (centre - SCENE / 2) * random.uniform(0.3, 1)
            self._place(random, canvas, placed, size, centre)

    def _place(
        self,
        random: np.random.Generator,
        canvas: NDArray[np.float32],
        placed: list[_Placed],
        size: float,
        centre: NDArray[np.float64],
        decoy: bool = False,
        clip: tuple[int, int, int] = (0, 0, SCENE),
    ) -> None:
        """Paste a head with a face ``size`` pixels wide into the canvas, unless it would cover another face."""
        which = int(random.integers(len(self._faces)))
        faces = self._faces
        zoom = 1 if size < 60 else 2 if size < 130 else 3
        head = draw_head(random, faces.images[which], faces.boxes[which], faces.landmarks[which], zoom, self._cloths, decoy)
        transform = _pose(random, head, size, centre)
        box, landmarks = moved_box(transform, head.box), head.landmarks @ transform[:, :2].T + transform[:, 2]
        middle = Box(*(float(v) for v in box))
        if any(other.overlap(middle) > 0.15 for other in placed):
            return
        picture_to_crop = np.array(
            [[1 / zoom, 0, 0.5 / zoom - 0.5 - MARGIN], [0, 1 / zoom, 0.5 / zoom - 0.5 - MARGIN], [0, 0, 1]]
        )
        matrix = (np.vstack([transform, (0, 0, 1)]) @ picture_to_crop)[:2]
        shrink = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
        pixels: Any = head.pixels
        opacity: Any = head.opacity
        if shrink < 0.7:  # blurred first to avoid aliasing of small faces
            sigma = 0.4 / shrink
            pixels, opacity = cv2.GaussianBlur(pixels * opacity, (0, 0), sigma), cv2.GaussianBlur(opacity, (0, 0), sigma)
        else:
            pixels = pixels * opacity  # premultiplied, so that edges do not contain colours from outside the head
        side = len(pixels) - 1.0
        corners = np.array([(0, 0), (side, 0), (0, side), (side, side)]) @ matrix[:, :2].T + matrix[:, 2]
        x0, y0 = (max(int(v), low) for v, low in zip(corners.min(0), clip[:2], strict=True))
        x1, y1 = (min(math.ceil(v), low + clip[2]) for v, low in zip(corners.max(0), clip[:2], strict=True))
        if x1 > x0 and y1 > y0:
            matrix[:, 2] -= (x0, y0)
            front, cover = (
                cv2.warpAffine(layer, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR) for layer in (pixels, opacity)
            )
            part = canvas[y0:y1, x0:x1]
            part *= 1 - cover
            part += front
        seen = _share_inside(middle, (clip[0], clip[1], clip[0] + clip[2], clip[1] + clip[2]))
        placed.append(_Placed(middle, landmarks.astype(np.float32), 1.0 if seen >= _MIN_VISIBLE else -1.0, head.is_face))

    def _labelled(self, grey: NDArray[np.uint8], placed: Sequence[_Placed]) -> Scene:
        """Return the scene with its faces; the teacher, if any, determines their target scores."""
        boxes = [(each.box.x, each.box.y, each.box.w, each.box.h) for each in placed]
        landmarks = [each.landmarks for each in placed]
        scores = [each.score for each in placed]
        if self._teacher is not None:
            found = list(self._teacher.detect(np.repeat(grey[..., None], 3, axis=2)))
            for k, each in enumerate(placed):
                best = max(found, key=lambda detection: detection.box.iou(each.box), default=None)
                if best is None or best.box.iou(each.box) < 0.4:
                    scores[k] = min(scores[k], 0.6)
                    continue
                found.remove(best)
                if each.score < 0:
                    scores[k] = best.score  # detected by the teacher although it is largely outside the scene
                else:
                    scores[k] = 0.6 + 0.4 * best.score
            for extra in found:
                assert extra.landmarks is not None
                if extra.score > 0.6:  # possibly a face in the background, so it is ignored
                    boxes.append((extra.box.x, extra.box.y, extra.box.w, extra.box.h))
                    landmarks.append(extra.landmarks)
                    scores.append(-1.0)
        n = len(boxes)
        return Scene(
            grey,
            np.array(boxes, np.float32).reshape(n, 4),
            np.array(landmarks, np.float32).reshape(n, 5, 2),
            np.array(scores, np.float32),
        )


@dataclass(frozen=True, slots=True)
class _Placed:
    """A head in a scene."""

    box: Box
    landmarks: NDArray[np.float32]
    score: float
    is_face: bool

    def overlap(self, other: Box) -> float:
        """Return the intersection with another box as a share of the smaller box."""
        across = min(self.box.x + self.box.w, other.x + other.w) - max(self.box.x, other.x)
        down = min(self.box.y + self.box.h, other.y + other.h) - max(self.box.y, other.y)
        return max(0.0, across) * max(0.0, down) / min(self.box.w * self.box.h, other.w * other.h)


def is_faceless(seed: int, number: int) -> bool:
    """Return whether scene ``number`` has no face, without composing it."""
    return bool(np.random.default_rng((seed, number, 1)).random() < _FACELESS)


def moved_box(transform: NDArray[np.float64], box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the bounding box (4,) of the ellipse inscribed in ``box`` (4,) after a (2, 3) affine transform."""
    centre = transform[:, :2] @ (box[:2] + box[2:] / 2) + transform[:, 2]
    half = np.sqrt(((transform[:, :2] * (box[2:] / 2)) ** 2).sum(1))
    return np.concatenate([centre - half, 2 * half])


def _size(random: np.random.Generator) -> float:
    return float(np.exp(random.uniform(math.log(SMALLEST), math.log(LARGEST))))


def _pose(random: np.random.Generator, head: DrawnHead, size: float, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a random (2, 3) transform from crop to scene pixels: rotation, horizontal squeeze as of a turned head, shear."""
    turn = math.radians(float(np.clip(random.normal(0, 14), -45, 45)) if random.random() < 0.75 else random.uniform(-45, 45))
    squeeze = random.uniform(0.6, 1) if random.random() < 0.25 else random.uniform(0.9, 1.08)
    scale = size / float(head.box[2])
    inner: Any = np.array([[scale * squeeze, scale * random.normal(0, 0.06)], [scale * random.normal(0, 0.03), scale]])
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotation @ inner
    middle = head.box[:2] + head.box[2:] / 2
    return np.column_stack([linear, centre - linear @ middle])


def _share_inside(box: Box, limits: tuple[float, float, float, float]) -> float:
    x0, y0, x1, y1 = limits
    across = min(box.x + box.w, x1) - max(box.x, x0)
    down = min(box.y + box.h, y1) - max(box.y, y0)
    return max(0.0, across) * max(0.0, down) / max(box.w * box.h, 1e-6)


def _degraded(random: np.random.Generator, canvas: Any) -> NDArray[np.uint8]:
    """Return the scene with random camera artefacts: blur, low light, noise and compression."""
    chance = random.random(7)
    if chance[0] < 0.3:
        canvas = 255 * (np.clip(canvas, 0, 255) / 255) ** float(np.exp(random.normal(0, 0.35)))
    if chance[1] < 0.2:
        canvas = cv2.GaussianBlur(canvas, (0, 0), random.uniform(0.4, 1.6))
    elif chance[1] < 0.26:  # motion blur
        length = int(random.integers(2, 7))
        kernel = np.ones((1, length) if random.random() < 0.7 else (length, 1), np.float32) / length
        canvas = cv2.filter2D(canvas, -1, kernel)
    elif chance[1] < 0.36:  # low resolution
        side = int(SCENE * random.uniform(0.5, 0.9))
        small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
        canvas = cv2.resize(small, (SCENE, SCENE), interpolation=cv2.INTER_LINEAR)
    if chance[2] < 0.15:  # a dark room
        canvas = canvas * float(np.exp(random.uniform(math.log(0.04), 0)))
    elif chance[2] < 0.35:
        canvas = (canvas - 128) * random.uniform(0.5, 1.2) + 128 + random.normal(0, 20)
    if chance[3] < 0.4:
        noise = random.standard_normal((SCENE, SCENE), np.float32)
        canvas = canvas + float(random.exponential(4)) * noise
    grey = np.asarray(np.clip(canvas, 0, 255), np.uint8)
    if chance[4] < 0.35:
        quality = int(random.integers(25, 90))
        grey = np.asarray(cv2.imdecode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE))
    return grey
