from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from mien import metrics


def random_answers(seed: int, n: int = 200, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, classes, n), random.dirichlet(np.ones(classes), n)


@given(st.integers(0, 10_000))
def test_agrees_with_scikit_learn(seed: int) -> None:
    labels, probabilities = random_answers(seed)
    predicted = probabilities.argmax(1)
    matrix = metrics.confusion_matrix(labels, predicted, 7)
    assert np.array_equal(matrix, sk.confusion_matrix(labels, predicted, labels=range(7)))
    assert metrics.accuracy(labels, predicted) == pytest.approx(sk.accuracy_score(labels, predicted), abs=1e-9)
    assert metrics.macro_f1(matrix) == pytest.approx(sk.f1_score(labels, predicted, average="macro", zero_division=0), abs=1e-9)
    precision, recall, f1 = metrics.precision_recall_f1(matrix)
    expected = sk.precision_recall_fscore_support(labels, predicted, labels=range(7), zero_division=0)
    assert np.allclose([precision, recall, f1], expected[:3], atol=1e-9)
    assert metrics.negative_log_likelihood(probabilities, labels) == pytest.approx(
        sk.log_loss(labels, probabilities, labels=range(7)), abs=1e-9
    )


def test_perfect_and_constant_predictors() -> None:
    labels = np.array([0, 1, 2, 3, 4, 5, 6] * 10)
    sure = np.eye(7)[labels]
    assert metrics.accuracy(labels, sure.argmax(1)) == 1
    assert metrics.macro_f1(metrics.confusion_matrix(labels, sure.argmax(1), 7)) == 1
    assert metrics.expected_calibration_error(sure, labels) == 0
    always_happy = np.full(70, 3)
    assert metrics.accuracy(labels, always_happy) == pytest.approx(1 / 7)
    assert metrics.macro_f1(metrics.confusion_matrix(labels, always_happy, 7)) == pytest.approx(2 * (1 / 7) / (1 + 1 / 7) / 7)


def test_calibration_error_of_an_overconfident_predictor_is_its_overconfidence() -> None:
    # 90% sure and right 6 times of 10, in every bin
    labels = np.tile([0] * 6 + [1] * 4, 60)
    probabilities = np.tile([0.9, 0.1], (600, 1))
    order = np.random.default_rng(0).permutation(600)
    assert metrics.expected_calibration_error(probabilities, labels[order], bins=1) == pytest.approx(0.3)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.73])
def test_wilson_interval_covers_the_truth_as_often_as_it_says(p: float) -> None:
    random = np.random.default_rng(1)
    hits = random.binomial(300, p, 2000)
    inside = np.mean([low <= p <= high for low, high in (metrics.wilson_interval(int(h), 300) for h in hits)])
    assert 0.93 <= inside <= 0.97


def test_wilson_interval_at_the_ends() -> None:
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)
    low, high = metrics.wilson_interval(10, 10)
    assert 0.6 < low < 0.8
    assert high == 1.0


def test_the_floor_of_the_calibration_error_is_what_a_calibrated_model_shows() -> None:
    random = np.random.default_rng(3)
    probabilities = random.dirichlet(np.ones(7) * 0.5, 4000)
    labels = np.array([random.choice(7, p=row) for row in probabilities])
    floor = metrics.calibration_error_floor(probabilities)
    assert 0.005 < floor < 0.03
    assert metrics.expected_calibration_error(probabilities, labels) == pytest.approx(floor, abs=0.01)
    assert metrics.calibration_error_floor(probabilities[:400]) > 2 * floor  # fewer images, more chance
    assert metrics.calibration_error_floor(np.eye(7)) == 0
