"""The corruptions and the robustness they measure."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from datasets import make_dataset

from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.evaluation.robustness import robustness
from mien.modelcard import FER2013
from mien.preprocess import CANONICAL_LANDMARKS
from mien.vision.bundles import bundle_path
from mien.vision.predictor import Predictor


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Five aperiodic images: the sum of noise at several scales."""
    random = np.random.default_rng(0)
    scales = [cv2.GaussianBlur(random.normal(0, 1, (48, 48)), (0, 0), sigma) * sigma for sigma in (0.7, 2, 5) for _ in range(5)]
    layers = np.stack(scales).reshape(3, 5, 48, 48).sum(0)
    return np.clip(127 + 60 * layers / layers.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.tile(CANONICAL_LANDMARKS, (5, 1, 1))


def change(faces: np.ndarray, corrupted: np.ndarray) -> float:
    return float(np.abs(corrupted.astype(float) - faces).mean())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_increase_with_severity(name: str, faces: np.ndarray, points: np.ndarray) -> None:
    before = faces.copy()
    changes = [change(faces, corrupt(faces, name, severity, points)) for severity in SEVERITIES]
    assert np.array_equal(faces, before)
    assert changes[0] > 0
    assert changes[4] > 1.3 * changes[0]
    assert all(later > 0.8 * earlier for earlier, later in pairwise(changes))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_are_reproducible_by_seed(name: str, faces: np.ndarray, points: np.ndarray) -> None:
    first = corrupt(faces, name, 3, points, seed=4)
    assert first.dtype == np.uint8
    assert first.shape == faces.shape
    assert np.array_equal(first, corrupt(faces, name, 3, points, seed=4))
    if name in ("noise", "motion_blur", "low_light", "shift", "rotation"):
        assert not np.array_equal(first, corrupt(faces, name, 3, points, seed=5))


def test_there_are_twelve_corruptions() -> None:
    assert len(CORRUPTIONS) == 12


def test_covered_regions_follow_the_landmarks(faces: np.ndarray, points: np.ndarray) -> None:
    eyes = corrupt(faces, "eyes_covered", 3, points)
    mouth = corrupt(faces, "mouth_covered", 3, points)
    eye_row, mouth_row = round(float(CANONICAL_LANDMARKS[0, 1])), round(float(CANONICAL_LANDMARKS[3, 1]))
    assert (eyes[:, eye_row, 14:33] == 40).all()
    assert np.array_equal(eyes[:, mouth_row:], faces[:, mouth_row:])
    assert (mouth[:, mouth_row, 16:31] == 170).all()
    assert np.array_equal(mouth[:, : eye_row + 3], faces[:, : eye_row + 3])
    moved = corrupt(faces, "eyes_covered", 3, points + np.float32(6))
    assert (moved[:, eye_row + 6, 20:39] == 40).all()


def test_robustness_is_reproducible_and_falls_back_to_mean_landmarks() -> None:
    data = make_dataset((1, 1, 3)).split("PrivateTest")
    predictor = Predictor(bundle_path("mien-xs"))
    landmarks = np.full((len(data), 5, 2), np.nan, np.float32)
    steps: list[tuple[int, int]] = []
    first = robustness(
        predictor, data, FER2013, None, seed=1, images=10, progress=lambda done, total: steps.append((done, total))
    )
    second = robustness(predictor, data, FER2013, landmarks, seed=1, images=10)
    assert first["n"] == 10
    assert first["corruptions"] == second["corruptions"]
    assert steps[-1] == (60, 60)
    row = first["corruptions"]["blur"]
    if first["accuracy"]:
        assert row["relative"] == pytest.approx([value / first["accuracy"] for value in row["accuracy"]])
    assert first["mean_relative"] == pytest.approx(np.mean([r["mean_relative"] for r in first["corruptions"].values()]))


def test_every_corruption_lowers_accuracy_on_real_faces(fer2013) -> None:
    data = fer2013.split("PublicTest")
    found = robustness(Predictor(bundle_path("mien-xs")), data, FER2013, images=120)
    assert found["accuracy"] > 0.6
    for name, row in found["corruptions"].items():
        assert row["relative"][4] < 0.97, name
    assert 0.3 < found["mean_relative"] < 0.95
