from __future__ import annotations

import itertools
import json
from pathlib import Path
from random import Random

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError, DeviceError
from mien.files import file_hash
from mien.records import Box, Detection, HeadPose
from mien.sources.demo import DemoSource
from mien.sources.factory import open_source
from mien.sources.files import read_picture
from mien.vision import weights
from mien.vision.aligner import align_faces
from mien.vision.assignment import assign
from mien.vision.bundles import PACKAGED_DETECTOR, bundle_names, packaged_bundle
from mien.vision.detector_choice import detector_notice, open_detector
from mien.vision.legibility import MIN_SHARPNESS, picture_measures, unread_reasons
from mien.vision.own_detector import OwnDetector
from mien.vision.predictor import Predictor
from mien.vision.smoother import Smoother
from mien.vision.tracker import Tracker
from mien.vision.yunet import YuNetDetector


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
    smoother.keep_only(["b"])
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
    for detector in (YuNetDetector(yunet), OwnDetector()):
        detections = detector.detect(image)
        assert align_faces(image, detections).shape == (len(detections), 1, 48, 48)


@pytest.mark.parametrize("shape", [(640, 32), (24, 640), (8, 640), (20, 20)])
def test_narrow_pictures_are_padded_for_yunet(shape: tuple[int, int], yunet: Path) -> None:
    """OpenCV reads memory that it did not write if a side has 32 pixels or less, and finds faces there now and then."""
    for _ in range(5):
        detector = YuNetDetector(yunet, min_score=0.02)
        found = detector.detect(np.full((*shape, 3), 120, np.uint8))
        assert all(face.box.w < 640 and face.box.h < 640 for face in found)
        assert min(detector._nets["whole"].getInputSize()) >= 64


def test_without_yunet_the_packaged_detector_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIEN_MODELS", raising=False)
    detector = open_detector()
    assert detector.name == "mien-detect"
    assert "mien doctor --fetch" in detector_notice(detector.name)
    frames = list(itertools.islice(DemoSource().frames(), 0, 500, 25))
    assert [len(detector.detect(frame.image)) for frame in frames] == [1] * len(frames)


def test_the_packaged_detector_finds_the_faces_of_photographs_and_none_where_there_are_none(shared: Path, yunet: Path) -> None:
    detector, theirs = OwnDetector(), YuNetDetector(yunet)
    gaps = []
    for clip in ("sad_to_happy.mp4", "neutral_smile_neutral.mp4"):
        for frame in itertools.islice(open_source(str(shared / "media" / clip))[0].frames(), 0, None, 12):
            (other,) = theirs.detect(frame.image)
            ours = max(detector.detect(frame.image), key=lambda face: face.box.iou(other.box))
            assert ours.box.iou(other.box) > 0.5
            assert ours.landmarks is not None
            assert other.landmarks is not None
            eyes = np.linalg.norm(other.landmarks[0] - other.landmarks[1])
            gaps.append(np.linalg.norm(ours.landmarks - other.landmarks, axis=1).mean() / eyes)
    assert np.median(gaps) < 0.11
    for frame in itertools.islice(open_source(str(shared / "media" / "no_face.mp4"))[0].frames(), 0, None, 2):
        assert detector.detect(frame.image) == ()
    group = read_picture(shared / "media" / "five_faces.jpg")
    assert group is not None
    assert len(detector.detect(group)) == 5


@pytest.mark.parametrize("turn_deg", [-45, -30, 30, 45])
def test_the_packaged_detector_finds_a_head_that_is_tilted(turn_deg: float) -> None:
    frame = next(DemoSource().frames()).image
    (upright,) = OwnDetector().detect(frame)
    centre = (upright.box.x + upright.box.w / 2, upright.box.y + upright.box.h / 2)
    turned = cv2.warpAffine(frame, cv2.getRotationMatrix2D(centre, turn_deg, 1.0), frame.shape[1::-1])
    found = max(OwnDetector().detect(turned), key=lambda face: face.score)
    assert found.box.iou(upright.box) > 0.4
    assert found.landmarks is not None
    eyes = found.landmarks[1] - found.landmarks[0]
    assert np.sign(-eyes[1]) == np.sign(turn_deg)


def test_grey_and_colour_of_any_size_fit_the_packaged_detectors_graph() -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(packaged_bundle(PACKAGED_DETECTOR).read_bytes(), providers=["CPUExecutionProvider"])
    frame = next(DemoSource().frames()).image
    grey = frame.mean(2).astype(np.uint8)
    (in_grey, _, _), (in_colour, boxes, landmarks) = (session.run(None, {"image": x}) for x in (grey[..., None], frame))
    assert in_grey.max() > 0.5
    assert in_grey.max() == pytest.approx(in_colour.max(), abs=0.05)
    assert boxes.shape == (len(in_colour), 4)
    assert landmarks.shape == (len(in_colour), 5, 2)
    plain = {"Add", "Cast", "Concat", "ConstantOfShape", "Conv", "Div", "Exp", "Gather", "Min", "Mul", "NonZero", "ReduceMean"}
    plain |= {"Equal", "Greater", "Max", "Mod", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Split", "Sub", "Transpose"}
    plain |= {"Unsqueeze"}
    model = onnx.load(packaged_bundle(PACKAGED_DETECTOR))
    assert {node.op_type for node in model.graph.node} <= plain
    assert packaged_bundle(PACKAGED_DETECTOR).stat().st_size <= 300_000


def test_the_record_beside_the_packaged_detector_is_its_own() -> None:
    path = packaged_bundle(PACKAGED_DETECTOR)
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["sha256"] == file_hash(path)
    assert record["card"] == OwnDetector().card
    assert "no cleaner than FER2013" in record["card"]["trained_on"]
    assert PACKAGED_DETECTOR not in bundle_names()


@pytest.mark.parametrize("content", [b"", b"not a model", b"another"])
def test_what_is_no_detector_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(packaged_bundle("mien-xs").read_bytes() if content == b"another" else content)
    with pytest.raises(BundleError, match=r"other\.onnx is not"):
        OwnDetector(path)


def test_another_file_under_yunets_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / weights.YUNET_NAME).write_bytes(b"something else")
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    with pytest.raises(DataError, match="face_detection_yunet"):
        open_detector()
    with pytest.raises(BundleError, match="OpenCV"):
        YuNetDetector(tmp_path / weights.YUNET_NAME)


