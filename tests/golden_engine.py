"""What the Python code answers to fixed inputs: golden vectors that the browser's engine must match.

``python tests/golden_engine.py`` writes ``tests/golden/engine.json``; ``tests/test_web.py`` fails when it is out of date.
No face of a person is stored: pictures and streams are made of arithmetic, and of the detector only its raw outputs on
NASA's photograph of an astronaut.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import cv2
import numpy as np

from mien.analytics import Affect, Trend
from mien.messaging.xapi import XapiSession
from mien.preprocess import to_grey
from mien.privacy.deployment import Deployment
from mien.privacy.policy import NOT_PERMITTED, decide
from mien.privacy.release import release
from mien.records import Box, Detection, FaceReading, FrameResult, HeadPose
from mien.sessions.document import summary_document
from mien.sessions.observations import COLUMNS, _row
from mien.sessions.records import SessionRecord, seen
from mien.sessions.tally import Tally
from mien.version import VERSION
from mien.vision.appearance import Appearance, CutDetector
from mien.vision.bundles import PACKAGED_DETECTOR, bundle_path, packaged_bundle
from mien.vision.detector import Detector, _resized
from mien.vision.finder import FaceFinder
from mien.vision.legibility import picture_measures, unread_reasons
from mien.vision.own_detector import _KNOWN_SCORE, OWN_SCORE, OwnDetector
from mien.vision.pose import FacingFilter, head_pose
from mien.vision.predictor import Predictor
from mien.vision.smoother import Smoother
from mien.vision.tracker import Tracker
from mien.vision.yunet import YuNetDetector

GOLDEN = Path(__file__).parent / "golden" / "engine.json"
UNCERTAIN_BELOW = 0.5
SCHOOL = Deployment("education-institution", "EU", "feedback-to-the-learner")
"""Expressions may not be read there."""


def landmarks_of(box: Box, turn: float = 0.0) -> np.ndarray:
    """Return five landmarks of a face in a box, its nose moved sideways by ``turn`` box widths."""
    shares = np.array([[0.31, 0.37], [0.67, 0.37], [0.49 + turn, 0.58], [0.33, 0.74], [0.64, 0.74]])
    return (np.array([box.x, box.y]) + shares * np.array([box.w, box.h])).astype(np.float32)


def scene(t_s: float) -> list[Box]:
    """Return the boxes of three faces at a time: one that stands still, one that crosses it, one that comes and goes."""
    boxes = [Box(200.0, 120.0, 90.0, 110.0)]
    boxes.append(Box(20.0 + 160.0 * t_s, 130.0 + 10.0 * np.sin(3 * t_s), 80.0, 100.0))
    if 1.0 < t_s < 2.4 or t_s > 3.1:
        boxes.append(Box(420.0, 60.0 + 20.0 * t_s, 40.0, 48.0))
    return boxes


def draw(boxes: Sequence[Box], people: Sequence[int], place: int) -> np.ndarray:
    """Return a (360, 640, 3) uint8 picture of faces, one pattern a person, in front of a place; the browser draws the same."""
    y, x = np.mgrid[0:360, 0:640]
    image = 60 + wave(x * (1 + place) + y * (3 - place)) // 3
    for box, person in zip(boxes, people, strict=True):
        left, top, w, h = (int(v) for v in (box.x, box.y, box.w, box.h))
        inside = (x >= left) & (x < left + w) & (y >= top) & (y < top + h)
        u, v = (x - left) * 256 // max(w, 1), (y - top) * 256 // max(h, 1)
        face = 60 + wave((1 + person) * u + (2 - person) * v + 70 * person)
        image = np.where(inside, face, image)
    return np.repeat(image[:, :, None], 3, 2).astype(np.uint8)


def wave(at: np.ndarray) -> np.ndarray:
    """Return a wave of triangles of whole numbers, 0 to 128, with a period of 256."""
    return np.abs(at % 256 - 128)


class ScriptedDetector(YuNetDetector):
    """Answers from the scene, and notes what it was asked."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.calls: list[str] = []

    def detect(self, image: np.ndarray) -> tuple[Detection, ...]:
        self.calls.append("detect")
        return tuple(sorted((self._face(box) for box in self.boxes), key=lambda d: d.box.x))

    def detect_coarsely(self, image: np.ndarray) -> tuple[Detection, ...]:
        self.calls.append("coarse")
        return tuple(sorted((self._face(box) for box in self.boxes if box.w >= 60), key=lambda d: d.box.x))

    def detect_near(self, image: np.ndarray, boxes: Sequence[Box]) -> list[list[Detection]]:
        self.calls.append(f"near {len(boxes)}")
        return [[self._face(box) for box in self.boxes if box.iou(near) > 0.1] for near in boxes]

    def _face(self, box: Box) -> Detection:
        return Detection(box, 0.9, landmarks_of(box))


