"""Votes, folds and label errors."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import make_dataset
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from photos import data_of, few, relabelled_tests
from sklearn.metrics import roc_auc_score

from mien.audit.labels import FOLDS, assign_folds, judge_labels, ridge_probabilities, summarise
from mien.data.dataset import SPLITS, FaceDataset
from mien.data.votes import OTHER_ANSWERS, read_votes
from mien.emotions import EMOTIONS
from mien.errors import DataError

FERPLUS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


def write_votes(path: Path, head: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([head, *rows])
    return path


def original_order(dataset: FaceDataset) -> FaceDataset:
    return replace(dataset, names=tuple(f"fer2013.csv:{line}" for line in range(2, len(dataset) + 2)))


def test_votes_are_matched_by_path_in_any_order_and_folder(tmp_path: Path) -> None:
    dataset = data_of([3, 4, 2])
    rows: list[list[object]] = [[f"archive/{name}", 0, k + 3, 0, 0, 0, 0, 2, 0, 0, 5 * k] for k, name in enumerate(dataset.names)]
    votes = read_votes(write_votes(tmp_path / "v.csv", ["path", *FERPLUS], rows[1::-1]), dataset)
    assert votes.counts.shape == (3, len(EMOTIONS) + len(OTHER_ANSWERS))
    assert votes.counts[:, EMOTIONS.index("happy")].tolist() == [3, 4, 0]
    assert votes.counts[:, EMOTIONS.index("fear")].tolist() == [2, 2, 0]
    assert votes.known.tolist() == [True, True, False]
    assert votes.clear.tolist() == [True, False, False]
    assert votes.winner[:2].tolist() == [EMOTIONS.index("happy"), len(EMOTIONS) + OTHER_ANSWERS.index("NF")]
    assert votes.not_a_face.tolist() == [False, True, False]  # an image of another name is unknown


MICROSOFT = ["Usage", "Image name", *FERPLUS]


def test_the_original_ferplus_file_is_matched_by_line(tmp_path: Path) -> None:
    dataset = original_order(make_dataset((2, 1, 1)))
    rows: list[list[object]] = [[SPLITS[s], f"fer{i:07}.png", i, *[0] * 9] for i, s in enumerate(dataset.splits)]
    path = write_votes(tmp_path / "fer2013new.csv", MICROSOFT, rows)
    order = np.random.default_rng(0).permutation(len(dataset))[:20]
    votes = read_votes(path, dataset.take(order))
    assert votes.counts[:, EMOTIONS.index("neutral")].tolist() == order.tolist()
    with pytest.raises(DataError, match=r"line 2 .*'PrivateTest'"):
        read_votes(write_votes(tmp_path / "turned.csv", MICROSOFT, rows[::-1]), dataset)
    with pytest.raises(DataError, match=r"\b5\b.*\b28\b"):
        read_votes(write_votes(tmp_path / "short.csv", MICROSOFT, rows[:5]), dataset)
    with pytest.raises(DataError, match=r"fer2013new\.csv") as caught:
        read_votes(path, make_dataset((2, 1, 1)))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("head", "row", "named"),
    [
        (["path", *FERPLUS[:-1]], [0] * 9, "'path'"),
        (["path", *FERPLUS], None, "v.csv"),
        (["path", *FERPLUS], ["many", *[0] * 9], "line 2: .*'many'"),
        (["path", *FERPLUS], [0] * 9, "line 2"),
        (["path", *FERPLUS], ["inf", *[0] * 9], "v.csv"),
        (["path", *FERPLUS], ["nan", *[0] * 9], "v.csv"),
        (["file", *FERPLUS], [0] * 10, "v.csv"),
    ],
)
def test_an_invalid_votes_file_is_refused(tmp_path: Path, head: list[str], row: list[object] | None, named: str) -> None:
    dataset = data_of([3])
    rows = [] if row is None else [[dataset.names[0], *row]]
    with pytest.raises(DataError, match=named):
        read_votes(write_votes(tmp_path / "v.csv", head, rows), dataset)


def test_votes_for_other_data_or_binary_files_are_refused(tmp_path: Path) -> None:
    dataset = data_of([3, 2])
    with pytest.raises(DataError, match=r"none\.csv"):
        read_votes(tmp_path / "none.csv", dataset)
    with pytest.raises(DataError, match="0 of 2"):
        read_votes(write_votes(tmp_path / "o.csv", ["path", *FERPLUS], [["train/happy/x.png", *[1] * 10]]), dataset)
    (tmp_path / "b.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(DataError, match=r"b\.csv"):
        read_votes(tmp_path / "b.csv", dataset)


def test_a_truncated_line_of_votes_is_refused(tmp_path: Path) -> None:
    dataset = data_of([3, 2])
    rows: list[list[object]] = [[*[1] * 10, dataset.names[0]], [1] * 10]
    with pytest.raises(DataError, match="line 3"):
        read_votes(write_votes(tmp_path / "v.csv", [*FERPLUS, "path"], rows), dataset)


@few
@given(st.integers(0, 1000))
def test_folds_keep_copies_together_and_stratify_classes(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, 700)
    groups = np.arange(700)
    groups[350:] = np.where(random.random(350) < 0.3, random.integers(0, 350, 350), groups[350:])
    folds = assign_folds(groups, labels)
    assert set(folds.tolist()) == set(range(FOLDS))
    assert (folds == folds[groups]).all()
    for label in range(7):
        counts = np.bincount(folds[(labels == label) & (groups == np.arange(700))], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


@pytest.fixture(scope="module")
def noisy() -> tuple[FaceDataset, NDArray[np.bool_], NDArray[np.int64], NDArray[np.float32]]:
    """Patterns with a tenth of the Training labels wrong: data set, wrong labels, folds, the ridge classifier's probabilities."""
    random = np.random.default_rng(0)
    clean = make_dataset((60, 6, 0))
    wrong = (random.random(len(clean)) < 0.1) & (clean.splits == 0)
    dataset = replace(clean, labels=np.where(wrong, (clean.labels + random.integers(1, 7, len(clean))) % 7, clean.labels))
    folds = assign_folds(np.arange(len(dataset)), dataset.labels)
    return dataset, wrong, folds, ridge_probabilities(dataset, folds)


