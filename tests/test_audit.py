"""The complete audit, the manifest and class weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from datasets import make_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from photos import CHANGES, data_of, relabelled_tests, votes_of
from sklearn.metrics import roc_auc_score

from mien.audit.audit import Audit, run_audit
from mien.audit.datasheet import datasheet_text
from mien.audit.findings_text import findings_text
from mien.audit.labels import FOLDS
from mien.audit.page import page_html
from mien.data.dataset import FaceDataset
from mien.data.manifest import manifest, manifest_differences
from mien.data.preparation import effective_number_weights
from mien.emotions import EMOTIONS
from mien.metrics import area_under_curve


def test_a_manifest_depends_on_content_and_steps_and_not_on_order() -> None:
    dataset = make_dataset((3, 1, 1))
    ours = manifest(dataset)
    assert manifest(dataset.take(np.random.default_rng(0).permutation(len(dataset)))) == ours
    images = dataset.images.copy()
    images[5, 3, 3] ^= 1
    changed = manifest(replace(dataset, images=images))
    (line,) = manifest_differences(ours, changed)
    assert ours["dataset_hash"][:12] in line
    later = json.loads(json.dumps(ours))
    later["steps"]["crop"]["version"] = "later"
    (line,) = manifest_differences(ours, later)
    assert "crop" in line
    assert "'later'" in line
    assert manifest_differences(ours, json.loads(json.dumps(ours))) == []


@contextmanager
def progress_bar(heading: str) -> Iterator[Callable[[int, int], None]]:
    assert heading
    yield lambda done, total: None


def nearest_mean(dataset: FaceDataset, folds: NDArray[np.int64], progress: Callable[[int, int], None]) -> NDArray[np.float32]:
    """A fast label model: similarity to the mean image of each class in the other folds of Training."""
    pixels = dataset.images.reshape(len(dataset), -1).astype(np.float64) / 255
    found = np.zeros((len(dataset), len(EMOTIONS)))
    for fold in range(FOLDS):
        for k in range(len(EMOTIONS)):
            learn = (folds != fold) & (dataset.splits == 0) & (dataset.labels == k)
            mean = pixels[learn].mean(0) if learn.any() else np.full(pixels.shape[1], 9.0)
            found[folds == fold, k] = -((pixels[folds == fold] - mean) ** 2).mean(1)
    powers = np.exp(20 * found)
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


def audited(dataset: FaceDataset, **options: Any) -> Audit:
    audit = run_audit(
        dataset, ("broken.png",), progress_bar, label_model=("nearest mean", nearest_mean), seconds={"read": 1.0}, **options
    )
    facts = json.loads(json.dumps(audit.facts, allow_nan=False))
    assert facts["images"]["total"] == len(dataset)
    parts = {"exact_duplicates", "near_duplicates", "quality", "label_noise", "balance", "clean_split", "seconds", "manifest"}
    assert parts <= set(facts)
    assert facts["seconds"]["total"] == pytest.approx(sum(v for k, v in facts["seconds"].items() if k != "total"), abs=0.01)
    assert sum(facts["clean_split"]["actions"].values()) == len(audit.decisions.weights) == len(dataset)
    return audit


def photos(per_split: tuple[int, int, int]) -> FaceDataset:
    """Return distinct photographs with labels in turn."""
    splits = np.repeat(np.arange(3), per_split).tolist()
    return data_of([k % 7 for k in range(len(splits))], splits)


def test_the_audit_finds_planted_faults() -> None:
    dataset = photos((70, 14, 14))
    images = dataset.images.copy()
    images[1], images[75], images[2], images[90] = (
        images[0],
        images[3],
        CHANGES["brighter"](images[4]),
        CHANGES["mirrored"](images[5]),
    )
    images[6] = 0
    audit = audited(replace(dataset, images=images), votes=votes_of(*[{"happy": 9}] * 98))
    exact, near_found = audit.facts["exact_duplicates"], audit.facts["near_duplicates"]
    assert (exact["groups"], exact["redundant"], exact["conflicting_label_groups"]) == (2, 2, 2)
    assert exact["cross_split"] == {"Training>PublicTest": 1, "Training>PrivateTest": 0, "PublicTest>PrivateTest": 0}
    assert (near_found["pairs"], near_found["mirrored_pairs"], near_found["beyond_exact"]["redundant"]) == (2, 1, 2)
    assert near_found["groups"] == 4
    assert audit.facts["quality"]["checks"]["blank"]["images"] == 1
    assert [audit.decisions.actions[i] for i in (0, 1, 6, 75, 90, 97)] == ["drop", "drop", "drop", "leaked", "leaked", "clean"]
    assert audit.decisions.weights[[2, 4]].max() <= 0.5
    assert audit.facts["images"]["unreadable"] == ["broken.png"]
    assert audit.facts["seconds"]["read"] == 1.0
    assert audit.facts["label_noise"]["agreement"] is not None
    assert "claims" not in audit.facts


def test_decisions_about_training_do_not_depend_on_test_labels() -> None:
    dataset = photos((70, 14, 14))
    dataset = dataset.take(np.random.default_rng(4).permutation(len(dataset)))
    ours, theirs = audited(dataset), audited(relabelled_tests(dataset))
    training = dataset.splits == 0
    assert ours.labels is not None
    assert theirs.labels is not None
    assert np.array_equal(ours.labels.suspicion[training], theirs.labels.suspicion[training])
    assert np.array_equal(ours.decisions.weights, theirs.decisions.weights)


def without_contrast(dataset: FaceDataset) -> FaceDataset:
    return replace(dataset, images=np.full_like(dataset.images, 90) + np.arange(len(dataset), dtype=np.uint8)[:, None, None])


@pytest.mark.parametrize(
    ("take", "has_label_model"),
    [
        (lambda data: data.take(data.labels != EMOTIONS.index("disgust")), True),
        (lambda data: replace(data, labels=np.where(data.labels == 1, 2, data.labels) - (np.arange(98) == 2)), True),
        (lambda data: data.take(data.splits == 0), True),
        (lambda data: data.take(data.splits == 1), False),
        (lambda data: data.take(np.array([4])), False),
        (lambda data: without_contrast(data.take(np.array([4]))), False),
        (without_contrast, True),
    ],
    ids=["no disgust", "one disgust", "Training alone", "PublicTest alone", "one image", "one blank image", "all blank"],
)
def test_an_audit_handles_incomplete_data(take: Callable[[FaceDataset], FaceDataset], has_label_model: bool) -> None:
    audit = audited(take(photos((70, 14, 14))))
    assert (audit.labels is not None) == has_label_model
    assert (audit.facts["label_noise"]["model"] is not None) == has_label_model


def test_labels_are_not_judged_by_a_label_model_that_is_often_wrong() -> None:
    audit = audited(photos((70, 14, 14)))  # photographs that do not show their labels
    assert audit.labels is not None
    assert not audit.facts["label_noise"]["model"]["judged"]
    assert not any("label" in reason for reason in audit.decisions.reasons)
    assert "not judged" in findings_text(audit.facts)
    assert "likely errors" not in findings_text(audit.facts) + datasheet_text(audit.facts)
    assert "no label is marked" in page_html(audit, "photos")


def test_effective_numbers_are_milder_than_inverse_frequency() -> None:
    counts = {"happy": 7215, "disgust": 436, "sad": 0}
    weights = effective_number_weights(counts)
    assert weights["sad"] == 0
    assert weights["happy"] + weights["disgust"] == pytest.approx(2)
    assert weights["disgust"] / weights["happy"] == pytest.approx((1 - 0.999**7215) / (1 - 0.999**436))
    assert 1 < weights["disgust"] / weights["happy"] < 7215 / 436
    equal = effective_number_weights(counts, beta=0.0)
    assert (equal["happy"], equal["disgust"]) == (1, 1)
    assert set(effective_number_weights(dict.fromkeys(counts, 0)).values()) == {0.0}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_area_under_curve_matches_scikit_learn_with_ties(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([s for s, _ in rows], float), np.array([p for _, p in rows])
    if positive.all() or not positive.any():
        assert math.isnan(area_under_curve(scores, positive))
    else:
        assert area_under_curve(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
