"""Training of the face detector: scenes with known faces, what cells should answer, and the whole recipe in a short form."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from datasets import make_dataset
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import BundleError, DataError, DeviceError, StorageError, UsageError
from mien.files import write_text
from mien.locks import only_writer
from mien.preprocess import CANONICAL_LANDMARKS
from mien.records import Box
from mien.training.detector.backgrounds import MIN_SIDE, picture_files, procedural, read_backgrounds
from mien.training.detector.export import answers_of, export_detector
from mien.training.detector.faces import TaughtFaces, teach_faces
from mien.training.detector.loop import DetectorTrainer, load_detector_checkpoint, varied
from mien.training.detector.losses import ANSWERS, cells, decoded, distance_iou, losses, targets_of
from mien.training.detector.network import LANDMARK_UNIT, STRIDES, USUAL_LANDMARKS, DetectorNet, count_weights
from mien.training.detector.run import _prepared, _scenes_key
from mien.training.detector.scenes import SCENE, Composer, Scene, is_faceless, moved_box
from mien.training.detector.settings import DetectorSettings, changed
from mien.training.detector.stock import _LEAD, Stock, delete_rounds, read_round, round_path, write_round
from mien.training.stopping import StopRequest, stop_on_signal
from mien.vision.bundles import newest_own_bundle
from mien.vision.own_detector import OwnDetector
from mien.vision.yunet import YuNetDetector

SHORT = {"rounds": 2, "round_scenes": 12, "batch_size": 6, "again": 2, "hard": 1, "window": 1}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Stop OpenCV's threads, as the command does: a forked process would wait for them forever."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def drawn_faces() -> TaughtFaces:
    """Two drawn faces, dark on light, whose places are the canonical ones."""
    images = np.full((2, 48, 48), 200, np.uint8)
    for image in images:
        for x, y in CANONICAL_LANDMARKS:
            cv2.circle(image, (round(float(x)), round(float(y))), 2, 20, -1)
    boxes = np.tile(np.array([4, 4, 40, 44], np.float32), (2, 1))
    return TaughtFaces(images, boxes, np.tile(CANONICAL_LANDMARKS, (2, 1, 1)))


def scene_with(*boxes: tuple[float, float, float, float], score: float = 1.0) -> Scene:
    sized = np.array(boxes, np.float32).reshape(-1, 4)
    landmarks = sized[:, None, :2] + sized[:, None, 2:] * (CANONICAL_LANDMARKS / 48)[None]
    grey = np.zeros((SCENE, SCENE), np.uint8)
    return Scene(grey, sized, landmarks.astype(np.float32), np.full(len(sized), score, np.float32))


def test_a_scene_depends_on_its_number_only(drawn_faces: TaughtFaces) -> None:
    one, two = Composer(drawn_faces, [], 5), Composer(drawn_faces, [], 5)
    two.compose(3)
    first, again, other = one.compose(8), two.compose(8), one.compose(9)
    assert np.array_equal(first.grey, again.grey)
    assert np.array_equal(first.landmarks, again.landmarks)
    assert not np.array_equal(first.grey, other.grey)


def test_scenes_show_what_their_labels_say(drawn_faces: TaughtFaces) -> None:
    composer = Composer(drawn_faces, [procedural(np.random.default_rng(1), 300)], 0)
    scenes = [composer.compose(number) for number in range(60)]
    assert all(scene.grey.shape == (SCENE, SCENE) and scene.grey.dtype == np.uint8 for scene in scenes)
    without = [number for number, scene in enumerate(scenes) if is_faceless(0, number)]
    assert 5 < len(without) < 30
    assert all(not len(scenes[number].scores) for number in without)
    boxes = np.concatenate([scene.boxes for scene in scenes])
    assert boxes[:, 2].min() < 40 < 150 < boxes[:, 2].max()
    for scene in scenes:
        for box, landmarks, score in zip(scene.boxes, scene.landmarks, scene.scores, strict=True):
            assert (landmarks > box[:2] - 0.25 * box[2:]).all()
            assert (landmarks < box[:2] + 1.25 * box[2:]).all()
            seen = np.minimum(box[:2] + box[2:], SCENE) - np.maximum(box[:2], 0)
            assert (score > 0) == (max(0, seen[0]) * max(0, seen[1]) / (box[2] * box[3]) >= 0.5) or abs(score) == 1


def test_a_box_that_turns_holds_its_ellipse() -> None:
    turn = np.array([[0.0, -2.0, 10.0], [2.0, 0.0, 0.0]])  # a quarter turn, twice as large
    assert moved_box(turn, np.array([0, 0, 10, 20], np.float32)) == pytest.approx([-30, 0, 40, 20])


def test_the_teacher_agrees_with_itself_and_doubts(shared: Path, yunet: Path, fer2013: object) -> None:
    training = fer2013.split("Training")
    teacher = YuNetDetector(yunet, min_score=0.5)
    faces = teach_faces(training.images[:24], teacher)
    assert 12 <= len(faces) <= 24
    assert np.abs(np.median(faces.landmarks, 0) - CANONICAL_LANDMARKS).max() < 4
    with_teacher = Composer(faces, [], 0, YuNetDetector(yunet, max_side=SCENE, min_score=0.3))
    scores = np.concatenate([with_teacher.compose(number).scores for number in range(30)])
    sure = scores[scores > 0]
    assert len(sure) > 10
    assert ((sure > 0.3) & (sure < 1)).any()
    with pytest.raises(DataError, match="none of the training images"):
        teach_faces(np.zeros((3, 48, 48), np.uint8), teacher)


def test_backgrounds_with_faces_and_icons_are_left_out(yunet: Path, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), np.full((MIN_SIDE, 300, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "in" / "icon.png"), np.zeros((32, 32), np.uint8))
    (tmp_path / "in" / "b.jpg").write_bytes((shared / "media" / "five_faces.jpg").read_bytes())
    (tmp_path / "in" / "c.png").write_bytes(b"no picture")
    files = [path for path in picture_files([tmp_path / "in"]) if tmp_path in path.parents]
    assert [path.name for path in files] == ["a.png", "b.jpg", "c.png", "icon.png"]
    found = read_backgrounds([*files, tmp_path / "gone.png", tmp_path], YuNetDetector(yunet))
    assert [picture.shape for picture in found] == [(MIN_SIDE, 300)]
    with pytest.raises(DataError, match="is not a folder"):
        picture_files([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no picture"):
        picture_files([tmp_path / "empty"])


def test_cells_near_a_face_are_asked_and_those_further_out_left_alone() -> None:
    places, strides = cells()
    targets = targets_of([scene_with((80, 80, 40, 40)), scene_with((80, 80, 40, 40), score=-1), scene_with()])
    asked = targets.scores[0] > 0
    assert asked.any()
    assert set(strides[asked]) == {8.0, 16.0}
    assert np.abs(places[asked] - 100).max() <= 0.8 * 16
    at_corner = (np.abs(places - 16).max(1) < 1) & (strides == 8)
    assert (targets.scores[0][at_corner] == 0).all()
    larger = targets_of([scene_with((70, 70, 60, 60))]).scores[0]
    assert (larger == -1).any()
    assert set(strides[larger > 0]) == {16.0}
    assert (targets.scores[1][(np.abs(places - 100) <= 20).all(1)] == -1).all()
    assert not (targets.scores[1] > 0).any()
    assert (targets.scores[2] == 0).all()


def test_every_size_of_face_is_asked_of_some_cell() -> None:
    for width in (12, 20, 40, 70, 120, 200):
        left = (SCENE - width) / 2 + 1.7
        assert (targets_of([scene_with((left, left, width, 1.2 * width))]).scores > 0).any()


def test_right_answers_cost_nothing_and_wrong_ones_do() -> None:
    places, strides = (torch.from_numpy(each) for each in cells())
    targets = targets_of([scene_with((60, 50, 80, 100))])
    right = torch.zeros(1, len(places), ANSWERS)
    right[..., 0] = torch.where(targets.scores > 0, 12.0, -12.0)
    unit = strides[:, None]
    right[..., 1:3] = (targets.boxes[..., :2] - places) / unit
    right[..., 3:5] = (targets.boxes[..., 2:] / unit).clamp(min=1e-3).log()
    apart = (targets.landmarks - targets.boxes[..., None, :2]) / targets.boxes[..., None, 2:].clamp(min=1e-3)
    right[..., 5:] = ((apart - torch.tensor(USUAL_LANDMARKS)) / LANDMARK_UNIT).flatten(-2)
    ends = np.cumsum([(SCENE // stride) ** 2 for stride in STRIDES])[:-1]

    def cost(answers: torch.Tensor) -> float:
        each = zip(answers.tensor_split(list(ends), 1), STRIDES, strict=True)
        parts = [part.transpose(1, 2).unflatten(2, (SCENE // stride,) * 2) for part, stride in each]
        return float(losses(parts, targets, places, strides)[0])

    assert cost(right) < 1e-3
    shifted, blind = right.clone(), right.clone()
    shifted[..., 1] += 1
    blind[..., 0] = -12
    assert cost(shifted) > 0.05
    assert cost(blind) > 1
    boxes, points = decoded(right[0], places, strides)
    asked = targets.scores[0] > 0
    assert torch.allclose(boxes[asked], targets.boxes[0][asked], atol=1e-3)
    assert torch.allclose(points[asked], targets.landmarks[0][asked], atol=1e-3)


def test_distance_iou_of_known_boxes() -> None:
    same = torch.tensor([[10.0, 10.0, 4.0, 4.0]])
    apart = torch.tensor([[20.0, 10.0, 4.0, 4.0]])
    assert float(distance_iou(same, same)) == pytest.approx(0)
    assert float(distance_iou(same, apart)) == pytest.approx(1 + 100 / (14**2 + 4**2))


def test_a_mirrored_scene_has_mirrored_labels() -> None:
    scene = scene_with((20, 40, 50, 60))
    mirrored = next(v for v in (varied(np.random.default_rng(k), scene) for k in range(20)) if v.boxes[0, 0] != 20)
    assert mirrored.boxes[0] == pytest.approx([SCENE - 1 - 70, 40, 50, 60])
    assert mirrored.landmarks[0, 0] == pytest.approx([SCENE - 1 - scene.landmarks[0, 1, 0], scene.landmarks[0, 1, 1]])


def test_the_network_answers_for_each_cell_of_any_size(tmp_path: Path) -> None:
    network = DetectorNet().eval()
    assert count_weights(network) < 75_000
    for height, width in ((32, 32), (97, 130)):
        scores, boxes, landmarks = answers_of(network, np.zeros((height, width), np.uint8))
        assert len(scores) == len(boxes) == len(landmarks) == len(cells(height, width)[0])
    export_detector(network, {"name": "untrained"}, tmp_path / "untrained.onnx")
    assert OwnDetector(tmp_path / "untrained.onnx").card == {"name": "untrained"}


def test_settings_are_checked() -> None:
    assert changed(DetectorSettings(), {"rounds": 3}).rounds == 3
    with pytest.raises(UsageError, match="rounds is 0"):
        DetectorSettings(rounds=0)
    with pytest.raises(UsageError, match="no new scene"):
        DetectorSettings(batch_size=3)
    with pytest.raises(UsageError, match="roundz"):
        changed(DetectorSettings(), {"roundz": 3})
    for name, value in (
        ("lr", 0.0),
        ("weight_decay", -1.0),
        ("decay_from", 2.0),
        ("average", 1.0),
        ("seed", -1),
        ("seed", 2**40),
    ):
        with pytest.raises(UsageError, match=f"{name} is "):
            changed(DetectorSettings(), {name: value})


def test_scenes_of_a_run_that_left_no_checkpoint_are_not_used_again(drawn_faces: TaughtFaces, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    write_round(round_path(folder, 0, "key"), 0, 2, Composer(drawn_faces, [], 1))
    (folder / ".DS_Store").write_text("x")
    delete_rounds(folder)
    assert [path.name for path in folder.iterdir()] == [".DS_Store"]
    (folder / ".DS_Store").unlink()
    delete_rounds(folder)
    delete_rounds(folder)
    assert not folder.exists()


def run_short(data: Path, folder: Path, *more: str, rounds: int = 2) -> str:
    settings = SHORT | {"rounds": rounds, "decay_from": 1.0}  # so that a resumed run may have more rounds
    changes = [f"--set={key}={value}" for key, value in settings.items()]
    answer = CliRunner().invoke(
        app,
        ["train-detector", "--data", str(data), "--limit", "24", "--out", str(folder), *changes, *more],
        catch_exceptions=False,
    )
    return answer.output


@pytest.mark.slow
def test_the_recipe_runs_from_data_to_detector_and_resumes_as_if_never_stopped(
    part_of_fer2013: Path, yunet: Path, tmp_path: Path
) -> None:
    wallpapers = tmp_path / "wallpapers"
    wallpapers.mkdir()
    for k in range(3):
        cv2.imwrite(str(wallpapers / f"{k}.png"), procedural(np.random.default_rng(k), 240))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    said = run_short(part_of_fer2013, whole, "--backgrounds", str(wallpapers))
    assert " faces, " in said
    detector = OwnDetector(whole / "mien-detect.onnx")
    detector.detect(np.full((240, 320, 3), 80, np.uint8))
    record = json.loads((whole / "mien-detect.json").read_text(encoding="utf-8"))
    assert record["card"] == detector.card
    assert detector.card["rounds_done"] == 2
    assert str(tmp_path) not in json.dumps(record)
    assert not (whole / "scenes").exists()
    run_short(part_of_fer2013, parts, "--backgrounds", str(wallpapers), rounds=1)
    assert "with other settings" in _refused(part_of_fer2013, parts, "--resume", "--set=lr=0.1", "--backgrounds", str(wallpapers))
    assert "Continue it with --resume" in _refused(part_of_fer2013, parts, "--backgrounds", str(wallpapers))
    assert "on other backgrounds" in _refused(part_of_fer2013, parts, "--resume")
    with only_writer(parts):
        assert "another process" in _refused(part_of_fer2013, parts, "--resume", "--backgrounds", str(wallpapers))
    run_short(part_of_fer2013, parts, "--resume", "--backgrounds", str(wallpapers))
    assert load_detector_checkpoint(parts / "detector.pt")["rounds_done"] == 2
    (parts / "mien-detect.onnx").unlink()
    run_short(part_of_fer2013, parts, "--resume", "--backgrounds", str(wallpapers), rounds=1)  # fewer rounds than are done
    assert (parts / "mien-detect.onnx").is_file()


def test_a_missing_package_is_said_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.errors.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match="torch"):
        CliRunner().invoke(app, ["train-detector", "--list"], catch_exceptions=False)


def test_the_composing_process_ends_when_it_is_told_to(drawn_faces: TaughtFaces, tmp_path: Path) -> None:
    with stop_on_signal():  # whose handlers a forked process inherits
        stock = Stock(tmp_path / "scenes", "key", range(10**6), 2, 1, Composer(drawn_faces, [], 0))
    try:
        assert len(stock.round(1, StopRequest())) == 2
        stock._process.terminate()
        stock._process.join(60)
        assert stock._process.exitcode == -signal.SIGTERM
    finally:
        stock._process.kill()


def test_scenes_are_composed_a_few_rounds_ahead_and_deleted_behind_the_window(drawn_faces: TaughtFaces, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    stock = Stock(folder, "key", range(12), 2, 1, Composer(drawn_faces, [], 0))
    try:
        for number in range(4):
            stock.round(number, StopRequest())
        last = round_path(folder, 3 + _LEAD, "key")
        while not last.is_file():
            time.sleep(0.02)
        time.sleep(0.2)
        assert sorted(folder.glob("0*.npz")) == [round_path(folder, number, "key") for number in range(2, 4 + _LEAD)]
        assert stock._process.is_alive()
    finally:
        stock.close()


def test_scenes_of_other_settings_are_not_used(drawn_faces: TaughtFaces, tmp_path: Path) -> None:
    composer = Composer(drawn_faces, [], 0)
    facts = {"dataset_hash": "d", "backgrounds": "b"}
    ours, other = (_scenes_key(facts, changed(DetectorSettings(), {"seed": seed})) for seed in (0, 1))
    write_round(round_path(tmp_path, 0, other), 0, 2, Composer(drawn_faces, [], 1))
    stock = Stock(tmp_path, ours, range(1), 2, 1, composer)
    try:
        assert np.array_equal(stock.round(0, StopRequest())[0].grey, composer.compose(0).grey)
    finally:
        stock.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_the_composing_process_ends_with_a_killed_run(drawn_faces: TaughtFaces, tmp_path: Path) -> None:
    run = multiprocessing.get_context("fork").Process(target=_start_stock, args=(drawn_faces, tmp_path))
    run.start()
    while not (tmp_path / "pid").is_file():
        time.sleep(0.02)
    run.kill()
    run.join()
    composer = int((tmp_path / "pid").read_text())
    try:
        for _ in range(500):
            if _has_ended(composer):
                break
            time.sleep(0.02)
        assert _has_ended(composer)
    finally:
        with suppress(ProcessLookupError):
            os.kill(composer, signal.SIGKILL)


def _start_stock(faces: TaughtFaces, folder: Path) -> None:
    stock = Stock(folder / "scenes", "key", range(1), 10**6, 1, Composer(faces, [], 0))
    write_text(folder / "pid", str(stock._process.pid))
    time.sleep(600)


def _has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.is_file() and status.read_text().rpartition(")")[2].split()[0] == "Z"  # nobody waits for it


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_an_error_of_the_composing_process_is_the_runs(
    drawn_faces: TaughtFaces, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        stock = Stock(tmp_path / "scenes", "key", range(1), 12, 1, Composer(drawn_faces, [], 0))
        with pytest.raises(StorageError, match=r"cannot write .*00000-key\.npz"):
            stock.round(0, StopRequest())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    stock.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("damage", ["empty", "cut", "no labels", "other shape"])
def test_a_broken_round_is_refused(damage: str, drawn_faces: TaughtFaces, tmp_path: Path) -> None:
    path = round_path(tmp_path, 0, "key")
    write_round(path, 0, 2, Composer(drawn_faces, [], 0))
    assert len(read_round(path, 2)) == 2
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        with np.load(path) as stored:
            values = dict(stored)
        values["landmarks"] = values["landmarks"][:, :4]
        if damage == "no labels":
            del values["landmarks"]
        np.savez(path, **values)
    with pytest.raises(DataError, match=r"00000-key\.npz is broken"):
        read_round(path, 2)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"no archive"])
def test_broken_material_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "material.npz").write_bytes(content)
    facts = {"dataset_hash": "d", "backgrounds": "b"}
    with pytest.raises(DataError, match=r"material\.npz is broken"):
        _prepared(make_dataset(), [], tmp_path / "yunet.onnx", tmp_path, facts, lambda what, done, total: None)


def test_the_number_of_rounds_is_kept_once_the_rate_falls(tmp_path: Path) -> None:
    facts = {"dataset_hash": "d", "backgrounds": "b", "command": ""}

    trainer = DetectorTrainer(DetectorSettings(rounds=10), tmp_path, facts)

    def resume(done: int, rounds: int) -> None:
        trainer.rounds_done = done
        trainer._save()
        trainer.settings = DetectorSettings(rounds=rounds)
        try:
            trainer.resume()
        finally:
            trainer.settings = DetectorSettings(rounds=10)

    for done, rounds in ((6, 20), (9, 10), (9, 9), (9, 5)):  # the rate has not fallen, is the same, or there is none
        resume(done, rounds)
    for done, rounds in ((7, 20), (6, 8)):
        with pytest.raises(UsageError, match=f"with {rounds} rounds"):
            resume(done, rounds)


class _Stopping:
    """Scenes of a composer, and Ctrl-C before a certain round."""

    def __init__(self, composer: Composer, size: int, stop_at: int) -> None:
        self._composer, self._size, self._stop_at = composer, size, stop_at

    def round(self, number: int, stop: object) -> list[Scene]:
        if number == self._stop_at:
            raise KeyboardInterrupt
        return [self._composer.compose(number * self._size + k) for k in range(self._size)]


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(drawn_faces: TaughtFaces, tmp_path: Path) -> None:
    settings = changed(DetectorSettings(), SHORT | {"rounds": 3})
    facts = {"dataset_hash": "d", "backgrounds": "b", "command": ""}

    def stock(stop_at: int = -1) -> Any:
        return _Stopping(Composer(drawn_faces, [], 0), settings.round_scenes, stop_at)

    seen: list[float] = []
    straight = DetectorTrainer(settings, tmp_path / "straight", facts)
    straight.run(stock(), lambda done, loss: seen.append(loss))
    assert len(seen) == 3
    assert np.isfinite(seen).all()
    with pytest.raises(KeyboardInterrupt):
        DetectorTrainer(settings, tmp_path / "stopped", facts).run(stock(2), lambda done, loss: None)
    resumed = DetectorTrainer(settings, tmp_path / "stopped", facts)
    resumed.resume()
    assert resumed.rounds_done == 2
    (tmp_path / "stopped" / ".detector-abcdefgh.pt").touch()  # left by a kill
    resumed.run(stock(), lambda done, loss: None)
    assert list((tmp_path / "stopped").glob(".detector*")) == []
    states = [load_detector_checkpoint(tmp_path / name / "detector.pt") for name in ("straight", "stopped")]
    for part in ("network", "average"):
        assert all(torch.equal(states[0][part][name], value) for name, value in states[1][part].items())
    with pytest.raises(UsageError, match="on other dataset_hash"):
        DetectorTrainer(settings, tmp_path / "stopped", facts | {"dataset_hash": "other"}).resume()


def test_a_broken_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run to resume"):
        load_detector_checkpoint(tmp_path / "detector.pt")
    (tmp_path / "detector.pt").write_bytes(b"broken")
    with pytest.raises(BundleError, match="not a complete checkpoint"):
        load_detector_checkpoint(tmp_path / "detector.pt")
    torch.save({"format": "mien-detector-1", "network": torch.zeros(1 << 20)}, tmp_path / "stored.pt")
    with (
        zipfile.ZipFile(tmp_path / "stored.pt") as stored,
        zipfile.ZipFile(tmp_path / "detector.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    with pytest.raises(BundleError, match="not a complete checkpoint"):  # it could unpack to more than fits into memory
        load_detector_checkpoint(tmp_path / "detector.pt")
    torch.save({"format": "mien-detector-1"}, tmp_path / "detector.pt")
    with pytest.raises(BundleError, match="without settings"):
        load_detector_checkpoint(tmp_path / "detector.pt")
    facts = {"dataset_hash": "d", "backgrounds": "b", "command": ""}
    whole = DetectorTrainer(DetectorSettings(), tmp_path, facts)
    whole._save()
    state = load_detector_checkpoint(tmp_path / "detector.pt")
    values = {"network": {}, "average": None, "optimiser": {}, "hard": (), "facts": {}, "settings": {}}
    for key, value in values.items():
        torch.save(state | {key: value}, tmp_path / "detector.pt")
        with pytest.raises(BundleError, match=r"wrong values|does not match"):
            DetectorTrainer(DetectorSettings(), tmp_path, facts).resume()
    torch.save({"format": "another"}, tmp_path / "detector.pt")
    with pytest.raises(BundleError, match="not a checkpoint of mien train-detector"):
        load_detector_checkpoint(tmp_path / "detector.pt")


def _refused(data: Path, folder: Path, *more: str) -> str:
    with pytest.raises(UsageError) as caught:
        run_short(data, folder, *more)
    return str(caught.value)


def test_boxes_overlap_as_the_records_say() -> None:
    first, second = Box(0, 0, 4, 4), Box(2, 0, 4, 4)
    ours = 1 - float(distance_iou(torch.tensor([[2.0, 2.0, 4.0, 4.0]]), torch.tensor([[4.0, 2.0, 4.0, 4.0]]))) + 4 / (36 + 16)
    assert ours == pytest.approx(first.iou(second))


def test_a_trained_detector_is_not_taken_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "detector").mkdir()
    for ending in ("onnx", "json"):
        (tmp_path / "detector" / f"mien-detect.{ending}").write_text("{}")
    assert newest_own_bundle(tmp_path) is None
