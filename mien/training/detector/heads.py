"""Heads drawn around FER2013's faces, so that 48-pixel crops can be pasted into pictures.

FER2013's crops end at the forehead, the ears and the chin. Hair, a neck and shoulders are drawn around them, and sometimes
a hat, glasses, a mask or a hand over them, so that the network learns faces instead of the edges of squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.preprocess import INPUT_SIZE
from mien.training.detector.faces import mirrored

MARGIN: Final = 32
"""Width in crop pixels of the margin around the crop in the picture of a head."""
_EXTENT: Final = INPUT_SIZE + 2 * MARGIN


@dataclass(frozen=True, slots=True)
class DrawnHead:
    """A picture of a head with an alpha mask.

    Attributes:
        pixels: (S, S) float32 grey; a crop pixel is S / 112 of its pixels.
        opacity: (S, S) float32, 0 to 1.
        box: (4,) float32 left, top, width, height in crop pixels.
        landmarks: (5, 2) float32 crop pixels.
        is_face: False for a decoy, which gets no label.
    """

    pixels: NDArray[np.float32]
    opacity: NDArray[np.float32]
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    is_face: bool


def draw_head(
    random: np.random.Generator,
    image: NDArray[np.uint8],
    box: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    zoom: int,
    cloths: Sequence[NDArray[np.float32]],
    decoy: bool = False,
) -> DrawnHead:
    """Return a head around a crop (48, 48) uint8.

    Args:
        random: random generator.
        image: the crop.
        box: (4,) box of the face in crop pixels.
        landmarks: (5, 2) landmarks of the face in crop pixels.
        zoom: pixels of the picture per crop pixel, 1 to 3.
        cloths: textures for hair and clothes, from ``draw_cloths``.
        decoy: draw something that is not a face: shuffled blocks of the crop, or the back of a head.
    """
    if random.random() < 0.5:
        image, (box, landmarks) = image[:, ::-1], mirrored(box, landmarks)
    light = image.astype(np.float32)
    if decoy and random.random() < 0.5:
        light = _scrambled(random, light)
    face = _enlarged(random, light, zoom)
    face = _relit(random, face)
    side = _EXTENT * zoom
    pixels, opacity = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
    skin = float(np.median(face))
    bare = random.random() < 0.2  # the crop alone, as on a slide or in a portrait gallery
    if not bare:
        _body(random, pixels, opacity, skin, zoom, cloths)
    start, end = MARGIN * zoom, (MARGIN + INPUT_SIZE) * zoom
    mask = np.ones_like(face) if bare and random.random() < 0.6 else _oval(random, zoom)
    inside = np.s_[start:end, start:end]
    if not decoy or bare or random.random() < 0.6:
        pixels[inside] = pixels[inside] * (1 - mask) + face * mask
        opacity[inside] = np.maximum(opacity[inside], mask)
    if not bare:
        _accessories(random, pixels, opacity, landmarks, skin, zoom, cloths)
    return DrawnHead(pixels, opacity, box, landmarks, not decoy)


def _scrambled(random: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the image with its blocks shuffled."""
    count = int(random.choice([2, 3, 4]))
    side = INPUT_SIZE // count
    blocks = [image[r * side : (r + 1) * side, c * side : (c + 1) * side] for r in range(count) for c in range(count)]
    while True:
        order = random.permutation(len(blocks))
        if (order != np.arange(len(blocks))).sum() >= len(blocks) * 3 // 4:
            break
    turned = [np.rot90(blocks[i], int(random.integers(4))) for i in order]
    return np.vstack([np.hstack(turned[r * count : (r + 1) * count]) for r in range(count)])


def _enlarged(random: np.random.Generator, image: NDArray[np.float32], zoom: int) -> NDArray[np.float32]:
    """Return the crop enlarged by ``zoom`` and sharpened, since enlarging blurs it."""
    side = INPUT_SIZE * zoom
    face: Any = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=cv2.INTER_CUBIC)
    if zoom > 1 and random.random() < 0.8:
        for sigma in (0.45 * zoom, 0.9 * zoom):
            face = face + random.uniform(0.1, 0.7) * (face - cv2.GaussianBlur(face, (0, 0), sigma))
        if random.random() < 0.6:  # fine texture such as pores and hair
            fine = random.standard_normal((side, side)).astype(np.float32)
            face = face + random.uniform(1, 5) * cv2.GaussianBlur(fine, (0, 0), random.uniform(0.4, 1.2))
    return np.asarray(np.clip(face, 0, 255), np.float32)


