"""Intervals, exact tests, calibration and agreement, compared with independent implementations, known results and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from test_metrics import random_answers

from mien import metrics
from mien.emotions import EMOTIONS
from mien.evaluation import calibration
from mien.evaluation.agreement import human_agreement
from mien.evaluation.significance import (
    bootstrap_difference,
    bootstrap_macro_f1,
    bootstrap_ratio,
    difference_interval,
    mcnemar_exact,
    proportions_differ,
)


@given(st.integers(0, 10_000))
def test_brier_score_agrees_with_scikit_learn(seed: int) -> None:
    labels, probabilities = random_answers(seed)
    expected = sk.brier_score_loss(labels, probabilities, labels=range(7))
    assert metrics.brier_score(probabilities, labels) == pytest.approx(expected, abs=1e-9)


def ece_by_hand(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """An independent implementation of the expected calibration error: sorted pairs, plain loops."""
    pairs = sorted(
        (max(row), float(list(row).index(max(row)) == label)) for row, label in zip(probabilities, labels, strict=True)
    )
    n, error, start = len(pairs), 0.0, 0
    for k in range(bins):
        size = n // bins + (1 if k < n % bins else 0)
        part = pairs[start : start + size]
        start += size
        if part:
            error += abs(sum(c for c, _ in part) - sum(r for _, r in part)) / n
    return error


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_calibration_error_agrees_with_a_second_implementation(seed: int, bins: int) -> None:
    labels, probabilities = random_answers(seed)
    expected = ece_by_hand(probabilities, labels, bins)
    assert metrics.expected_calibration_error(probabilities, labels, bins) == pytest.approx(expected, abs=1e-9)


def test_reliability_bins_add_up_to_the_calibration_error() -> None:
    labels, probabilities = random_answers(1, 1000)
    bins = calibration.reliability_bins(probabilities, labels)
    assert len(bins) == 15
    assert sum(b["n"] for b in bins) == 1000
    assert all(b["low"] <= b["accuracy"] <= b["high"] for b in bins)
    gap = sum(b["n"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / 1000
    assert gap == pytest.approx(metrics.expected_calibration_error(probabilities, labels), abs=1e-12)


def test_perfect_constant_and_random_predictors_have_known_scores() -> None:
    labels = np.arange(7000) % 7
    sure = np.eye(7)[labels]
    any_confidence = dict.fromkeys(EMOTIONS, 0.0)
    perfect = calibration.summarise(sure, labels, any_confidence)
    assert metrics.brier_score(sure, labels) == metrics.expected_calibration_error(sure, labels) == 0
    assert (perfect["area_under_risk_coverage"], perfect["threshold"]) == (0, 0)
    constant = np.tile([0.4, *[0.1] * 6], (7000, 1))
    assert metrics.brier_score(constant, labels) == pytest.approx((0.6**2 + 6 * 0.1**2 + 6 * (0.4**2 + 0.9**2 + 5 * 0.1**2)) / 7)
    assert metrics.expected_calibration_error(constant, labels, bins=1) == pytest.approx(0.4 - 1 / 7)
    assert calibration.confidence_for_error(constant, labels) == 1  # no threshold is valid
    random = np.random.default_rng(0).dirichlet(np.ones(7), 7000)
    assert metrics.accuracy(labels, random.argmax(1)) == pytest.approx(1 / 7, abs=0.02)
    summary = calibration.summarise(random, labels, any_confidence)
    assert summary["error_at_coverage"]["1.0"] == pytest.approx(6 / 7, abs=0.02)
    assert summary["error_at_coverage"]["0.5"] == pytest.approx(6 / 7, abs=0.03)  # its confidence is uninformative


def test_the_lowest_valid_threshold_is_chosen() -> None:
    """The error is not monotonic in the threshold: here it is 0, 10, 6.7 and 17.5%."""
    confidence = np.repeat([0.9, 0.8, 0.7, 0.6], 10)
    wrong = np.isin(np.arange(40), [10, 11, *range(30, 35)])
    probabilities = np.zeros((40, 7))
    probabilities[:, :2] = np.stack([confidence, 1 - confidence], 1)
    labels = np.where(wrong, 1, 0)
    thresholds = [calibration.confidence_for_error(probabilities, labels, error) for error in (0.05, 0.08, 0.12, 0.2)]
    assert thresholds == [0.9, 0.7, 0.7, 0.0]


def test_the_threshold_maximises_coverage_within_the_error() -> None:
    # accuracy 0.9 above 0.8, 0.5 below
    confidence = np.concatenate([np.full(100, 0.9), np.full(100, 0.6)])
    right = np.concatenate([np.arange(100) % 10 > 0, np.arange(100) % 2 > 0])
    probabilities = np.zeros((200, 7))
    probabilities[:, :2] = np.stack([confidence, 1 - confidence], 1)
    labels = np.where(right, 0, 1)
    assert calibration.confidence_for_error(probabilities, labels, 0.15) == 0.9
    assert calibration.confidence_for_error(probabilities, labels, 0.30) == 0.0
    assert calibration.confidence_for_error(probabilities, labels, 0.05) == 1.0
    at = calibration.summarise(probabilities, labels, dict.fromkeys(EMOTIONS, 0.7), 0.15)
    assert at["at_threshold"] == {"coverage": 0.5, "error": pytest.approx(0.1)}
    assert at["at_card_thresholds"].items() >= {"answers": 200, "coverage": 0.5, "error": pytest.approx(0.1)}.items()


def test_the_lowest_valid_threshold_may_be_below_an_invalid_one() -> None:
    # errors: 4 of 10 at 0.95, none at 0.9, 5 of 10 at 0.6, so 40% above 0.9, 20% from 0.9, 30% overall
    confidence = np.repeat([0.95, 0.9, 0.6], 10)
    right = np.concatenate([np.arange(10) >= 4, np.ones(10, bool), np.arange(10) >= 5])
    probabilities = np.zeros((30, 7))
    probabilities[:, :2] = np.stack([confidence, 1 - confidence], 1)
    labels = np.where(right, 0, 1)
    assert calibration.confidence_for_error(probabilities, labels, 0.25) == 0.9
    assert calibration.confidence_for_error(probabilities, labels, 0.35) == 0.0
    # of two valid thresholds, the lower one
    both = np.where(np.arange(30) < 20, 0, 1)
    assert calibration.confidence_for_error(probabilities, both, 0.1) == 0.9


def test_thresholds_are_by_predicted_class() -> None:
    # half of the angry predictions are correct, all of the happy ones; both have confidence 0.8
    angry, happy = EMOTIONS.index("angry"), EMOTIONS.index("happy")
    predicted = np.concatenate([np.full(40, angry), np.full(400, happy)])
    right = np.concatenate([np.arange(40) % 2 > 0, np.ones(400, bool)])
    probabilities = np.full((440, 7), 0.2 / 6)
    probabilities[np.arange(440), predicted] = 0.8
    labels = np.where(right, predicted, EMOTIONS.index("sad"))
    found = calibration.thresholds_by_class(probabilities, labels)
    assert (found["angry"], found["happy"]) == (1.0, calibration.MIN_THRESHOLD)
    at = calibration.summarise(probabilities, labels, found)["at_card_thresholds"]
    assert (at["classes"]["angry"]["coverage"], at["classes"]["happy"]["coverage"]) == (0.0, 1.0)
    assert (at["coverage"], at["error"]) == (pytest.approx(400 / 440), 0.0)


def test_equal_confidences_are_accepted_together() -> None:
    probabilities = np.tile([0.7, 0.3], (10, 1))
    thresholds, coverage, risk = calibration.risk_coverage(probabilities, np.array([0] * 9 + [1]))
    assert (thresholds.tolist(), coverage.tolist(), risk.tolist()) == ([0.7], [1.0], [0.1])


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_agrees_with_the_binomial_test(only_first: int, only_second: int) -> None:
    n = only_first + only_second
    expected = scipy.stats.binomtest(only_first, n, 0.5).pvalue if n else 1.0
    assert mcnemar_exact(only_first, only_second) == pytest.approx(expected, abs=1e-9)


@given(st.integers(1, 99), st.integers(1, 199))
def test_the_test_of_two_proportions_agrees_with_chi_square(hits: int, others: int) -> None:
    table = [[hits, 100 - hits], [others, 200 - others]]
    expected = scipy.stats.chi2_contingency(table, correction=False).pvalue
    assert proportions_differ(hits, 100, others, 200) == pytest.approx(expected, abs=1e-9)


def test_holm_never_reorders_and_never_exceeds_one() -> None:
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert metrics.holm([0.5, 0.6]) == [1.0, 1.0]
    assert metrics.holm([]) == []


CONFUSION = np.array([[60, 10, 10], [5, 20, 15], [20, 5, 55]]) / 200


def test_the_bootstrap_interval_of_macro_f1_has_nominal_coverage() -> None:
    truth = metrics.macro_f1((CONFUSION * 100_000).round().astype(np.int64))
    random = np.random.default_rng(5)
    inside = 0
    for run in range(200):
        matrix = random.multinomial(400, CONFUSION.ravel()).reshape(3, 3)
        low, high = bootstrap_macro_f1(matrix, 300, run)
        inside += low <= truth <= high
    assert 0.91 <= inside / 200 <= 0.99


def test_the_interval_of_a_paired_difference_has_nominal_coverage() -> None:
    shares = [0.12, 0.08, 0.8]  # only the first correct, only the second, equal
    random = np.random.default_rng(6)
    inside = 0
    for run in range(400):
        only_first, only_second, _ = random.multinomial(500, shares)
        first, second = np.ones(500, bool), np.ones(500, bool)
        second[:only_first] = False
        first[only_first : only_first + only_second] = False
        low, high = bootstrap_difference(first, second, 400, run)
        inside += low <= 0.04 <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_the_interval_of_two_groups_has_nominal_coverage() -> None:
    random = np.random.default_rng(7)
    hits, others = random.binomial(120, 0.75, 3000), random.binomial(300, 0.68, 3000)
    ends = [difference_interval(int(h), 120, int(o), 300) for h, o in zip(hits, others, strict=True)]
    assert 0.93 <= np.mean([low <= 0.07 <= high for low, high in ends]) <= 0.97


def test_the_bootstrap_of_a_ratio_agrees_with_wilson() -> None:
    random = np.random.default_rng(8)
    parts = np.stack([random.random(400) < 0.6, np.ones(400)], 1).astype(float)
    low, high = bootstrap_ratio(parts, lambda sums: float(sums[0] / sums[1]))
    wilson = metrics.wilson_interval(int(parts[:, 0].sum()), 400)
    assert (low, high) == pytest.approx(wilson, abs=0.012)


def test_a_model_as_good_as_one_rater_has_level_one() -> None:
    # ten raters per face with accuracy 0.7; the model is an eleventh
    random = np.random.default_rng(9)
    truth = random.integers(0, 7, 3000)
    noise = random.integers(0, 7, (3000, 11))
    votes = np.where(random.random((3000, 11)) < 0.7, truth[:, None], noise)
    counts = np.stack([(votes[:, :10] == k).sum(1) for k in range(7)], 1).astype(np.float32)
    found = human_agreement(counts, np.eye(7, dtype=np.float32)[votes[:, 10]])
    assert found is not None
    assert found["level"] == pytest.approx(1.0, abs=0.03)
    assert found["level_ci"][0] < 1.0 < found["level_ci"][1]
    assert found["rater_accuracy"] == pytest.approx(0.7 + 0.3 / 7, abs=0.03)
    always = human_agreement(counts, np.tile(np.eye(7, dtype=np.float32)[counts.sum(0).argmax()], (3000, 1)))
    assert always is not None
    assert always["level"] == pytest.approx(0.0, abs=1e-9)


def test_agreement_by_hand_on_three_faces() -> None:
    counts = np.zeros((3, 10), np.float32)
    counts[0, 3] = 10  # all vote happy
    counts[1, [0, 5]] = 3, 1  # three angry, one sad
    counts[2, 9] = 10  # not a face: ignored
    probabilities = np.full((3, 7), 0.05, np.float32)
    probabilities[[0, 1, 2], [3, 5, 0]] = 0.7
    found = human_agreement(counts, probabilities)
    assert found is not None
    assert found["n"] == 2
    # face 0: ten of ten; face 1: angry is the mode of the other votes, whichever vote is left out
    assert found["rater_accuracy"] == pytest.approx((10 + 3) / 14)
    assert found["model_accuracy"] == pytest.approx(10 / 14)
    assert found["one_rater"] == pytest.approx((10 + 3) / 14)  # both faces have a majority
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found["entropy"] == pytest.approx(entropy / 2)
    assert found["cross_entropy"] == pytest.approx((-math.log(0.7) - 0.75 * math.log(0.05) - 0.25 * math.log(0.7)) / 2, abs=1e-6)


def test_agreement_needs_two_votes() -> None:
    assert human_agreement(np.zeros((2, 10), np.float32), np.full((2, 7), 1 / 7, np.float32)) is None