def test_planted_label_errors_are_found(noisy: tuple[Any, ...]) -> None:
    dataset, wrong, _, probabilities = noisy
    audit = judge_labels(dataset, probabilities, "ridge")
    training = dataset.splits == 0
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (probabilities >= 0).all()
    assert roc_auc_score(wrong[training], audit.suspicion[training]) > 0.95
    assert audit.issue[wrong].mean() > 0.7
    assert audit.issue[training & ~wrong].mean() < 0.05
    assert (audit.suggestion[~training] == dataset.labels[~training]).mean() > 0.9


@pytest.mark.parametrize(("right", "judged"), [(0.35, False), (0.55, True)])
def test_a_label_model_that_is_often_wrong_judges_no_label(right: float, judged: bool) -> None:
    random = np.random.default_rng(3)
    dataset = make_dataset((60, 6, 0))  # a guess is right on a seventh
    shown = np.where(random.random(len(dataset)) < right - 1 / 7, dataset.labels, random.integers(0, 7, len(dataset)))
    probabilities = np.full((len(dataset), 7), 0.05, np.float32)
    probabilities[np.arange(len(dataset)), shown] = 0.7
    audit = judge_labels(dataset, probabilities, "weak")
    assert audit.judged == audit.issue.any() == judged
    assert summarise(dataset, audit, None)["model"]["judged"] == judged


def test_the_label_model_is_not_fitted_on_test_labels(noisy: tuple[Any, ...]) -> None:
    dataset, _, folds, probabilities = noisy
    other = relabelled_tests(dataset)
    training = dataset.splits == 0
    assert np.array_equal(ridge_probabilities(other, folds)[training], probabilities[training])
    ours, theirs = judge_labels(dataset, probabilities, "ridge"), judge_labels(other, probabilities, "ridge")
    assert np.array_equal(ours.issue[training], theirs.issue[training])


def test_the_ridge_classifier_is_not_fitted_on_the_labels_it_predicts(noisy: tuple[Any, ...]) -> None:
    dataset, _, folds, probabilities = noisy
    held_out = folds == 2
    other = replace(dataset, labels=np.where(held_out, (dataset.labels + 1) % 7, dataset.labels))
    assert np.array_equal(ridge_probabilities(other, folds)[held_out].argmax(1), probabilities[held_out].argmax(1))
