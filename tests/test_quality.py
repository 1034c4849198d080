"""Image quality checks and face checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from photos import Grey, photo

from mien.audit import quality
from mien.audit.faces import FACE_CHECKS, FaceGeometry, find_faces
from mien.data.dataset import FaceDataset


def astronaut() -> Grey:
    data = pytest.importorskip("skimage.data")
    return cv2.resize(cv2.cvtColor(data.astronaut()[60:220, 150:310], cv2.COLOR_RGB2GRAY), (48, 48), interpolation=cv2.INTER_AREA)


def captioned(image: Grey) -> Grey:
    written = cv2.GaussianBlur(image, (0, 0), 1.0)
    return cv2.putText(written, "MILLIHILL", (0, 42), cv2.FONT_HERSHEY_PLAIN, 0.6, 255, 1)


FAULTS: dict[str, tuple[Callable[[Grey], Grey], set[str]]] = {
    "nothing": (lambda face: face, set()),
    "black": (np.zeros_like, {"blank", "dark", "low_contrast"}),
    "white": (lambda face: np.full_like(face, 255), {"blank", "bright", "low_contrast"}),
    "blurred": (lambda face: cv2.GaussianBlur(face, (0, 0), 2.0), {"blurred"}),
    "dark": (lambda face: (0.35 * face).astype(np.uint8), {"dark"}),
    "bright": (lambda face: (185 + 0.27 * face).astype(np.uint8), {"bright", "low_contrast"}),
    "grey": (lambda face: (90 + 0.2 * face).astype(np.uint8), {"low_contrast"}),
    "captioned": (captioned, {"text"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_flagged_and_no_other(fault: str) -> None:
    make, expected = FAULTS[fault]
    flags = quality.flag_all(quality.pixel_scores(make(astronaut())[None]))
    assert {name for name, flag in flags.items() if flag[0]} == expected


def test_a_caption_is_detected_on_a_smooth_image() -> None:
    smooth = np.stack([cv2.GaussianBlur(photo(k), (0, 0), 1.0) for k in range(8)])
    before = quality.pixel_scores(smooth)["text"]
    after = quality.pixel_scores(np.stack([captioned(image) for image in smooth]))["text"]
    threshold = next(check.threshold for check in quality.CHECKS if check.name == "text")
    assert before.max() < threshold < np.median(after)
    assert (after > before + 0.1).all()


def test_scores_do_not_depend_on_the_batch_and_are_finite() -> None:
    images = (
        np.random.default_rng(3).integers(0, 256, (1100, 48, 48)).astype(np.uint8) // np.arange(1, 12).repeat(100)[:, None, None]
    )
    images = images.astype(np.uint8)
    images[7], images[900] = 0, 255
    done: list[int] = []
    scores = quality.pixel_scores(images, lambda n, total: done.append(n))
    assert done[-1] == 1100
    for i in (0, 7, 511, 512, 900, 1099):
        alone = quality.pixel_scores(images[i : i + 1])
        for name, values in scores.items():
            assert values[i] == pytest.approx(alone[name][0], rel=1e-4, abs=1e-5), name
    assert all(np.isfinite(values).all() for values in scores.values())
    assert scores["flatness"][7] == 1.0


def test_flatness_is_the_share_of_eight_neighbouring_levels() -> None:
    image = np.full((48, 48), 100, np.uint8)
    image[:12], image[12:24] = 107, 108
    assert quality.pixel_scores(image[None])["flatness"][0] == pytest.approx(0.75)


def test_faces_are_found_in_real_crops_and_not_in_noise(fer2013: FaceDataset, yunet: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)
    empty = np.zeros((1, 48, 48), np.uint8)
    real = fer2013.images[::700]
    images = np.concatenate([real, noise, empty])
    found = find_faces(images, yunet)
    assert (found.score[: len(real)] > 0.3).mean() > 0.9
    assert (found.score[len(real) :] < 0.3).all()
    seen = found.landmarks[: len(real)][found.score[: len(real)] > 0.3]
    assert ((seen > -4) & (seen < 52)).all()
    assert (seen[:, 0, 0] < seen[:, 1, 0]).mean() > 0.95
    scores = found.scores(quality.pixel_scores(images)["flatness"])
    assert set(scores) == {"face", "faceless_flatness", "tilt_deg", "turn", "nod", "zoom", "zoom_off"}
    flags = quality.flag_all(scores, FACE_CHECKS)
    assert flags["no_face"][-4:].all()
    assert flags["placeholder"].tolist() == [False] * (len(images) - 1) + [True]
    assert np.isnan(scores["turn"][-1])
    assert np.median(scores["tilt_deg"][: len(real)][found.score[: len(real)] > 0.3]) < 15


def test_a_rotated_face_has_its_angle_and_a_missing_face_has_none() -> None:
    upright = np.array([[15, 18], [33, 18], [24, 28], [17, 36], [31, 36]], np.float64) - 24
    angle = math.radians(30)
    turned = upright @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = np.stack([upright + 24, turned + 24, np.full((5, 2), np.nan)]).astype(np.float32)
    scores = FaceGeometry(np.array([0.9, 0.9, 0.0], np.float32), points).scores(np.zeros(3, np.float32))
    assert scores["tilt_deg"][:2].tolist() == pytest.approx([0, 30], abs=1)
    assert scores["turn"][:2].tolist() == pytest.approx([0, 0], abs=0.02)
    assert all(np.isnan(scores[name][2]) for name in ("tilt_deg", "turn", "nod", "zoom_off"))
    assert quality.flag_all(scores, FACE_CHECKS)["tilted"].tolist() == [False, True, False]