def test_fetching_accepts_the_published_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"not it")
    monkeypatch.delenv("MIEN_MODELS", raising=False)
    monkeypatch.setattr(weights, "YUNET_URL", other.as_uri())
    with pytest.raises(DeviceError, match="hash"):
        weights.fetch_yunet()
    assert weights.find_yunet() is None
    monkeypatch.setattr(weights, "YUNET_URL", (shared / "models" / weights.YUNET_NAME).as_uri())
    assert weights.fetch_yunet() == weights.find_yunet()
    monkeypatch.setattr(weights, "YUNET_URL", (tmp_path / "gone").as_uri())
    with pytest.raises(DeviceError, match="MIEN_MODELS"):
        weights.fetch_yunet()


def test_the_packaged_bundle_reads_a_smile(yunet: Path) -> None:
    from mien.vision.bundles import bundle_path
    from mien.vision.predictor import Predictor

    frame = next(DemoSource().frames())
    detections = YuNetDetector(yunet).detect(frame.image)
    crops = align_faces(frame.image, detections)
    prediction = Predictor(bundle_path("mien-s")).predict(crops)
    assert EMOTIONS[int(prediction.probabilities[0].argmax())] == "happy"
    assert prediction.embedding.shape == (1, sum(run["widths"][-1] for run in Predictor(bundle_path("mien-s")).card.training))


def test_a_face_without_landmarks_cannot_be_aligned() -> None:
    with pytest.raises(ValueError, match="without landmarks"):
        align_faces(np.zeros((200, 200, 3), np.uint8), [Detection(Box(50, 50, 100, 100), 1.0, None)])


def test_a_face_that_is_read_stays_read_a_little_beyond_each_limit() -> None:
    pattern = np.random.default_rng(0).normal(size=(48, 48))

    def fault(
        brightness: float = 120, contrast: float = 40, side_px: float = 60, yaw_deg: float = 0, before: bool = False
    ) -> str:
        crop = (brightness + contrast * pattern).clip(0, 255).astype(np.uint8)
        return unread_reasons(crop[None, None], [side_px], [HeadPose(yaw_deg, 0.0, 0.0)], [before])[0]

    assert fault() == ""
    for beyond, far_beyond, reason in (
        ({"side_px": 14.5}, {"side_px": 13.0}, "too small"),
        ({"brightness": 22.5, "contrast": 9.9}, {"brightness": 19.5, "contrast": 9.9}, "too dark"),
        ({"contrast": 8.4}, {"contrast": 6.5}, "too flat"),
        ({"yaw_deg": 55.0}, {"yaw_deg": 60.0}, "turned away"),
    ):
        assert (fault(**beyond), fault(**beyond, before=True)) == (reason, "")
        assert fault(**far_beyond, before=True) == reason


def test_a_face_that_is_read_stays_read_though_it_is_a_little_blurred() -> None:
    noise = np.random.default_rng(0).normal(size=(48, 48))

    def blurred(sharpness: float) -> NDArray[np.uint8]:
        """Return the pattern, blurred as little as gives at most this sharpness."""
        for sigma in np.arange(0.5, 12, 0.02):
            soft = cv2.GaussianBlur(noise, (0, 0), sigma)
            crop = (128 + 45 * soft / soft.std()).clip(0, 255).astype(np.uint8)
            if picture_measures(crop[None])["sharpness"][0] <= sharpness:
                return crop[None, None]
        raise AssertionError(f"no blur gives a sharpness of {sharpness}")

    within, beyond = blurred(1.07 * MIN_SHARPNESS), blurred(1.2 * MIN_SHARPNESS)
    assert [unread_reasons(within, [60], [None], [before]) for before in (False, True)] == [["blurred"], [""]]
    assert unread_reasons(beyond, [60], [None], [True]) == ["blurred"]


@pytest.mark.parametrize(("gap_s", "kept"), [(1.1, np.exp(-1.1 / 0.4)), (1.3, 0.0)], ids=["within", "beyond"])
def test_smoothing_restarts_after_a_gap_of_three_time_constants(gap_s: float, kept: float) -> None:
    smoother = Smoother(tau_s=0.4)
    sad, happy = np.eye(7, dtype=np.float32)[[5, 3]]
    smoother.update("a", 0.0, sad)
    value, _ = smoother.update("a", gap_s, happy)
    assert value[5] == pytest.approx(kept, abs=1e-6)


def test_after_a_gap_the_old_label_has_no_lead() -> None:
    rows = np.full((2, 7), 0.02, np.float32)
    rows[0, 5], rows[0, 4] = 0.46, 0.44
    rows[1, 5], rows[1, 4] = 0.44, 0.46
    for gap_s, label in ((0.5, "sad"), (1.3, "neutral")):
        smoother = Smoother(tau_s=0.4)
        smoother.update("a", 0.0, rows[0])
        assert smoother.update("a", gap_s, rows[1])[1] == label


def test_waiting_threads_of_a_model_do_not_spin() -> None:
    options = Predictor(packaged_bundle("mien-xs"))._session.get_session_options()
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
