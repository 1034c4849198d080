"""``mien monitor`` from the command line: references, folders of pictures, new labels, invalid input."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import MienHere
from datasets import make_dataset, pattern, take_for_fer2013
from photos import photo
from typer.testing import CliRunner

from mien.cli import app
from mien.data.dataset import FaceDataset
from mien.data.reader import read_dataset
from mien.data.votes import OTHER_ANSWERS
from mien.emotions import EMOTIONS
from mien.errors import DataError, MienError
from mien.files import file_hash
from mien.monitoring.reference_file import read_reference
from mien.vision.bundles import bundle_path
from mien.vision.predictor import Predictor
from mien.watch import WatchResult, make_reference, observe_pictures, pictures_in

PER_CLASS = 60


def run(*arguments: object, code: int = 0) -> dict:
    """Run a command that exits with ``code`` and return the JSON on its last line."""
    answer = CliRunner().invoke(app, ["monitor", *(str(a) for a in arguments)])
    assert answer.exit_code == code, answer.output
    return json.loads(answer.stdout.splitlines()[-1])


def error_of(*arguments: object) -> str:
    answer = CliRunner().invoke(app, ["monitor", *(str(a) for a in arguments)])
    assert isinstance(answer.exception, MienError), answer.output
    return str(answer.exception)


def face(seed: int) -> np.ndarray:
    """Return a synthetic face."""
    return cv2.addWeighted(photo(seed), 0.6, pattern(seed % 7, seed), 0.4, 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small bundle with a reference of 420 synthetic faces beside it."""
    root = tmp_path_factory.mktemp("model")
    votes: list[list[object]] = []
    for number in range(7 * PER_CLASS + 7):
        split, prefix = ("test", "PublicTest") if number < 7 * PER_CLASS else ("train", "Training")
        place = root / "data" / split / EMOTIONS[number % 7]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{prefix}_{number}.png"), face(number))
        votes.append([f"{split}/{EMOTIONS[number % 7]}/{prefix}_{number}.png", *(10 * (k == number % 7) for k in range(10))])
    with (root / "votes.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([["path", *EMOTIONS, *OTHER_ANSWERS], *votes])
    bundle = root / "mine.onnx"
    shutil.copy(bundle_path("mien-xs"), bundle)
    given = ["--data", str(root / "data"), "--votes", str(root / "votes.csv"), "--suite-faces", "7"]
    answer = CliRunner().invoke(app, ["monitor", "reference", "--model", str(bundle), *given])
    assert answer.exit_code == 0, answer.output
    assert "PublicTest, 420 faces" in answer.output
    return bundle


def shots(folder: Path, start: int, count: int, light: float = 1.0) -> Path:
    """Write pictures with consecutive names."""
    folder.mkdir(exist_ok=True)
    before = len(list(folder.iterdir()))
    for k in range(count):
        cv2.imwrite(str(folder / f"{before + k:05d}.png"), cv2.convertScaleAbs(face(start + k), alpha=light))
    return folder


def test_a_darker_camera_is_detected(model: Path, tmp_path: Path) -> None:
    folder = shots(shots(tmp_path / "shots", 1000, 250), 2000, 350, light=0.4)
    out, metrics = tmp_path / "out", tmp_path / "metrics" / "mien.prom"
    last = run("images", folder, "--model", model, "--crop", "--every-s", 10, "--out", out, "--prometheus", metrics, code=10)
    assert last["drift"]
    assert last["what"] == "picture"
    assert (last["pictures"], last["faces"], last["windows"]) == (600, 600, 9)
    facts = json.loads((out / "drift.json").read_text())
    assert facts["alarm_settings"] == {"false_alarm_every_h": 100, "faces_per_h": 360, "m": 3, "n": 4, "cooldown_h": 24}
    assert facts["windows"][-1]["averages"]["brightness"] < 0.6 * facts["reference"]["averages"]["brightness"]
    request = json.loads((out / "retrain_request.json").read_text())
    assert request["what"] == "picture"
    assert "brightness" in request["statistics"]
    assert facts["in_words"].lower() in (out / "drift.html").read_text().lower()
    assert 'mien_drift{model="mien-xs"} 1' in metrics.read_text()


def test_an_unchanged_camera_is_no_drift(model: Path, tmp_path: Path) -> None:
    folder = shots(tmp_path / "shots", 3000, 400)
    (folder / "00100.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    last = run("images", folder, "--model", model, "--crop", "--out", out)
    assert not last["drift"]
    assert (last["broken"], last["faces"], last["windows"]) == (1, 399, 4)
    assert not (out / "retrain_request.json").exists()


def test_too_few_pictures_give_no_result(model: Path, tmp_path: Path) -> None:
    last = run("images", shots(tmp_path / "shots", 0, 20), "--model", model, "--crop", "--out", tmp_path / "out")
    assert last["what"] == "too few faces"


def test_a_stream_can_be_compared_with_its_own_start(model: Path, tmp_path: Path) -> None:
    folder = shots(shots(tmp_path / "shots", 1000, 820, light=0.4), 2000, 300)
    options = ("--model", model, "--crop", "--every-s", 3, "--false-alarm-every-h", 5)
    last = run("images", folder, *options, "--first-minutes", 40.5, "--out", tmp_path / "out", code=10)
    assert last["what"] == "picture"
    facts = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert facts["reference"]["source"] == "the first 40.5 minutes of shots"
    assert facts["reference"]["averages"]["brightness"] < facts["windows"][-1]["averages"]["brightness"]
    said = error_of("images", folder, *options, "--first-minutes", 5)
    assert "a reference needs 800. Use a larger --first-minutes" in said
    said = error_of("images", shots(tmp_path / "few", 0, 20), *options, "--first-minutes", 60)
    assert "a reference needs 800. few has only 20 faces. Add pictures, or omit --first-minutes" in said


def test_faces_are_detected_in_photographs(shared: Path, yunet: Path) -> None:
    from mien.vision.detector_choice import open_detector

    watched = WatchResult()
    found = list(
        observe_pictures(pictures_in(shared / "media"), Predictor(bundle_path("mien-xs")).predict, open_detector(), 5.0, watched)
    )
    assert (watched.pictures, watched.faces, watched.faceless) == (1, 5, 0)
    assert len({face.track_id for face in found}) == 5
    assert all(np.isfinite(face.measures).all() for face in found)
    assert all(20 < face.measures[3] < 200 for face in found)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--windows", "three"), "--windows is 'three'"),
        (("--windows", "5/4"), "5 of 4"),
        (("--false-alarm-every-h", "0"), "false_alarm_every_h is 0"),
        (("--false-alarm-every-h", "0.001"), "windows"),
        (("--reference", "nowhere.npz"), "nowhere.npz"),
        (("--model", "mien-none"), "mien-none"),
    ],
)
def test_invalid_options_are_named(options: tuple[str, ...], named: str, model: Path, tmp_path: Path) -> None:
    folder = shots(tmp_path / "shots", 0, 2)
    assert named in error_of("images", folder, "--model", model, "--crop", "--out", tmp_path / "out", *options)


