"""Evaluation from the command line: report, groups, comparisons, explanations, invalid input."""

from __future__ import annotations

import csv
import json
import re
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY
from datasets import make_dataset
from typer.testing import CliRunner

from mien.cli import app
from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation import mistakes
from mien.evaluation.explanation import EXPRESSIVE, REGIONS, evidence, evidence_by_region, heatmap, interpretation
from mien.evaluation.groups import by_group, read_groups
from mien.files import file_hash
from mien.preprocess import CANONICAL_LANDMARKS
from mien.vision.bundles import bundle_path
from mien.vision.predictor import Predictor

PICTURES = ("classes", "confusion_matrix", "mistakes", "reliability", "risk_coverage", "views", "quality")


def run(*arguments: object) -> dict:
    """Run a command and return the JSON on its last line."""
    answer = CliRunner().invoke(app, [str(a) for a in arguments])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout.splitlines()[-1])


def error_of(*arguments: object) -> str:
    """Run a command that must fail with a MienError, and return its message."""
    answer = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(answer.exception, MienError), answer.output
    return str(answer.exception)


@pytest.fixture
def votes(fer_folder: Path) -> Path:
    """Ten votes for every test image, nine of them for its class."""
    path = fer_folder.parent / "votes.csv"
    columns = ("path", *EMOTIONS, "contempt", "unknown", "NF")
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        for image in sorted(fer_folder.rglob("*.png")):
            counts = [9 if name == image.parent.name else 0 for name in EMOTIONS]
            writer.writerow([image.relative_to(fer_folder).as_posix(), *counts, 0, 1, 0])
    return path


# --- the report -----------------------------------------------------------------------------


