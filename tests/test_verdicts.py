"""Decisions about each image, and the split file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from photos import copies_of, data_of, few, relabelled_tests, votes_of

from mien.audit.labels import LabelAudit
from mien.audit.verdicts import RULES, before_and_after, decide
from mien.data.dataset import FaceDataset
from mien.data.split_file import COLUMNS, SplitFile, read_split_file, split_text
from mien.data.votes import Votes
from mien.emotions import EMOTIONS
from mien.errors import DataError


def no_faults(n: int, **flags: list[int]) -> dict[str, NDArray[np.bool_]]:
    return {name: np.isin(np.arange(n), where) for name, where in ({"blank": []} | flags).items()}


def label_audit_of(dataset: FaceDataset, suspicion: list[float], issue: list[int]) -> LabelAudit:
    """Return label-error estimates that give the remaining probability to the class after the label."""
    n, doubt = len(dataset), np.array(suspicion, np.float32)
    probabilities = np.zeros((n, 7), np.float32)
    probabilities[np.arange(n), dataset.labels] = 1 - doubt
    probabilities[np.arange(n), (dataset.labels + 1) % 7] += doubt
    return LabelAudit(probabilities, doubt, np.isin(np.arange(n), issue), "made up")


def test_the_first_of_exact_copies_is_kept() -> None:
    decisions = decide(data_of([3, 3, 3, 3]), copies_of([0, 0, 2, 0]), no_faults(4), None, None)
    assert decisions.actions == ("keep", "drop", "keep", "drop")
    assert decisions.weights.tolist() == [1, 0, 1, 0]
    assert decisions.reasons == ("", "exact copy (train/happy/0.png)", "", "exact copy (train/happy/0.png)")


def test_conflicting_copies_are_dropped_without_a_majority() -> None:
    pair, triple = data_of([3, 5]), data_of([5, 3, 3])
    both = decide(pair, copies_of([0, 0]), no_faults(2), None, None)
    assert both.actions == ("drop", "drop")
    assert all(reason.startswith("copies disagree") for reason in both.reasons)
    assert decide(triple, copies_of([0, 0, 0]), no_faults(3), None, None).actions == ("drop", "keep", "drop")
    sad = votes_of(*[{"sad": 8, "happy": 2}] * 2)
    assert decide(pair, copies_of([0, 0]), no_faults(2), None, sad).actions == ("drop", "keep")
    for counts in ({"sad": 5, "happy": 5}, {"fear": 10}):
        assert decide(pair, copies_of([0, 0]), no_faults(2), None, votes_of(counts, counts)).actions == ("drop", "drop")


def test_near_copies_share_the_weight_of_one() -> None:
    dataset = data_of([3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 1, 0])
    decisions = decide(dataset, copies_of([0, 1, 2, 0, 4, 5], (0, 1), (1, 2), (2, 4)), no_faults(6), None, None)
    assert decisions.weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 1, 1])
    assert decisions.actions == ("down-weight", "down-weight", "down-weight", "drop", "leaked", "keep")
    assert decisions.reasons[0] == "near copy (3 versions)"
    assert decisions.reasons[4] == "near copy in an earlier split"


def test_a_test_image_between_two_training_images_does_not_make_them_copies() -> None:
    dataset = data_of([3, 3, 3], [0, 1, 0])
    decisions = decide(dataset, copies_of([0, 1, 2], (0, 1), (1, 2)), no_faults(3), None, None)
    assert decisions.weights.tolist() == [1, 1, 1]
    assert decisions.actions == ("keep", "leaked", "keep")


def test_test_images_are_only_marked() -> None:
    dataset = data_of([3, 3, 5, 2, 2, 3], [0, 1, 2, 1, 2, 1])
    label_audit = label_audit_of(dataset, [0.1, 0.99, 0.99, 0.99, 0.99, 0.99], [1, 2, 3, 4, 5])
    faults = no_faults(6, blank=[3], no_face=[1, 2, 3])
    votes = votes_of({"happy": 9}, *[{"NF": 9}] * 5)
    decisions = decide(dataset, copies_of([0, 0, 2, 3, 3, 5]), faults, label_audit, votes)
    assert decisions.actions == ("keep", "leaked", "clean", "clean", "leaked", "clean")
    assert decisions.weights.tolist() == [1] * 6
    assert decisions.clean.tolist() == [False, False, True, True, False, True]
    assert decisions.reasons[1] == "same pixels in an earlier split"


def test_images_without_a_face_are_dropped_and_doubtful_ones_count_half() -> None:
    votes = votes_of({"happy": 9}, {"NF": 9}, {"NF": 9}, {"happy": 9}, {"NF": 4, "happy": 5})
    faults = no_faults(5, blank=[0], no_face=[1, 3], placeholder=[])
    decisions = decide(data_of([3] * 5), copies_of([0, 1, 2, 3, 4]), faults, None, votes)
    assert decisions.actions == ("drop", "drop", "down-weight", "down-weight", "keep")
    assert decisions.weights.tolist() == [0, 0, 0.5, 0.5, 1]
    assert decisions.reasons == ("not a face", "not a face", "not a face by vote", "no face found", "")
    assert decide(data_of([3] * 5), copies_of([0, 1, 2, 3, 4]), faults, None, None).weights.tolist() == [0, 0.5, 1, 0.5, 1]


def test_doubtful_labels_are_down_weighted_and_never_changed() -> None:
    dataset = data_of([3] * 5)
    label_audit = label_audit_of(dataset, [0.95, 0.85, 0.95, 0.95, 0.2], [0, 1, 2, 3])
    votes = votes_of({"happy": 5, "sad": 5}, {"happy": 5, "sad": 5}, {"neutral": 10}, {"happy": 10}, {"sad": 10})
    decisions = decide(dataset, copies_of([0, 1, 2, 3, 4]), no_faults(5), label_audit, votes)
    assert decisions.weights.tolist() == [0.5, 1, 0.25, 1, 1]
    assert decisions.reasons == ("label doubtful (neutral)", "", "label contradicted (neutral)", "", "")
    assert decide(dataset, copies_of([0, 1, 2, 3, 4]), no_faults(5), label_audit, None).weights.tolist() == [0.5, 1, 0.5, 0.5, 1]


@few
@given(st.integers(0, 10_000))
def test_decisions_about_training_ignore_test_labels_and_name_their_rules(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = 40
    dataset = data_of(random.integers(0, 7, n).tolist(), random.integers(0, 3, n).tolist())
    exact = np.arange(n)
    exact[20:] = np.where(random.random(20) < 0.5, random.integers(0, 20, 20), exact[20:])
    copies = copies_of(exact.tolist(), *[tuple(sorted(random.choice(20, 2, replace=False).tolist())) for _ in range(5)])
    faults = no_faults(n, blank=random.choice(n, 3).tolist(), no_face=random.choice(n, 8).tolist())
    votes = Votes(random.integers(0, 6, (n, 10)).astype(np.float32) ** 2, np.zeros(n, np.bool_))
    label_audit = label_audit_of(dataset, random.uniform(0.5, 1, n).tolist(), random.choice(n, 15).tolist())
    ours = decide(dataset, copies, faults, label_audit, votes)
    theirs = decide(relabelled_tests(dataset, seed), copies, faults, label_audit, votes)
    training = dataset.splits == 0
    assert np.array_equal(ours.weights, theirs.weights)
    assert ours.actions == theirs.actions
    assert (ours.weights[~training] == 1).all()
    assert {a for a, t in zip(ours.actions, training, strict=True) if not t} <= {"clean", "leaked"}
    for i in np.flatnonzero(training):
        rules = [reason.split(" (")[0] for reason in ours.reasons[i].split("; ") if reason]
        assert set(rules) <= set(RULES)
        assert bool(rules) == (ours.weights[i] < 1)
    counts = before_and_after(dataset, ours)
    assert sum(counts[name]["effective"] for name in EMOTIONS) == pytest.approx(float(ours.weights[training].sum()), abs=0.05)


def decided(n: int = 5) -> tuple[FaceDataset, SplitFile]:
    dataset = data_of([3, 2, 0, 6, 4][:n], [0, 0, 0, 1, 2][:n])
    weights = np.array([1, 1 / 3, 0, 1, 1][:n], np.float32)
    reasons = ("", 'near copy ("a, b"); label doubtful (sad)', "not a face", "", "same pixels in an earlier split")
    return dataset, SplitFile(("keep", "down-weight", "drop", "clean", "leaked")[:n], weights, reasons[:n])


def test_a_split_file_is_read_back_in_any_order_and_under_any_folder(tmp_path: Path) -> None:
    dataset, decisions = decided()
    path = tmp_path / "clean_split.csv"
    path.write_text(split_text(dataset, decisions), encoding="utf-8")
    order = np.array([4, 2, 0, 1, 3])
    wrapped = replace(dataset.take(order), names=tuple(f"archive/fer/{dataset.names[i]}" for i in order))
    for ours, at in ((dataset, np.arange(5)), (wrapped, order)):
        read = read_split_file(path, ours)
        assert read.actions == tuple(decisions.actions[i] for i in at)
        assert read.reasons == tuple(decisions.reasons[i] for i in at)
        assert np.allclose(read.weights, decisions.weights[at], rtol=1e-5)
    assert read_split_file(path, dataset).counts() == {"keep": 1, "down-weight": 1, "drop": 1, "clean": 1, "leaked": 1}


def test_applying_a_split_drops_and_weighs_training_and_leaves_tests_alone() -> None:
    dataset, decisions = decided()
    applied = decisions.apply(dataset)
    assert applied.names == tuple(name for i, name in enumerate(dataset.names) if i != 2)
    assert applied.weights.tolist() == pytest.approx([1, 1 / 3, 1, 1])
    assert applied.take(np.array([3, 1])).weights.tolist() == pytest.approx([1, 1 / 3])
    assert applied.split("Training").weights.tolist() == pytest.approx([1, 1 / 3])
    assert dataset.weights.tolist() == [1] * 5
    assert len(applied.split("PublicTest")) == len(applied.split("PrivateTest")) == 1


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("Training,fear", "Training,happy", "line 3: .*happy.*Training fear"),
        ("Training,fear", "PublicTest,fear", "line 3: .*PublicTest fear"),
        ("down-weight", "delete", "line 3: action 'delete'"),
        ("down-weight", "clean", "line 3: action 'clean'"),
        ("clean,1", "drop,0", "line 5: action 'drop'"),
        ("0.333333", "nan", "line 3: weight 'nan'"),
        ("0.333333", "2", "line 3: weight '2'"),
        ("0.333333", "-1", "line 3: weight '-1'"),
        ("0.333333", "inf", "line 3: weight 'inf'"),
        ("0.333333", "half", "line 3: weight 'half'"),
        ("0.333333", "", "line 3: weight ''"),
        ("0.333333", "0", "line 3: weight '0'"),
        ("drop,0", "drop,1", "line 4: weight '1'"),
        ("clean,1", "clean,0.5", "line 5: weight '0.5'"),
        ("train/fear/1.png", "train/fear/11.png", "1 of 5 images, train/fear/1.png"),
        ("action", "deed", "name, split, label, action, weight, reasons"),
    ],
)
def test_a_split_file_that_does_not_match_the_data_is_refused(tmp_path: Path, old: str, new: str, named: str) -> None:
    dataset, decisions = decided()
    text = split_text(dataset, decisions)
    assert old in text
    (tmp_path / "s.csv").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=named):
        read_split_file(tmp_path / "s.csv", dataset)


def test_an_invalid_split_file_is_refused(tmp_path: Path) -> None:
    dataset, decisions = decided()
    with pytest.raises(DataError, match="mien prepare") as caught:
        read_split_file(tmp_path / "none.csv", dataset)
    assert caught.value.exit_code == 3
    for name, content in {"empty": b"", "head": ",".join(COLUMNS).encode(), "binary": b"\xff\xfe\x00"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read_split_file(tmp_path / name, dataset)
    (tmp_path / "cut").write_text(split_text(dataset, decisions).split(",keep")[0], encoding="utf-8")
    with pytest.raises(DataError):
        read_split_file(tmp_path / "cut", dataset)
