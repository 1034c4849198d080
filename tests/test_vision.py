from __future__ import annotations

from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError, DeviceError
from mien.live.decoder import read_picture
from mien.records import Box, Detection
from mien.vision import weights
from mien.vision.aligner import align_faces
from mien.vision.assignment import assign
from mien.vision.detector import HaarDetector, YuNetDetector, open_detector
from mien.vision.smoother import Smoother
from mien.vision.tracker import Tracker


def face(x: float, y: float = 0.0, side: float = 100.0) -> Detection:
    return Detection(Box(x, y, side, side), 0.9, None)


def test_iou_of_known_boxes() -> None:
    assert Box(0, 0, 10, 10).iou(Box(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert Box(0, 0, 10, 10).iou(Box(10, 0, 10, 10)) == 0
    assert Box(2, 3, 4, 5).iou(Box(2, 3, 4, 5)) == 1


def test_a_track_keeps_its_name_whatever_the_order_of_detections() -> None:
    tracker = Tracker(Random(1))
    left, right = tracker.update(0.0, [face(0), face(300)])
    assert left != right
    assert tracker.update(0.1, [face(310), face(8)]) == (right, left)


def test_a_track_outlives_a_missed_detection_but_not_a_long_absence() -> None:
    tracker = Tracker(Random(1), forget_s=1.0)
    (name,) = tracker.update(0.0, [face(0)])
    assert tracker.update(0.5, []) == ()
    assert tracker.update(0.9, [face(5)]) == (name,)
    assert tracker.update(2.5, [face(5)]) != (name,)


def test_the_best_overlap_wins_over_the_whole_frame() -> None:
    tracker = Tracker(Random(1))
    first, second = tracker.update(0.0, [face(0), face(60)])
    # both old boxes overlap the new one at 50; the nearer has the better claim
    assert tracker.update(0.1, [face(50)]) == (second,)
    assert first in tracker.active


@pytest.mark.parametrize("fps", [5, 30])
@pytest.mark.parametrize("occluded_s", [0.0, 0.5])
@pytest.mark.parametrize("swapped", [False, True])
def test_faces_that_cross_keep_their_names(fps: int, occluded_s: float, swapped: bool) -> None:
    """Two faces pass each other at 160 pixels a second, one a little higher; the farther is hidden for a while."""
    tracker = Tracker(Random(1))
    seen: dict[str, set[str]] = {"there": set(), "back": set()}
    for k in range(4 * fps):
        t_s = k / fps
        there, back = ("there", face(100 + 160 * t_s, 100)), ("back", face(740 - 160 * t_s, 120, 90))
        hidden = abs(t_s - 2.0) < occluded_s / 2
        visible = [there] if hidden else [back, there] if swapped and k % 2 else [there, back]
        for (who, _), name in zip(visible, tracker.update(t_s, [detection for _, detection in visible]), strict=True):
            seen[who].add(name)
    assert len(seen["there"]) == len(seen["back"]) == 1
    assert seen["there"] != seen["back"]


def test_a_face_that_moves_while_it_is_hidden_is_met_where_it_should_be() -> None:
    tracker = Tracker(Random(1))
    for k in range(10):
        (name,) = tracker.update(k / 25, [face(12.0 * k)])
    for k in range(10, 22):  # half a second behind something, at 300 pixels a second
        assert tracker.update(k / 25, []) == ()
    assert tracker.update(22 / 25, [face(12.0 * 22)]) == (name,)


def test_time_that_runs_back_ends_all_tracks() -> None:
    tracker = Tracker(Random(1))
    (name,) = tracker.update(5.0, [face(0)])
    assert tracker.update(1.0, [face(0)]) != (name,)


def test_the_assignment_is_the_best_there_is() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        cost = random.normal(size=tuple(random.integers(1, 7, 2))).round(1)  # rounded: ties must be borne
        pairs = assign(cost)
        rows, columns = linear_sum_assignment(cost)
        assert sum(cost[i, j] for i, j in pairs) == pytest.approx(cost[rows, columns].sum())
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == min(cost.shape)
    assert assign(np.zeros((0, 3))) == []


def test_names_are_random_but_the_same_seed_gives_the_same() -> None:
    names = [Tracker(Random(seed)).update(0.0, [face(0), face(300)]) for seed in (5, 5, 6)]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("fps", [5, 60])
def test_smoothing_takes_the_same_time_at_any_frame_rate(fps: int) -> None:
    smoother = Smoother(tau_s=0.4)
    sad, happy = np.eye(7, dtype=np.float32)[[5, 3]]
    smoother.update("a", 0.0, sad)
    for k in range(1, int(0.8 * fps) + 1):
        value, label = smoother.update("a", k / fps, happy)
    assert value[3] == pytest.approx(1 - np.exp(-2), abs=0.005)
    assert value.sum() == pytest.approx(1)
    assert label == "happy"


def test_smoothing_is_by_track_and_forgets_who_left() -> None:
    smoother = Smoother(tau_s=10.0)
    sad, happy = np.eye(7, dtype=np.float32)[[5, 3]]
    smoother.update("a", 0.0, sad)
    assert smoother.update("b", 0.1, happy)[0][3] == 1
    smoother.forget_all_but(["b"])
    assert smoother.update("a", 0.2, happy)[0][3] == 1
    assert Smoother(tau_s=0).update("a", 0.3, sad)[0][5] == 1


@pytest.mark.parametrize("fps", [5, 60])
def test_a_label_stays_until_another_is_clearly_more_probable(fps: int) -> None:
    smoother = Smoother(tau_s=0.4)
    row = np.full(7, 0.02, np.float32)
    labels = []
    for k in range(10 * fps):
        sway = 0.03 * np.sign(np.sin(2 * np.pi * k / fps / 3))  # sad and neutral take turns in the lead, by little
        row[5], row[4] = 0.45 + sway, 0.45 - sway
        labels.append(smoother.update("a", k / fps, row)[1])
    assert len(set(labels)) == 1
    row[5], row[4] = 0.7, 0.2
    smoother.update("a", 10.1, row)
    row[5], row[4] = 0.2, 0.7
    assert smoother.update("a", 11.2, row)[1] == "neutral"


def test_yunet_finds_all_five_faces_with_landmarks_where_faces_are(yunet: Path, shared: Path) -> None:
    image = read_picture(shared / "media" / "five_faces.jpg")
    assert image is not None
    detections = YuNetDetector(yunet).detect(image)
    assert len(detections) == 5
    for detection in detections:
        assert detection.landmarks is not None
        right_eye, left_eye, nose, right_mouth, left_mouth = detection.landmarks
        assert right_eye[0] < left_eye[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1]) + 3
    assert align_faces(image, detections).shape == (5, 1, 48, 48)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2160, 3840), (48, 48)])