def finder_steps() -> list[dict[str, Any]]:
    """Return what the finder asks and finds; the camera looks at another place after two seconds."""
    detector = ScriptedDetector()
    finder = FaceFinder(detector)
    steps = []
    for k in range(110):
        t_s = round(k * 0.04, 3)
        detector.boxes, detector.calls = scene(t_s), []
        people, place = list(range(len(detector.boxes))), int(t_s >= 2)
        found = finder.update(t_s, draw(detector.boxes, people, place))
        steps.append(
            {"t_s": t_s, "boxes": [asdict(box) for box in detector.boxes], "people": people, "place": place}
            | {"calls": detector.calls, "found": [asdict(face.box) for face in found]}
        )
    return steps


def tracker_steps() -> list[dict[str, Any]]:
    """Return whom the tracker follows: by position alone, then in pictures with new people and a cut, then in a time lapse."""
    random = np.random.default_rng(3)
    tracker, numbers = Tracker(Random(0)), {}
    steps, t_s = [], 0.0
    for k in range(150):
        step_s = 3.0 if k >= 140 else 0.04
        passed_s = step_s if k >= 140 else float(random.choice([0.03, 0.05, 0.2, 0.7]))
        t_s = round(t_s + passed_s, 3) if k != 70 else round(t_s - 2.0, 3)
        boxes = [Box(*(round(float(v + n), 3) for v, n in zip(asdict(b).values(), random.normal(0, 3, 4), strict=True)))
                 for b in scene(t_s % 5) if random.random() > 0.15]  # fmt: skip
        people, place = [(k // 20 + n) % 3 for n in range(len(boxes))], k // 50
        image = draw(boxes, people, place) if k >= 40 else None
        names = tracker.update(t_s, [Detection(box, 0.9, landmarks_of(box)) for box in boxes], image, step_s)
        steps.append(
            {"t_s": t_s, "step_s": step_s, "boxes": [asdict(box) for box in boxes], "people": people}
            | {"place": None if image is None else place, "tracks": [numbers.setdefault(name, len(numbers)) for name in names]}
        )
    return steps


def appearance_cases() -> list[dict[str, Any]]:
    """Return how alike faces are from one picture to the next, and whether there is a cut between them."""
    random = np.random.default_rng(8)
    cases = []
    for k in range(16):
        box = Box(*(float(v) for v in np.round(random.uniform((-20, -20, 12, 14), (500, 260, 180, 200)), 2)))
        later = Box(*(round(float(v + n), 2) for v, n in zip(asdict(box).values(), random.normal(0, 4, 4), strict=True)))
        people, places = (k % 3, (k // 2) % 3), (k % 2, k % 2 if k % 3 else 1 - k % 2)
        images = [draw([each], [person], place) for each, person, place in zip((box, later), people, places, strict=True)]
        likeness = Appearance.of(images[0], box).likeness(Appearance.of(images[1], later), images[1])
        cuts = CutDetector()
        cuts.update(images[0])
        cases.append(
            {"boxes": [asdict(box), asdict(later)], "people": people, "places": places}
            | {"likeness": likeness, "cut": bool(cuts.update(images[1]))}
        )
    return cases


def probabilities(random: np.random.Generator, label: int, sharpness: float) -> np.ndarray:
    logits = random.normal(0, 1, 7)
    logits[label] += sharpness
    shares = np.exp(logits)
    return (shares / shares.sum()).astype(np.float32)


def smoother_steps() -> list[dict[str, Any]]:
    random = np.random.default_rng(4)
    smoother, steps, t_s = Smoother(), [], 0.0
    for k in range(150):
        t_s = round(t_s + float(random.choice([0.04, 0.04, 0.2, 1.5], p=[0.4, 0.4, 0.17, 0.03])), 3)
        row = probabilities(random, (k // 20) % 7, 2.0)
        smoothed, label = smoother.update(str(k % 2), t_s, row)
        steps.append({"track": str(k % 2), "t_s": t_s, "raw": row.tolist(), "smoothed": smoothed.tolist(), "label": label})
    return steps


def pose_cases() -> list[dict[str, Any]]:
    random = np.random.default_rng(5)
    cases = []
    for _ in range(40):
        angle, scale = random.uniform(-0.7, 0.7), random.uniform(0.5, 6)
        points = landmarks_of(Box(0, 0, 60, 72), random.uniform(-0.25, 0.25)).astype(np.float64)
        points[:, 0] *= random.uniform(0.5, 1.1)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = (points @ turn.T * scale + random.uniform(0, 300, 2)).astype(np.float32)
        pose = head_pose(points)
        cases.append({"landmarks": points.ravel().tolist(), "pose": None if pose is None else asdict(pose)})
    line = np.array([[10, 10], [20, 20], [30, 30], [40, 40], [50, 50]], np.float32)
    return [*cases, {"landmarks": line.ravel().tolist(), "pose": None if head_pose(line) is None else asdict(head_pose(line))}]


def crop_pattern(seed: int) -> np.ndarray:
    """Return a (48, 48) uint8 crop: smooth noise of some brightness, contrast and sharpness."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 1, (48, 48))
    smooth = cv2.GaussianBlur(noise, (0, 0), float(random.choice([0.4, 0.9, 2.0, 4.5])))
    smooth /= smooth.std()
    level, spread = random.choice([15, 60, 120]), random.choice([4, 10, 40])
    return np.clip(level + spread * smooth, 0, 255).astype(np.uint8)


def legibility_cases() -> list[dict[str, Any]]:
    cases = []
    for seed in range(24):
        crop = crop_pattern(seed)
        side = float([13.0, 14.0, 60.0, 200.0][seed % 4])
        pose = HeadPose([0.0, 55.0, -30.0][seed % 3], [5.0, -52.0][seed % 2] if seed % 5 == 0 else 0.0, 0.0)
        measures = {name: float(value[0]) for name, value in picture_measures(crop[None]).items()}
        for before in (False, True):
            reason = unread_reasons(crop[None, None], [side], [pose], [before])[0]
            cases.append({"seed": seed, "side_px": side, "pose": asdict(pose), "was_read": before, "reason": reason})
        cases[-1] |= {"crop_hex": crop.tobytes().hex(), **measures}
    return cases


def session_frames() -> list[FrameResult]:
    """Return the frames of a session: faces that come, go, turn away and cannot be read, and two gaps."""
    random = np.random.default_rng(6)
    smoother, facing, frames = Smoother(), FacingFilter(), []
    t_s = 0.0
    for k in range(260):
        gap = {90: 3.2, 180: 1.7}.get(k, float(random.choice([0.1, 0.2])))
        t_s = round(t_s + gap, 3) if k else 0.0
        faces = []
        for number in range([1, 2, 1, 0, 1][k // 52]):
            name = "bcdfgh"[:5] + "bcdf"[number]
            box = Box(100.0 + 150 * number + k % 7, 80.0, 70.0, 90.0)
            pose = HeadPose([3.0, 38.0, 30.0, -5.0][(k // 9) % 4], 2.0, -1.0)
            unread = ["", "", "", "", "", "blurred", "too dark"][(k // 8) % 7]
            seen_there = Detection(box, 0.9, landmarks_of(box))
            raw = smoothed = np.full(7, np.nan, np.float32)
            label = ""
            if not unread:
                raw = probabilities(random, (k // 15 + number) % 7, 2.5)
                smoothed, label = smoother.update(name, t_s, raw)
            answers = {"raw": raw, "smoothed": smoothed, "label": label, "uncertain_below": UNCERTAIN_BELOW}
            faces.append(FaceReading(track_id=name, detection=seen_there, pose=pose, unread=unread, **answers))
        frames.append(facing.update(FrameResult(k, t_s, (640, 480), tuple(faces), min(gap, 1.0) if k else 0.0)))
    return frames


def session_case() -> dict[str, Any]:
    tally, affect, trend, rows = Tally(), Affect(), Trend(), io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    frames = session_frames()
    given = []
    for frame in frames:
        released = release(decide(), frame)
        tally.update(seen(released))
        affect.update(frame)
        trend.update(frame)
        writer.writerows([[_row(face, released)[name] for name in COLUMNS] for face in released.faces])
        given.append(
            {"index": frame.index, "t_s": frame.t_s, "interval_s": frame.interval_s, "width": 640, "height": 480, "faces": [
                {"track_id": face.track_id, "box": asdict(face.detection.box), "score": 0.9, "unread": face.unread,
                 "raw": [] if face.unread else [float(v) for v in face.raw],
                 "smoothed": [] if face.unread else [float(v) for v in face.smoothed], "label": face.label,
                 "confidence": face.confidence, "uncertain": bool(face.uncertain), "facing": face.facing,
                 "pose": asdict(face.pose)} for face in frame.faces]})  # fmt: skip
    record = SessionRecord("golden", datetime(2026, 3, 4, 9, 30, tzinfo=UTC), policy="full", presence_share=0.0)
    document = summary_document(tally.kept(record))
    observed = Tally()
    for frame in frames:
        faces = tuple(replace(face, unread=NOT_PERMITTED, label="") for face in frame.faces)
        observed.update(seen(release(decide(SCHOOL), replace(frame, faces=faces))))
    kept = {"full": tally.kept(record), "observables": observed.kept(replace(record, policy="observables"))}
    xapi = XapiSession(UUID(int=7), str(UUID(int=8)), record.started_at, VERSION)
    names = ("frames", "frames_with_face", "faces_max", "readings", "uncertain", "presence_share", "duration_s", "unread")
    more = ("distribution", "facing_share", "attention", "transitions", "tracks", "timeline", "dwell", "episodes", "faces")
    return {
        "frames": given,
        "rows": rows.getvalue(),
        "document": {name: document[name] for name in (*names, *more)},
        "statements": {policy: xapi.terminated(each) for policy, each in kept.items()},
        "affect": list(affect.mean or ()),
        "affect_now": [None if np.isnan(value) else value for value in affect.now],
        "trend": [
            [t, None if np.isnan(row).any() else row.tolist()] for t, row in zip(trend.t_s.tolist(), trend.values, strict=True)
        ],
    }


def write_network_answers(folder: Path, yunet: Path) -> Path:
    """Write what the networks answer here, and the networks as they are served; return the file that names all of it.

    Networks may be replaced by better ones, so their answers are not stored with the golden vectors.
    """
    from mien.web.networks import PAGE_MODEL, served_detector, served_model

    packaged = OwnDetector()
    image, crops = astronaut_picture(), np.stack([crop_pattern(seed) for seed in range(3)])[:, None]
    paths = {"yunet": yunet, packaged.name: packaged_bundle(PACKAGED_DETECTOR)}
    detectors = []
    for detector in (YuNetDetector(yunet), packaged):
        (folder / f"{detector.name}.onnx").write_bytes(served_detector(detector.name, paths[detector.name]))
        found = detector.detect(image)
        near = detector.detect_near(image, [each.box for each in found])
        expected = {"whole": list(found), "near": [face for window in near for face in window]}
        detectors.append(
            {"name": detector.name, "file": str(folder / f"{detector.name}.onnx")}
            | {kind: [plain_detection(each) for each in faces] for kind, faces in expected.items()}
        )
    (folder / "model.onnx").write_bytes(served_model(bundle_path(PAGE_MODEL)))
    model = {"file": str(folder / "model.onnx"), "crops_hex": [crop.tobytes().hex() for crop in crops]}
    model["probabilities"] = Predictor(bundle_path(PAGE_MODEL)).predict(crops).probabilities.tolist()
    picture = {"width": image.shape[1], "height": image.shape[0], "bgr_hex": image.tobytes().hex()}
    path = folder / "answers.json"
    path.write_text(json.dumps({"picture": picture, "detectors": detectors, "model": model}), encoding="utf-8")
    return path


def astronaut_picture() -> np.ndarray:
    """Return (256, 256, 3) uint8 BGR: NASA's photograph of an astronaut, from scikit-image."""
    from skimage.data import astronaut

    return np.ascontiguousarray(cv2.cvtColor(astronaut()[20:276, 96:352], cv2.COLOR_RGB2BGR))


def plain_detection(detection: Detection) -> dict[str, Any]:
    landmarks = np.asarray(detection.landmarks, np.float64).ravel().tolist()
    return {"box": asdict(detection.box), "score": float(detection.score), "landmarks": landmarks}


class ScriptedCells(OwnDetector):
    """Answers with cells around faces that are drawn nowhere, some of which are seen at one size only."""

    def __init__(self) -> None:
        Detector.__init__(self, 960, OWN_SCORE, _KNOWN_SCORE)
        self.readings: list[dict[str, Any]] = []

    def _run(self, grey: np.ndarray) -> list[np.ndarray]:
        height, width = grey.shape
        random, scale = np.random.default_rng(width), width / 320
        faces = [(40, 50, 60, 70, 0.9), (150, 60, 120, 130, 0.8), (10, 200, 24, 28, 0.7)]
        faces += [(250, 10, 50, 50, 0.8), (280, 190, 30, 30, 0.55)] if scale == 1 else []
        rows = []
        for x, y, w, h, score in faces:
            for _ in range(6):
                box = scale * (np.array([x, y, w, h]) + random.normal(0, 0.06 * w, 4))
                rows.append((score * random.uniform(0.4, 1), box, landmarks_of(Box(*box))))
        rows.append((0.31, np.array([30.0, 30, 8, 8]) * scale, np.full((5, 2), 33.0 * scale)))  # its landmarks coincide
        scores, boxes, landmarks = (np.array(values, np.float32) for values in zip(*rows, strict=True))
        self.readings.append(
            {"size": [width, height], "grey_crc": zlib.crc32(np.ascontiguousarray(grey).tobytes())}
            | {"scores": scores.tolist(), "boxes": boxes.ravel().tolist(), "landmarks": landmarks.ravel().tolist()}
        )
        return [scores, boxes, landmarks]


def own_detector_case() -> dict[str, Any]:
    """Return what the packaged detector's code makes of scripted cells; the picture is ``test_preprocess.golden_picture``."""
    from test_preprocess import golden_picture

    detector = ScriptedCells()
    found = detector.detect(golden_picture())
    near = detector.detect_near(golden_picture(), [Box(40, 50, 60, 70)])
    return {
        "readings": detector.readings,
        "found": [plain_detection(each) for each in found],
        "near": [plain_detection(each) for each in near[0]],
    }


def resize_cases() -> list[dict[str, Any]]:
    """Return pictures resized by OpenCV; the picture is ``test_preprocess.golden_picture``."""
    from test_preprocess import golden_picture

    picture = golden_picture()
    cases = []
    for x0, y0, x1, y1, width, height, mode in (
        (0, 0, 320, 240, 160, 120, "area"),
        (10, 20, 310, 230, 128, 90, "area"),
        (5, 5, 45, 35, 64, 64, "linear"),
        (10, 20, 200, 210, 128, 128, "linear"),
        (10, 20, 310, 230, 128, 90, "linear"),
        (30, 40, 42, 120, 64, 64, "area"),
    ):
        part = picture[y0:y1, x0:x1]
        area = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
        resized = area if mode == "area" else _resized(part, (width, height))
        thumb = cv2.resize(np.ascontiguousarray(part[:, :, 1]), (16, 16), interpolation=cv2.INTER_AREA)
        grey = to_grey(picture)[y0:y1, x0:x1]
        grey = (
            cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA) if mode == "area" else _resized(grey, (width, height))
        )
        cases.append(
            {
                "region": [x0, y0, x1, y1],
                "size": [width, height],
                "mode": mode,
                "bgr_hex": resized.transpose(2, 0, 1).tobytes().hex(),
            }
            | {"thumb_hex": thumb.tobytes().hex(), "grey_hex": grey.tobytes().hex()}
        )
    return cases


def decoder_case(yunet: Path) -> dict[str, Any]:
    """Return YuNet's raw outputs on a small picture, and the faces that OpenCV makes of the same picture."""
    import onnxruntime

    from mien.web.onnx_graph import free_input_size

    face = cv2.resize(astronaut_picture(), (96, 96), interpolation=cv2.INTER_AREA)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(free_input_size(yunet.read_bytes()), options)
    outputs = dict(
        zip(
            [each.name for each in session.get_outputs()],
            session.run(None, {"input": face.transpose(2, 0, 1)[None].astype(np.float32)}),
            strict=True,
        )
    )
    found = YuNetDetector(yunet, min_score=0.3).detect(face)
    return {
        "side": 96,
        "min_score": 0.3,
        "outputs": {name: [round(float(v), 5) for v in value.ravel()] for name, value in outputs.items()},
        "found": [plain_detection(each) for each in found],
    }


def golden(yunet: Path) -> dict[str, Any]:
    """Return all golden vectors."""
    return {
        "decoder": decoder_case(yunet),
        "own_detector": own_detector_case(),
        "appearance": appearance_cases(),
        "finder": finder_steps(),
        "tracker": tracker_steps(),
        "smoother": smoother_steps(),
        "pose": pose_cases(),
        "legibility": legibility_cases(),
        "session": session_case(),
        "resize": resize_cases(),
    }


def rounded(value: Any) -> Any:
    """Return the same with floats rounded to 7 digits: what platforms agree on."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return round(value, 7)
    return value


if __name__ == "__main__":
    from conftest import SHARED

    found = golden(SHARED / "models" / "face_detection_yunet_2023mar.onnx")
    GOLDEN.write_text(json.dumps(rounded(found), separators=(",", ":")).replace('},{"', '},\n{"') + "\n", encoding="utf-8")