def _relit(random: np.random.Generator, face: Any) -> NDArray[np.float32]:
    side = face.shape[0]
    face = 255 * (face / 255) ** float(np.exp(random.normal(0, 0.2)))
    mean = float(face.mean())
    face = (face - mean) * random.uniform(0.6, 1.15) + mean + random.normal(0, 15)
    if random.random() < 0.4:  # light from one side
        y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
        turn, strength = random.uniform(0, 2 * np.pi), random.uniform(0.2, 1.2)
        face = face * np.clip(1 + strength * (x * np.cos(turn) + y * np.sin(turn)), 0.1, 2)
    return np.asarray(np.clip(face, 0, 255), np.float32)


def _oval(random: np.random.Generator, zoom: int) -> NDArray[np.float32]:
    """Return an oval alpha mask (S, S) with soft edges for a crop."""
    side = INPUT_SIZE * zoom
    mask: Any = np.zeros((side, side), np.float32)
    centre = (round((23.5 + random.normal(0, 0.7)) * zoom), round((24.5 + random.normal(0, 1)) * zoom))
    half = (round(random.uniform(18, 23) * zoom), round(random.uniform(22, 27) * zoom))
    cv2.ellipse(mask, centre, half, random.normal(0, 4), 0, 360, 1.0, -1, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), random.uniform(0.4, 2.2) * zoom)
    edge = max(1, round(random.uniform(0.5, 3) * zoom))
    ramp = np.minimum(np.arange(side), np.arange(side)[::-1]).astype(np.float32)
    ramp = np.clip((ramp + 1) / edge, 0, 1)
    return np.asarray(mask * ramp[None] * ramp[:, None], np.float32)


def _paint(
    pixels: NDArray[np.float32], opacity: NDArray[np.float32], shape: NDArray[np.float32], tone: NDArray[np.float32] | float
) -> None:
    """Blend ``tone`` into the picture with the alpha mask ``shape`` (S, S), in place."""
    pixels *= 1 - shape
    pixels += tone * shape
    np.maximum(opacity, shape, out=opacity)


def _soft(random: np.random.Generator, shape: NDArray[np.float32], zoom: int, most: float = 1.2) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), random.uniform(0.25, most) * zoom), np.float32)


def draw_cloths(random: np.random.Generator, count: int = 64) -> list[NDArray[np.float32]]:
    """Return textures (400, 400) float32 around 0 for hair and clothes."""
    found = []
    for _ in range(count):
        grain = random.standard_normal((int(random.integers(8, 90)), int(random.integers(8, 90)))).astype(np.float32)
        found.append(random.uniform(2, 22) * cv2.resize(grain, (400, 400), interpolation=cv2.INTER_LINEAR))
    return found


def _cloth(random: np.random.Generator, cloths: Sequence[NDArray[np.float32]], side: int) -> NDArray[np.float32]:
    """Return a random piece (side, side) of a texture with a random mean grey level."""
    tone = random.choice([random.uniform(15, 70), random.uniform(20, 230)])
    whole = cloths[int(random.integers(len(cloths)))]
    y, x = random.integers(0, len(whole) - side + 1, 2)
    return np.asarray(whole[y : y + side, x : x + side] + np.float32(tone), np.float32)