def test_frames_of_any_size_do_no_harm(yunet: Path, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    for detector in (YuNetDetector(yunet), HaarDetector()):
        detections = detector.detect(image)
        assert align_faces(image, detections).shape == (len(detections), 1, 48, 48)


def test_without_yunet_the_haar_cascade_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.live.demo import DemoSource

    monkeypatch.delenv("MIEN_MODELS", raising=False)
    detector = open_detector()
    assert detector.name == "haar"
    frame = next(DemoSource().frames())
    assert len(detector.detect(frame.image)) == 1


def test_another_file_under_yunets_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / weights.YUNET_NAME).write_bytes(b"something else")
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    with pytest.raises(DataError, match="not the published YuNet file"):
        open_detector()
    with pytest.raises(BundleError, match="cannot load the face detector"):
        YuNetDetector(tmp_path / weights.YUNET_NAME)


def test_fetching_accepts_the_published_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"not it")
    monkeypatch.delenv("MIEN_MODELS", raising=False)
    monkeypatch.setattr(weights, "YUNET_URL", other.as_uri())
    with pytest.raises(DeviceError, match="another file"):
        weights.fetch_yunet()
    assert weights.find_yunet() is None
    monkeypatch.setattr(weights, "YUNET_URL", (shared / "models" / weights.YUNET_NAME).as_uri())
    assert weights.fetch_yunet() == weights.find_yunet()
    monkeypatch.setattr(weights, "YUNET_URL", (tmp_path / "gone").as_uri())
    with pytest.raises(DeviceError, match="MIEN_MODELS"):
        weights.fetch_yunet()


def test_the_packaged_bundle_reads_a_smile(yunet: Path) -> None:
    from mien.live.demo import DemoSource
    from mien.vision.bundles import bundle_path
    from mien.vision.predictor import Predictor

    frame = next(DemoSource().frames())
    detections = YuNetDetector(yunet).detect(frame.image)
    crops = align_faces(frame.image, detections)
    prediction = Predictor(bundle_path("mien-s")).predict(crops)
    assert EMOTIONS[int(prediction.probabilities[0].argmax())] == "happy"
    assert prediction.embedding.shape == (1, sum(run["widths"][-1] for run in Predictor(bundle_path("mien-s")).card.training))


def test_a_crop_without_landmarks_uses_the_box() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    cv2.rectangle(image, (50, 50), (149, 149), (255, 255, 255), -1)
    crop = align_faces(image, [Detection(Box(50, 50, 100, 100), 1.0, None)])[0, 0]
    assert crop[10:38, 10:38].min() == 255
