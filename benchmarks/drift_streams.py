"""Streams of real faces for ``drift.py``: without drift, as seen by a camera, and with simulated drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.audit import copies, near
from mien.audit.exact import exact_groups
from mien.data.dataset import FaceDataset
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.monitoring.observation import FaceBatch, FaceObservation, pose_measures

FALSE_ALARM_EVERY_H: Final = 24.0
FACES_PER_H: Final = 1000.0
"""Configured false-alarm interval, and observations per hour."""
FRAMES_PER_S: Final = 0.5
AT_ONCE: Final = 8
LIGHTS: Final = (0.8, 0.9, 1.0, 1.1, 1.2)
TURNED: Final = 0.35
CAMERAS: Final = (
    (("downsampling", 1), ("jpeg", 1)),
    (("downsampling", 1), ("jpeg", 2), ("contrast", 1)),
    (("downsampling", 2), ("jpeg", 2), ("low_light", 1)),
    (("downsampling", 2), ("noise", 1), ("jpeg", 3), ("contrast", 2)),
    (("downsampling", 3), ("low_light", 2), ("jpeg", 4)),
)
"""Another camera, by severity: smaller, more compressed, darker."""
ZOOMS: Final = (1.05, 1.1, 1.2, 1.3, 1.45)
MIXED: Final = (0.1, 0.2, 0.3, 0.45, 0.6)
"""Share of the stream drawn from one expression."""
FROM_SUBSET: Final = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Share of the stream drawn from a part of the faces."""
_QUARTER: Final = 0.25


# --- the two halves -----------------------------------------------------------------------------


def photographs(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (N,) the photograph of each image; exact and near copies have the same number."""
    exact = exact_groups(images)
    originals = np.unique(exact)
    pairs = near.find_near_duplicates(images[originals])
    pairs = near.NearPairs(originals[pairs.first], originals[pairs.second], pairs.score, pairs.mirrored)
    return copies.join_copies(exact, pairs).photo


def cut(photo: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return positions of reference and stream; all copies of a photograph are on one side."""
    random = np.random.default_rng(seed)
    photos = random.permutation(np.unique(photo))
    first = np.isin(photo, photos[: len(photos) // 2])
    return random.permutation(np.flatnonzero(first)), random.permutation(np.flatnonzero(~first))


# --- streams ------------------------------------------------------------------------------------


def independent(faces: FaceBatch, random: np.random.Generator) -> Iterator[tuple[int, str]]:
    """Yield (face, name) endlessly, each face a new person."""
    number = 0
    while True:
        for face in random.integers(0, len(faces), 1024):
            yield int(face), str(number)
            number += 1


def video(people: int, variants: int, random: np.random.Generator, as_independent: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (face, name) as a camera sees eight people at once; each stays 5 to 60 s with small movements.

    Args:
        people: faces to draw from; variant v of face i is at position i * variants + v.
        variants: number of variants per face.
        random: random generator.
        as_independent: give every frame its own name, as if frames were independent.
    """
    number = 0

    def new() -> list[int]:
        nonlocal number
        number += 1
        return [int(random.integers(people)), 0, int(random.uniform(5, 60) * FRAMES_PER_S), number]

    seats = [new() for _ in range(AT_ONCE)]
    frame = 0
    while True:
        frame += 1
        for k, seat in enumerate(seats):
            if random.random() < 0.2:
                seat[1] = int(random.integers(variants))
            yield seat[0] * variants + seat[1], f"{seat[3]}-{frame}" if as_independent else str(seat[3])
            seat[2] -= 1
            if seat[2] <= 0:
                seats[k] = new()


def wandering_light(people: int, random: np.random.Generator) -> Iterator[tuple[int, str]]:
    """Yield (face, name), each face a new person, in light that changes slowly between the five of ``LIGHTS``."""
    light, number = 2.0, 0
    while True:
        light = float(np.clip(light - 0.002 * (light - 2) + random.normal(0, 0.06), 0, len(LIGHTS) - 1))
        number += 1
        yield int(random.integers(people)) * len(LIGHTS) + round(light), str(number)


def trembling(images: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return (4 N, 48, 48): each face, and three copies moved by a pixel and slightly brighter or darker."""
    found = []
    for image in images:
        found.append(image)
        for _ in range(3):
            dx, dy = random.integers(-1, 2, 2)
            moved = cv2.warpAffine(image, np.array([[1.0, 0, dx], [0, 1.0, dy]]), (48, 48), borderMode=cv2.BORDER_REPLICATE)
            found.append(cv2.convertScaleAbs(moved, alpha=float(random.uniform(0.97, 1.03))))
    return np.stack(found)


def lit(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (5 N, 48, 48): each face in five lights."""
    return np.stack([cv2.convertScaleAbs(image, alpha=light) for image in images for light in LIGHTS])


def observation(faces: FaceBatch, position: int, name: str, t_s: float) -> FaceObservation:
    return FaceObservation(t_s, name, faces.embedding[position], faces.probabilities[position], faces.measures[position])


# --- simulated drift ------------------------------------------------------------------------------


def tighter(images: NDArray[np.uint8], zoom: float) -> NDArray[np.uint8]:
    transform = np.array([[zoom, 0, 23.5 * (1 - zoom)], [0, zoom, 23.5 * (1 - zoom)]])
    return np.stack([cv2.warpAffine(image, transform, (48, 48), borderMode=cv2.BORDER_REPLICATE) for image in images])


def spoilt_pictures(part: FaceDataset, points: NDArray[np.float32]) -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
    """Yield (name, severity, faces) of all image corruptions, with other seeds than the reference's."""
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            yield name, severity, corrupt(part.images, name, severity, points, seed=99)
    for severity, zoom in zip(SEVERITIES, ZOOMS, strict=True):
        yield "tighter_crop", severity, tighter(part.images, zoom)
    for severity, steps in zip(SEVERITIES, CAMERAS, strict=True):
        images = part.images
        for name, strength in steps:
            images = corrupt(images, name, strength, points, seed=99)
        yield "other_camera", severity, images


def parts_by_geometry(landmarks: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Return parts of N faces by (N, 5, 2) landmarks, each as (N,) 1 for members and 0 for others.

    FER2013 has no ages, and no model here estimates them. A facial proportion that changes with growth can be
    measured: children's eyes are far apart relative to the height of the face below them (Farkas 1994,
    "Anthropometry of the head and face"). The quarter of the frontal faces with the largest ratio is called
    younger-looking, the quarter with the smallest older-looking. This is a proxy, disturbed by open mouths
    and nodding heads.
    """
    turn = pose_measures(landmarks)[:, 0]
    eyes, mouth = landmarks[:, :2].mean(1), landmarks[:, 3:].mean(1)
    apart = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=1)
    wide = apart / np.maximum(np.linalg.norm(eyes - mouth, axis=1), 1e-6)
    straight = np.abs(turn) <= TURNED
    low, high = np.quantile(wide[straight], (_QUARTER, 1 - _QUARTER))
    return {
        "turned_heads": (np.abs(turn) > TURNED).astype(np.float64),
        "younger_looking": (straight & (wide >= high)).astype(np.float64),
        "older_looking": (straight & (wide <= low)).astype(np.float64),
    }
