"""The crop code against known geometry and against golden bytes that other implementations must match."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.preprocess import (
    CANONICAL_LANDMARKS,
    INPUT_SIZE,
    similarity_from_landmarks,
    to_grey,
    warp_face,
)

GOLDEN = Path(__file__).parent / "golden" / "crops.json"


def golden_picture() -> np.ndarray:
    """A colour picture made of integer arithmetic alone, so that any language can make it."""
    y, x = np.mgrid[0:240, 0:320]
    channels = [(x * 3 + y) % 256, (x * y // 7) % 256, (x + 5 * y + (x // 16) * 40) % 256]
    return np.stack(channels, axis=2).astype(np.uint8)


def test_crops_are_the_golden_bytes() -> None:
    golden = json.loads(GOLDEN.read_text())
    grey = to_grey(golden_picture())
    assert len(golden["crops"]) >= 3
    for case in golden["crops"]:
        transform = similarity_from_landmarks(np.array(case["landmarks"], np.float32))
        assert warp_face(grey, transform).tobytes().hex() == case["crop_hex"]


@pytest.mark.parametrize(("scale", "turn_deg"), [(1.0, 0), (3.3, 25), (0.7, -40), (6.0, 90)])
def test_any_similar_face_lands_on_the_canonical_one(scale: float, turn_deg: float) -> None:
    angle = np.deg2rad(turn_deg)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    placed = CANONICAL_LANDMARKS.astype(np.float64) @ rotation.T + [300, 200]
    transform = similarity_from_landmarks(placed.astype(np.float32))
    back = placed @ transform[:, :2].T + transform[:, 2]
    assert np.allclose(back, CANONICAL_LANDMARKS, atol=1e-3)


def test_an_enlarged_face_comes_back_as_it_was() -> None:
    random = np.random.default_rng(0)
    face = cv2.GaussianBlur(random.integers(0, 255, (48, 48)).astype(np.uint8), (0, 0), 1.5)
    canvas = np.full((480, 640), 127, np.uint8)
    canvas[140:332, 220:412] = cv2.resize(face, (192, 192), interpolation=cv2.INTER_CUBIC)
    landmarks = (CANONICAL_LANDMARKS + 0.5) * 4 - 0.5 + [220, 140]
    crop = warp_face(canvas, similarity_from_landmarks(landmarks.astype(np.float32)))
    assert np.abs(crop.astype(int) - face)[2:-2, 2:-2].mean() < 2.0


def test_faces_beyond_the_edge_are_filled_from_the_edge() -> None:
    white = np.full((40, 40), 200, np.uint8)
    crop = warp_face(white, similarity_from_landmarks(CANONICAL_LANDMARKS * 2 - 30))
    assert crop.shape == (INPUT_SIZE, INPUT_SIZE)
    assert (crop == 200).all()


def test_landmarks_in_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity_from_landmarks(np.ones((5, 2), np.float32))
    with pytest.raises(ValueError, match="coincide"):
        similarity_from_landmarks(np.full((5, 2), np.nan, np.float32))