def _body(
    random: np.random.Generator,
    pixels: NDArray[np.float32],
    opacity: NDArray[np.float32],
    skin: float,
    zoom: int,
    cloths: Sequence[NDArray[np.float32]],
) -> None:
    """Draw hair behind the face, neck and shoulders."""
    side = pixels.shape[0]
    cx, cy = side / 2 + random.normal(0, 1) * zoom, side / 2
    if random.random() < 0.75:  # hair, or a bald head
        shape = np.zeros_like(pixels)
        half = (round(random.uniform(19, 29) * zoom), round(random.uniform(25, 33) * zoom))
        cv2.ellipse(shape, (round(cx), round(cy - random.uniform(2, 8) * zoom)), half, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
        if random.random() < 0.3:  # long hair
            low = round(cy + random.uniform(10, 45) * zoom)
            cv2.rectangle(shape, (round(cx - half[0]), round(cy)), (round(cx + half[0]), low), 1.0, -1)
        bald = random.random() < 0.2
        _paint(pixels, opacity, _soft(random, shape, zoom, 2), skin if bald else _cloth(random, cloths, side))
    if random.random() < 0.75:
        shape = np.zeros_like(pixels)
        wide, top = random.uniform(9, 14) * zoom, cy + random.uniform(10, 18) * zoom
        cv2.rectangle(shape, (round(cx - wide), round(top)), (round(cx + wide), side), 1.0, -1)
        _paint(pixels, opacity, _soft(random, shape, zoom), skin * random.uniform(0.6, 1.0))
        shape = np.zeros_like(pixels)
        collar = cy + random.uniform(25, 38) * zoom
        slope = random.uniform(4, 16) * zoom
        neckline = [(cx - 1.4 * wide, collar), (cx, collar + random.uniform(0, 10) * zoom), (cx + 1.4 * wide, collar)]
        corners = np.array([*neckline, (side, collar + slope), (side, side), (0, side), (0, collar + slope)])
        cv2.fillPoly(shape, [corners.astype(np.int32)], 1.0, cv2.LINE_AA)
        _paint(pixels, opacity, _soft(random, shape, zoom), _cloth(random, cloths, side))


def _accessories(
    random: np.random.Generator,
    pixels: NDArray[np.float32],
    opacity: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    skin: float,
    zoom: int,
    cloths: Sequence[NDArray[np.float32]],
) -> None:
    """Draw a fringe or hat, glasses, a mask, a hand or another occlusion over the face, each with some probability."""
    side = pixels.shape[0]
    points = (landmarks + MARGIN) * zoom
    right, left, _, mouth_right, mouth_left = points
    eyes, mouth = (right + left) / 2, (mouth_right + mouth_left) / 2
    apart = max(float(np.linalg.norm(left - right)), 4.0 * zoom)
    chance = random.random(5)
    if chance[0] < 0.25:  # a fringe, or the brim of a hat
        shape = np.zeros_like(pixels)
        low = eyes[1] - random.uniform(0.25, 0.8) * apart
        centre = (round(float(eyes[0]) + random.normal(0, 4) * zoom), round(float(low) - 22 * zoom))
        half = (round(random.uniform(18, 30) * zoom), 22 * zoom)
        cv2.ellipse(shape, centre, half, random.normal(0, 8), 0, 360, 1.0, -1, cv2.LINE_AA)
        _paint(pixels, opacity, _soft(random, shape, zoom), _cloth(random, cloths, side))
    if chance[1] < 0.2:  # glasses
        dark = random.random() < 0.35
        ink = float(random.choice([random.uniform(0, 60), random.uniform(120, 255)]))
        shape = np.zeros_like(pixels)
        half = (round(random.uniform(0.3, 0.46) * apart), round(random.uniform(0.2, 0.4) * apart))
        thick = -1 if dark else max(1, round(random.uniform(0.3, 1.4) * zoom))
        for eye in (right, left):
            cv2.ellipse(shape, (round(float(eye[0])), round(float(eye[1]))), half, 0, 0, 360, 1.0, thick, cv2.LINE_AA)
        ends = [tuple(int(v) for v in p) for p in (right + (left - right) * 0.4, right + (left - right) * 0.6)]
        cv2.line(shape, ends[0], ends[1], 1.0, max(1, zoom), cv2.LINE_AA)
        _paint(pixels, opacity, shape * random.uniform(0.7, 1), ink)
    if chance[2] < 0.1:  # a mask
        shape = np.zeros_like(pixels)
        down = (mouth - eyes) / max(float(np.linalg.norm(mouth - eyes)), 1.0)
        across = np.array((-down[1], down[0]))
        upper, lower = eyes + down * random.uniform(0.35, 0.7) * apart, mouth + down * random.uniform(0.4, 0.8) * apart
        wide = random.uniform(0.7, 1.0) * apart
        corners = [upper - across * wide, upper + across * wide, lower + across * wide * 0.6, lower - across * wide * 0.6]
        cv2.fillPoly(shape, [np.array(corners).astype(np.int32)], 1.0, cv2.LINE_AA)
        _paint(pixels, opacity, _soft(random, shape, zoom), _cloth(random, cloths, side))
    if chance[3] < 0.12:  # a hand with palm and fingers, at the chin or over half the face
        shape = np.zeros_like(pixels)
        palm = eyes + apart * np.array((random.uniform(-1.1, 1.1), random.uniform(0.6, 1.9)))
        cv2.ellipse(shape, tuple(int(v) for v in palm), (round(0.45 * apart), round(0.6 * apart)), 0, 0, 360, 1.0, -1)
        turn = random.uniform(0, 2 * np.pi)
        for finger in range(4):
            angle = turn + 0.25 * (finger - 1.5)
            tip = palm + 1.2 * apart * np.array((np.cos(angle), np.sin(angle)))
            ends = [tuple(int(v) for v in p) for p in (palm, tip)]
            cv2.line(shape, ends[0], ends[1], 1.0, max(1, round(0.22 * apart)), cv2.LINE_AA)
        _paint(pixels, opacity, _soft(random, shape, zoom), np.clip(skin * random.uniform(0.6, 1.3), 0, 255))
    if chance[4] < 0.05:  # half of the face covered
        shape = np.zeros_like(pixels)
        edge, upright = round(float(eyes[0]) + random.normal(0, 3) * zoom), random.random() < 0.5
        if upright:
            shape[:, :edge] = 1
        else:
            shape[round(float(eyes[1] + 0.5 * apart)) :] = 1
        _paint(pixels, opacity, shape * opacity, _cloth(random, cloths, side))