def test_a_reference_of_another_bundle_is_refused(model: Path, tmp_path: Path) -> None:
    folder = shots(tmp_path / "shots", 0, 2)
    assert "mine.reference.npz" in error_of(
        "images", folder, "--model", "mien-s", "--reference", model.with_suffix(".reference.npz")
    )


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in error_of("images", tmp_path / "none")
    (tmp_path / "notes.txt").write_text("x")
    assert str(tmp_path) in error_of("images", tmp_path)


def test_references_are_reproducible_by_seed_and_need_faces(model: Path) -> None:
    images = np.stack([face(k) for k in range(420)])
    data = FaceDataset(images, np.arange(420) % 7, np.ones(420, np.int64), tuple(str(k) for k in range(420)))
    first = make_reference(model, data, "PublicTest", suite_faces=0, seed=3)
    second = make_reference(model, data, "PublicTest", suite_faces=0, seed=3)
    assert first.accuracy is None
    assert np.array_equal(first.calibrations["all"].scores, second.calibrations["all"].scores)
    assert np.array_equal(first.features.grid, second.features.grid)
    with pytest.raises(DataError, match=r"\b100\b"):
        make_reference(model, data.take(np.arange(100)), "PublicTest", suite_faces=0)


def test_fer2013s_labels_are_no_truth_of_the_people_head(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_dataset((1, 2, 0))
    take_for_fer2013(data, monkeypatch)
    monkeypatch.setattr("mien.watch.Reference.from_faces", lambda faces, labels, **facts: labels)
    labels = make_reference(bundle_path("mien-xs"), data, "PublicTest", suite_faces=0)
    assert np.array_equal(labels, np.full(14, -1))  # FER2013's labels are no truth of the people head


def test_the_reference_beside_the_bundle_belongs_to_it(model: Path) -> None:
    found = read_reference(model.with_suffix(".reference.npz"), file_hash(model))
    assert found.faces == 420
    assert found.label_shares == pytest.approx(np.full(7, 1 / 7))
    assert found.accuracy is not None


def test_without_votes_a_reference_has_no_accuracy_model(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_fer2013(read_dataset(model.parent / "data").dataset, monkeypatch)
    bundle = tmp_path / "mine.onnx"
    shutil.copy(model, bundle)
    given = ["--data", str(model.parent / "data"), "--suite-faces", "7"]
    answer = CliRunner().invoke(app, ["monitor", "reference", "--model", str(bundle), *given])
    assert answer.exit_code == 0, answer.output
    assert "--votes" in answer.output
    found = read_reference(bundle.with_suffix(".reference.npz"), file_hash(bundle))
    assert np.isnan(found.label_shares).all()
    assert found.accuracy is None


def test_new_labels_are_checked(fer_folder: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    for label, name in enumerate(EMOTIONS[:6]):
        (new / name).mkdir(parents=True)
        for k in range(2):
            cv2.imwrite(str(new / name / f"{k}.png"), photo(100 * label + k))
    shutil.copy(fer_folder / "test" / "sad" / "PublicTest_0.png", new / "happy" / "copy.png")
    who = tmp_path / "who.csv"
    lines = [f"{name}/{k}.png,{person},{name}" for name in EMOTIONS[:6] for k in range(2) for person in ("ann", "bo")]
    who.write_text("image,annotator,label\n" + "\n".join(lines) + "\n")
    out = tmp_path / "labels.json"
    answer = CliRunner().invoke(
        app, ["labels", str(new), "--annotations", str(who), "--data", str(fer_folder), "--model", "mien-xs", "--out", str(out)]
    )
    assert answer.exit_code == 0, answer.output
    last = json.loads(answer.stdout.splitlines()[-1])
    facts = json.loads(out.read_text())
    assert facts["agreement"]["krippendorff"] == 1
    assert "agreement   Krippendorff's alpha 1.00 (0.80 is good), 2 annotators\n" in answer.stdout
    assert "copies      0 of other new faces; 0 of Training, 1 of PublicTest, 0 of PrivateTest\n" in answer.stdout
    assert facts["copies"]["stand_in"]["PublicTest"] == 1
    assert facts["missing"] == ["surprise"]
    assert last["problems"] == facts["problems"]
    assert any("PublicTest" in problem for problem in last["problems"])


@pytest.mark.parametrize("count", [2, 5])
def test_contradicted_labels_are_named(count: int, mien_here: MienHere, monkeypatch: pytest.MonkeyPatch) -> None:
    def sure_of_sad(_: object, data: FaceDataset, progress: object) -> SimpleNamespace:
        rows = np.full((len(data), 7), 0.01, np.float32)
        rows[:, EMOTIONS.index("sad")] = 0.94
        return SimpleNamespace(probabilities=rows)

    monkeypatch.setattr("mien.evaluation.scores.score", sure_of_sad)
    for k in range(count):
        Path("new/happy").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(f"new/happy/{k}.png", photo(k))
    code, out, _ = mien_here("labels", "new")
    assert code == 0
    (named,) = [line for line in out.splitlines() if line.startswith("Contradicted")]
    facts = json.loads(Path("results/new_labels.json").read_text())
    names = [row["image"] for row in facts["disagreements"]["images"]]
    assert len(names) == count
    assert [name in named for name in names] == [k < 3 for k in range(count)]
    assert ("results/new_labels.json" in named) == (count > 3)


@pytest.mark.parametrize("command", [("labels", "nosuch"), ("retrain", "--new-data", "nosuch")], ids=lambda command: command[0])
def test_new_faces_that_are_not_there_are_named(command: tuple[str, ...], mien_here: MienHere) -> None:
    code, _, err = mien_here(*command)
    assert (code, err) == (
        3,
        "error: there is no folder or zip nosuch. Pass one that has the new faces in class folders\n",
    )


def test_an_export_without_enough_faces_or_scipy_reports_it_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.cli.drift_reference import reference_beside

    bundle = tmp_path / "mine.onnx"
    shutil.copy(bundle_path("mien-xs"), bundle)
    few_faces = FaceDataset(
        np.stack([face(k) for k in range(20)]), np.arange(20) % 7, np.ones(20, np.int64), tuple(str(k) for k in range(20))
    )
    assert "20 faces" in reference_beside(bundle, few_faces, None)
    assert "PublicTest" in reference_beside(bundle, replace(few_faces, splits=few_faces.splits - 1), None)  # it is empty
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert "[monitor]'" in reference_beside(bundle, few_faces, None)
    assert list(tmp_path.iterdir()) == [bundle]
