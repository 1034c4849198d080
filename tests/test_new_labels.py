"""Newly labelled faces: agreement of annotators and model, balance and copies."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photos import CHANGES, data_of, few, photo

from mien.audit import annotators
from mien.audit.annotators import (
    Annotations,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    label_counts,
    read_annotations,
)
from mien.audit.new_labels import CONFIDENT, check_new_labels
from mien.data.dataset import SPLITS, FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import DataError

# Fleiss 1971's example as it is usually quoted: ten subjects, fourteen raters, five categories
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip
# Krippendorff 2011, section C: four observers, twelve units, five values, some missing ("." is -1)
KRIPPENDORFF = np.array(
    [
        [0, 1, 2, 2, 1, 0, 3, 0, 1, -1, -1, -1],
        [0, 1, 2, 2, 1, 1, 3, 0, 1, 4, -1, 2],
        [-1, 2, 2, 2, 1, 2, 3, 1, 1, 4, 0, -1],
        [0, 1, 2, 2, 1, 3, 3, 0, 1, 4, 0, -1],
    ]
).T


@few
@given(st.integers(0, 10_000), st.integers(2, 7))
def test_cohen_agrees_with_scikit_learn(seed: int, classes: int) -> None:
    from sklearn.metrics import cohen_kappa_score

    random = np.random.default_rng(seed)
    first = random.integers(0, classes, 60)
    second = np.where(random.random(60) < 0.6, first, random.integers(0, classes, 60))
    assert cohen_kappa(first, second, classes) == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_fleiss_agrees_with_the_published_example() -> None:
    assert fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=0.0005)
    assert fleiss_kappa(np.array([[3, 0], [0, 3]])) == pytest.approx(1)
    assert math.isnan(fleiss_kappa(np.array([[3, 0], [0, 2]])))  # unequal numbers of labels
    assert math.isnan(fleiss_kappa(np.array([[3, 0], [3, 0]])))  # one class only
    assert math.isnan(fleiss_kappa(np.zeros((0, 2), np.int64)))


def test_krippendorff_agrees_with_the_published_example() -> None:
    counts = label_counts(KRIPPENDORFF)
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=0.0005)
    assert math.isnan(krippendorff_alpha(np.array([[1, 0], [0, 1]])))  # no image with two labels
    assert math.isnan(krippendorff_alpha(np.array([[4, 0], [2, 0]])))  # one class only
    assert krippendorff_alpha(np.array([[1, 1]] * 20)) < 0  # worse than chance


@few
@given(st.integers(0, 10_000))
def test_alpha_and_kappa_nearly_agree_for_two_complete_annotators(seed: int) -> None:
    random = np.random.default_rng(seed)
    first = random.integers(0, 7, 2000)
    second = np.where(random.random(2000) < 0.7, first, random.integers(0, 7, 2000))
    alpha = krippendorff_alpha(label_counts(np.stack([first, second], 1)))
    assert alpha == pytest.approx(cohen_kappa(first, second, 7), abs=0.01)


def test_random_annotators_agree_by_chance_only() -> None:
    labels = np.random.default_rng(0).integers(0, 7, (3000, 3))
    found = annotators.summarise(Annotations(("a", "b", "c"), labels))
    assert abs(found["krippendorff"]) < 0.02
    assert abs(found["fleiss"]) < 0.02
    assert found["krippendorff_ci"][0] < found["krippendorff"] < found["krippendorff_ci"][1]
    assert len(found["pairs"]) == 3


def test_pairs_are_sorted_by_agreement_lowest_first() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 7, 200)
    labels = np.stack([truth, truth, random.integers(0, 7, 200)], 1)
    labels[100:, 1] = annotators.MISSING
    found = annotators.summarise(Annotations(("ann", "bob", "eve"), labels))
    assert "eve" in found["pairs"][0]["pair"]
    assert found["pairs"][-1]["pair"] == ["ann", "bob"]
    assert found["pairs"][-1]["cohen"] == pytest.approx(1)
    assert found["pairs"][-1]["images"] == 100
    assert found["fleiss"] is None
    json.dumps(found, allow_nan=False)


def write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([("image", "annotator", "label"), *rows])
    return path


def test_annotations_are_read_by_name_and_class(tmp_path: Path) -> None:
    data = data_of([0, 3])
    path = write(tmp_path / "a.csv", [("far/away/train/angry/0.png", "Bo", "anger"), (data.names[1], "Al", "Happy")])
    found = read_annotations(path, data.names)
    assert found.annotators == ("Al", "Bo")
    assert found.labels.tolist() == [[-1, 0], [3, -1]]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (("nobody.png", "Al", "happy"), "'nobody.png'"),
        (("train/angry/0.png", "Al", "bored"), "'bored'"),
        (("train/angry/0.png", "", "happy"), "''"),
        (("train/angry/0.png", "Cy", "happy"), "'Cy'"),
    ],
)
def test_an_invalid_line_is_named(row: tuple[str, str, str], named: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [("train/angry/0.png", "Cy", "sad"), row])
    with pytest.raises(DataError, match="line 3") as error:
        read_annotations(path, data_of([0]).names)
    assert named in str(error.value)


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("picture,who\nx,y\n")
    with pytest.raises(DataError, match="image,annotator,label"):
        read_annotations(path, ("x",))


def predictions(labels: list[int], confidence: float = 0.9) -> np.ndarray:
    rows = np.full((len(labels), 7), (1 - confidence) / 6, np.float32)
    rows[np.arange(len(labels)), labels] = confidence
    return rows


def test_confident_disagreements_are_listed_most_confident_first() -> None:
    data = data_of([0, 1, 2, 3])
    probabilities = predictions([0, 5, 2, 3])
    probabilities[2] = predictions([6], 0.97)[0]
    probabilities[3] = predictions([6], 0.5)[0]  # disagrees with low confidence
    found = check_new_labels(data, probabilities)["disagreements"]
    assert (found["sure"], found["disagree"]) == (3, 2)
    assert [(row["label"], row["model"]) for row in found["images"]] == [("fear", "surprise"), ("disgust", "sad")]
    assert found["images"][0]["confidence"] >= found["images"][1]["confidence"] >= CONFIDENT


def test_copies_among_new_and_existing_faces_are_found() -> None:
    old = data_of([0, 1, 2, 3, 4], [0, 0, 1, 2, 2])
    images = np.stack([old.images[0], CHANGES["brighter"](old.images[2]), old.images[3], photo(901), photo(902), photo(902)])
    labels = np.array([0, 2, 5, 6, 1, 4], np.int64)
    new = FaceDataset(images, labels, np.zeros(6, np.int64), tuple(f"new/{k}.png" for k in range(6)))
    facts = check_new_labels(new, predictions(labels.tolist()), against=old)
    assert facts["copies"]["stand_in"] == {"Training": 1, "PublicTest": 1, "PrivateTest": 1}
    assert facts["copies"]["repeat_one_another"] == 1
    assert facts["copies"]["with_another_label"] == 3  # image 2 and the existing data; images 4 and 5
    assert facts["copies"]["images"]["PublicTest"] == ["new/1.png"]
    assert [split for split in SPLITS for problem in facts["problems"] if split in problem] == list(SPLITS)
    json.dumps(facts, allow_nan=False)
    assert "1 face is a copy of other new faces" in facts["problems"]
    assert "1 face is a copy of images in Training: it adds nothing" in facts["problems"]
    assert "3 faces have a copy with another label" in facts["problems"]


def test_valid_new_faces_have_no_problems() -> None:
    labels = list(range(7)) * 3
    data = data_of(labels)
    people = np.repeat(np.array(labels)[:, None], 2, 1)
    facts = check_new_labels(data, predictions(labels), Annotations(("a", "b"), people), data_of([0]).take(np.zeros(0, np.int64)))
    assert facts["problems"] == []
    assert facts["agreement"]["krippendorff"] == 1
    assert facts["imbalance"] == 1


def test_a_single_class_is_reported() -> None:
    data = data_of([3, 3, 3])
    facts = check_new_labels(data, predictions([3, 3, 3]), Annotations(("a", "b"), np.full((3, 2), 3)))
    assert facts["missing"] == [name for name in EMOTIONS if name != "happy"]
    assert facts["agreement"]["krippendorff"] is None
    assert len(facts["problems"]) == 2  # agreement is undefined, classes are missing