def test_the_report_is_complete_and_self_contained(fer_folder: Path, votes: Path, yunet: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    last = run("evaluate", "--data", fer_folder, "--votes", votes, "--robustness", "--labels", "fer2013", "--out", out)
    assert list(last["truths"]) == ["people", "fer2013"]
    for numbers in last["truths"].values():
        assert {"accuracy", "accuracy_ci", "macro_f1", "macro_f1_ci", "ece", "brier", "n"} <= set(numbers)
        assert numbers["n"] == 14
        assert numbers["views"]["clean"]["accuracy"] == numbers["accuracy"]
    page = (out / "report.html").read_text()
    assert "compared with the most frequent vote of the other nine" in page
    assert not re.search(r"[0-9] %", re.sub(r"<style>.*?</style>|style=\"[^\"]*\"", "", page, flags=re.DOTALL))  # "95 %"
    for anchor in (
        "views",
        "classes",
        "confidence",
        "people",
        "mistakes",
        "quality",
        "robustness",
        "maps",
        "groups",
        "training",
    ):
        assert f'<section id="{anchor}">' in page, anchor
        assert f'href="#{anchor}"' in page, anchor
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert "<script" not in page
    assert "http" not in re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
    for name in (*PICTURES, "robustness", "mean_maps", "curves_1"):
        picture = cv2.imread(str(out / f"{name}.png"))
        assert picture is not None, name
        assert picture.std() > 5, name
    facts = json.loads((out / "metrics.json").read_text())
    assert set(facts) >= set(last)
    assert len(facts["robustness"]["corruptions"]) == 12
    assert facts["agreement"]["n"] == 14


def test_predictions_reproduce_the_scores(fer_folder: Path, votes: Path, tmp_path: Path) -> None:
    last = run("evaluate", "--data", fer_folder, "--votes", votes, "--labels", "fer2013", "--out", tmp_path)
    with (tmp_path / "predictions.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2 * last["images"]
    for head, truth in (("people", "people"), ("fer2013", "label")):
        own = [row[truth] == row["prediction"] for row in rows if row["head"] == head]
        assert np.mean(own) == pytest.approx(last["truths"][head]["accuracy"])
    for row in rows:
        p = np.array([float(row[name]) for name in EMOTIONS])
        assert p.sum() == pytest.approx(1, abs=1e-4)
        assert row["prediction"] == EMOTIONS[int(p.argmax())]
        assert float(row["confidence"]) == pytest.approx(p.max())
        assert row["label"] in row["image"]
        assert row["people"] == row["label"]
        assert row["views"].split() == ["all", "clean"]


def test_folders_without_splits_are_scored_completely(fer_folder: Path, tmp_path: Path) -> None:
    last = run("evaluate", "--data", fer_folder / "train", "--out", tmp_path)
    assert (last["split"], last["images"]) == ("all", 21)


def test_a_single_class_is_scored(fer_folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (fer_folder / "train" / "happy").rename(own / "happy")
    last = run("evaluate", "--data", own, "--out", tmp_path / "out")
    numbers = last["truths"]["own"]
    assert numbers["n"] == 3
    assert numbers["classes"]["happy"]["support"] == 3
    assert numbers["classes"]["sad"]["support"] == 0
    assert (tmp_path / "out" / "report.html").is_file()


def test_invalid_input_to_evaluate_is_reported(fer_folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "happy").mkdir(parents=True)
    (own / "bored").mkdir()
    cv2.imwrite(str(own / "happy" / "a.png"), np.zeros((48, 48), np.uint8))
    cv2.imwrite(str(own / "bored" / "b.png"), np.zeros((48, 48), np.uint8))
    assert "bored" in error_of("evaluate", "--data", own)
    assert "PrivateTest" in error_of("evaluate", "--data", fer_folder / "train", "--split", "PrivateTest")
    assert "'Test'" in error_of("evaluate", "--data", fer_folder, "--split", "Test")
    assert "none.pt" in error_of("evaluate", "--data", fer_folder, "--model", tmp_path / "none.pt")
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"PK\x03\x04 truncated")
    assert "broken.pt" in error_of("evaluate", "--data", fer_folder, "--model", broken)
    assert "PublicTest" in error_of("evaluate", "--data", fer_folder / "train", "--model", broken)


def test_scores_on_public_test_equal_those_on_the_card(fer2013: FaceDataset, shared: Path, tmp_path: Path) -> None:
    zipped = shared / "data" / "fer2013.zip"
    last = run(
        "evaluate", "--model", "mien-xs", "--data", zipped, "--votes", shared / "data" / "ferplus_votes.csv", "--out", tmp_path
    )
    on_card = Predictor(bundle_path("mien-xs")).card.metrics["PublicTest"]["truths"]
    assert last["images"] == 3589
    assert {truth: numbers["n"] for truth, numbers in last["truths"].items()} == {"people": 2854, "fer2013": 3589}
    for truth, numbers in last["truths"].items():
        assert numbers["accuracy"] == pytest.approx(on_card[truth]["accuracy"], abs=0.001)
    facts = json.loads((tmp_path / "metrics.json").read_text())
    assert 0.7 < facts["agreement"]["rater_accuracy"] < 0.85
    assert facts["agreement"]["one_rater"] == pytest.approx(0.848, abs=0.001)
    assert facts["agreement"]["level"] > 1  # agrees with the raters more often than a single rater
    regions = facts["where_it_looks"]["all"]["parts"]
    assert regions["elsewhere"]["focus"] < 0.8
    certain = facts["selective"]["at_card_thresholds"]
    assert all(row["error"] < 0.12 for row in certain["classes"].values() if row["answers"] >= 60)
    assert certain["coverage"] > 0.7


# --- mistakes and image quality -------------------------------------------------------------


def test_mistakes_are_sorted_by_confidence_and_pairs_by_count() -> None:
    labels = np.array([0, 0, 3, 3, 5, 5])
    p = np.full((6, 7), 0.02, np.float32)
    for i, (predicted, confidence) in enumerate([(5, 0.6), (0, 0.9), (4, 0.8), (3, 0.9), (0, 0.7), (0, 0.5)]):
        p[i, predicted] = confidence
    assert mistakes.worst_mistakes(labels, p, 3).tolist() == [2, 4, 0]
    matrix = np.zeros((7, 7), np.int64)
    np.add.at(matrix, (labels, p.argmax(1)), 1)
    first, second = mistakes.confused_pairs(matrix)
    assert first["pair"] == ["angry", "sad"]
    assert (first["errors"], first["first_as_second"], first["second_as_first"], first["share"]) == (3, 1, 2, 0.75)
    assert second["pair"] == ["happy", "neutral"]
    assert mistakes.examples_of(labels, p, 5, 0, 5).tolist() == [4, 5]


def test_quality_bins_contain_each_image_once_and_keep_ties_together() -> None:
    values = np.concatenate([np.arange(80), np.full(20, 200), [np.nan] * 7]).astype(np.float32)
    correct = np.arange(107) % 2 == 0
    bins = mistakes.accuracy_by_bin(values, correct)
    assert sum(b["n"] for b in bins) == 100
    assert all(one["to"] < two["from"] for one, two in pairwise(bins))
    assert bins[-1]["to"] == 200
    assert all(b["low"] <= b["accuracy"] <= b["high"] for b in bins)
    assert mistakes.accuracy_by_bin(np.full(5, np.nan, np.float32), np.ones(5, bool)) == []
    assert [b["n"] for b in mistakes.accuracy_by_bin(np.ones(9, np.float32), np.ones(9, bool))] == [9]


# --- groups ---------------------------------------------------------------------------------


def test_groups_are_scored_from_thirty_images_on() -> None:
    random = np.random.default_rng(0)
    groups = ("old",) * 400 + ("young",) * 400 + ("few",) * 29 + ("",) * 50
    labels = random.integers(0, 7, len(groups))
    wrong = random.random(len(groups)) < np.array([0.4] * 400 + [0.2] * 400 + [0.9] * 79)
    found = by_group(groups, labels, np.where(wrong, (labels + 1) % 7, labels), 7)
    assert set(found) == {"old", "young", "few"}
    assert "accuracy" not in found["few"]
    assert found["few"]["n"] == 29
    assert found["old"]["accuracy"] == pytest.approx(0.6, abs=0.06)
    assert found["old"]["gap"] < 0 < found["young"]["gap"]
    assert found["old"]["gap_ci"][1] < 0
    assert found["old"]["p"] < 0.001


def test_equal_groups_have_no_gap() -> None:
    random = np.random.default_rng(1)
    groups = ("a", "b") * 300
    labels = random.integers(0, 7, 600)
    predicted = np.where(random.random(600) < 0.7, labels, (labels + 2) % 7)
    found = by_group(groups, labels, predicted, 7)
    assert all(row["p"] > 0.05 and row["gap_ci"][0] < 0 < row["gap_ci"][1] for row in found.values())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("image,group\nnobody.png,a\n", "'nobody.png' (line 2)"),
        ("image,kind\nx,a\n", "image,group"),
        ("image,group\n", "groups.csv"),
        ("image,group\nangry-0-0,a\nangry-0-0,b\n", "'angry-0-0'"),
    ],
)
def test_an_invalid_groups_file_is_refused(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(MienError, match=re.escape(named)):
        read_groups(path, make_dataset((1, 1, 1)).names)


def test_groups_of_the_whole_data_set_are_read_for_one_split(tmp_path: Path) -> None:
    whole = make_dataset((1, 1, 1))
    path = tmp_path / "groups.csv"
    path.write_text("image,group\n" + "".join(f"{name},a\n" for name in whole.names))
    names = whole.split("PublicTest").names
    assert read_groups(path, names, whole.names) == ("a",) * len(names)
    with pytest.raises(MienError, match="not in this data"):
        read_groups(path, names)


def test_groups_are_in_the_report(fer_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    lines = [f"{image.relative_to(fer_folder)},one" for image in sorted((fer_folder / "test").rglob("PublicTest*.png"))]
    path.write_text("\n".join(["image,group", *lines]) + "\n")
    run("evaluate", "--data", fer_folder, "--groups", path, "--out", tmp_path / "out")
    section = (tmp_path / "out" / "report.html").read_text().split('id="groups"')[1]
    assert "14 images" in section
    run("evaluate", "--data", fer_folder, "--labels", "fer2013", "--out", tmp_path / "without")
    page = (tmp_path / "without" / "report.html").read_text()
    assert "--groups" in page
    assert "Activation maps exist for the people head only; pass --votes." in page


# --- activation maps ------------------------------------------------------------------------


def test_the_mean_of_a_map_is_the_logit_of_its_class() -> None:
    faces = make_dataset((2, 1, 1)).images[:, None]
    for name in ("mien-s", "mien-xs"):
        predictor = Predictor(bundle_path(name))
        prediction, maps = predictor.explain(faces)
        assert maps.shape == (len(faces), 7, 6, 6)
        logits = maps.astype(np.float64).mean((2, 3))
        rows = np.exp(logits - logits.max(1, keepdims=True))
        rows /= rows.sum(1, keepdims=True)
        # the probability of no expression is distributed evenly over the seven
        none = 7 * (rows - prediction.probabilities).max(1) / (7 * rows.max(1) - 1)
        assert ((none >= -1e-5) & (none <= 1)).all()
        assert np.allclose((1 - none[:, None]) * rows + none[:, None] / 7, prediction.probabilities, atol=1e-4)
        assert np.allclose(predictor.predict(faces).probabilities, prediction.probabilities, atol=1e-6)


def test_evidence_is_relative_to_the_mean_over_classes() -> None:
    maps = np.zeros((1, 7, 6, 6), np.float32)
    maps[0] += np.arange(36).reshape(6, 6)  # shared by all classes
    maps[0, 2, 1, 4] += 7
    evidence_maps = evidence(maps, np.array([2]))
    assert evidence_maps[0, 1, 4] == pytest.approx(6)
    assert np.abs(np.delete(evidence_maps[0].ravel(), 10)).max() < 1e-5
    values = heatmap(evidence_maps[0])
    assert values.shape == (48, 48)
    assert np.unravel_index(values.argmax(), values.shape) == pytest.approx((12, 36), abs=2)


def test_evidence_by_region_separates_face_and_background() -> None:
    names = list(REGIONS)
    maps = np.zeros((21, 7, 6, 6), np.float32)
    maps[:7, 3, 4, 2:4] = 1  # the mouth
    maps[7:14, 5, 3, 2:4] = 1  # the nose
    maps[14:, 0, 0, 0] = 1  # a corner
    found = evidence_by_region(maps, np.repeat([3, 5, 0], 7))
    parts = {name: row["parts"] for name, row in found["classes"].items()}
    assert max(names, key=lambda n: parts["happy"][n]["focus"]) == "mouth and chin"
    assert found["classes"]["happy"]["expressive_focus"] > 1
    assert found["off_the_face"] == ["angry"]
    assert "sad" in found["off_the_features"]
    assert "happy" not in found["off_the_features"]
    assert "angry" in interpretation(found)
    assert "angry" not in interpretation({"off_the_face": [], "off_the_features": [], "classes": {}})
    assert set(EXPRESSIVE) < set(REGIONS)
    moved = evidence_by_region(
        np.roll(maps[:7], 1, axis=3), np.full(7, 3), np.tile(CANONICAL_LANDMARKS + np.float32((8, 0)), (7, 1, 1))
    )
    still = evidence_by_region(maps[:7], np.full(7, 3))
    share = [row["all"]["parts"]["mouth and chin"]["share"] for row in (moved, still)]
    assert share[0] == pytest.approx(share[1], abs=0.08)


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NASA's portrait, as scikit-image ships it."""
    from skimage import data

    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    cv2.imwrite(str(path), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    return path


def test_explain_overlays_the_evidence_on_the_face(portrait: Path, yunet: Path, tmp_path: Path) -> None:
    out = tmp_path / "explained.png"
    last = run("explain", portrait, "--out", out)
    (face,) = last["faces"]
    assert face["label"] == face["explained"] == "happy"
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.002)
    picture = cv2.imread(str(out))
    before = cv2.resize(cv2.imread(str(portrait)), (900, 900))
    shown = picture[16:916, 16:916]
    x, y, w, h = (round(v * 900 / 512) for v in face["box"])
    on_face = np.abs(shown[y : y + h, x : x + w].astype(int) - before[y : y + h, x : x + w]).mean()
    elsewhere = np.abs(shown[600:].astype(int) - before[600:]).mean()
    assert on_face > 5 * elsewhere
    other = run("explain", portrait, "--expression", "anger", "--out", tmp_path / "angry.png")
    assert (other["faces"][0]["label"], other["faces"][0]["explained"]) == ("happy", "angry")
    assert (tmp_path / "angry.png").read_bytes() != out.read_bytes()


def test_explain_accepts_a_crop_and_several_faces(yunet: Path, shared: Path, fer_folder: Path, tmp_path: Path) -> None:
    crop = fer_folder / "test" / "happy" / "PublicTest_0.png"
    assert len(run("explain", crop, "--crop", "--out", tmp_path / "crop.png")["faces"]) == 1
    cv2.imwrite(str(tmp_path / "line.png"), np.zeros((2000, 1), np.uint8))
    assert len(run("explain", tmp_path / "line.png", "--crop", "--out", tmp_path / "thin.png")["faces"]) == 1
    assert "the picture itself" in error_of("explain", tmp_path / "line.png", "--crop", "--out", tmp_path / "line.png")
    five = run("explain", shared / "media" / "five_faces.jpg", "--out", tmp_path / "five.png")
    assert len(five["faces"]) == 5
    left = [face["box"][0] for face in five["faces"]]
    assert left == sorted(left)


def test_invalid_input_to_explain_is_reported(portrait: Path, fer_folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "note.jpg"
    text.write_text("not a picture")
    assert "note.jpg" in error_of("explain", text)
    assert "none.jpg" in error_of("explain", tmp_path / "none.jpg")
    assert "'bored'" in error_of("explain", portrait, "--expression", "bored")
    assert ".png" in error_of("explain", portrait, "--out", tmp_path / "x.jpg")
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((200, 300, 3), 90, np.uint8))
    assert "empty.png" in error_of("explain", empty)
    assert not (tmp_path / "results").exists()


# --- two models -----------------------------------------------------------------------------


def test_compare_is_paired(part_of_fer2013: Path, tmp_path: Path) -> None:
    facts = run("compare", "mien-s", "mien-xs", "--data", part_of_fer2013, "--out", tmp_path)
    assert facts["models"] == ["mien-s", "mien-xs"]
    assert list(facts["truths"]) == ["fer2013"]  # without votes
    facts = facts["truths"]["fer2013"]
    gap = (facts["only_first_right"] - facts["only_second_right"]) / facts["n"]
    assert facts["difference"] == pytest.approx(gap)
    low, high = facts["difference_ci"]
    assert low < facts["difference"] < high
    assert (facts["mcnemar_p"] < 0.05) == (low > 0 or high < 0)
    assert facts["views"]["clean"]["n"] < facts["n"]
    with (tmp_path / "differences.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == facts["answers_differ"]
    assert all(row["first"] != row["second"] for row in rows)
    assert sum(row["first"] == row["fer2013"] for row in rows) == facts["only_first_right"]
    assert cv2.imread(str(tmp_path / "differences.png")).std() > 5


def test_a_model_equals_itself(fer_folder: Path, tmp_path: Path) -> None:
    facts = run("compare", "mien-xs", bundle_path("mien-xs"), "--data", fer_folder, "--out", tmp_path)
    found = facts["truths"]["own"]
    assert (found["difference"], found["mcnemar_p"], found["answers_differ"]) == (0, 1, 0)
    assert found["difference_ci"] == [0, 0]


def test_a_comparison_on_private_test_is_logged_for_both_models(fer_folder: Path, tmp_path: Path) -> None:
    run("compare", "mien-s", "mien-xs", "--data", fer_folder, "--split", "PrivateTest", "--out", tmp_path)
    with (tmp_path / "private_test_log.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["bundle_sha256"] for row in rows] == [file_hash(bundle_path(name)) for name in ("mien-s", "mien-xs")]


def test_tests_do_not_change_the_released_log_of_private_test() -> None:
    log = (REPOSITORY / "docs" / "results" / "private_test_log.csv").read_text().splitlines()
    rows = list(csv.DictReader(log))
    # all of PrivateTest, by one truth or by both; tests score a part of it
    assert all(row["n"] == "3589" or (row["n"] == "" and row["people_n"] == "2720") for row in rows)
