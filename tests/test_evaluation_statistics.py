"""Intervals, exact tests, calibration and agreement: against independent implementations, known answers and simulation."""

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
    """The expected calibration error written down a second time: sorted pairs, plain loops."""
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


def test_perfect_constant_and_random_predictors_give_the_known_answers() -> None:
    labels = np.arange(7000) % 7
    sure = np.eye(7)[labels]
    perfect = calibration.summarise(sure, labels, 0.0)
    assert metrics.brier_score(sure, labels) == metrics.expected_calibration_error(sure, labels) == 0
    assert (perfect["area_under_risk_coverage"], perfect["threshold"]) == (0, 0)
    constant = np.tile([0.4, *[0.1] * 6], (7000, 1))
    assert metrics.brier_score(constant, labels) == pytest.approx((0.6**2 + 6 * 0.1**2 + 6 * (0.4**2 + 0.9**2 + 5 * 0.1**2)) / 7)
    assert metrics.expected_calibration_error(constant, labels, bins=1) == pytest.approx(0.4 - 1 / 7)
    assert calibration.confidence_for_error(constant, labels) == 1  # no confidence is good enough
    random = np.random.default_rng(0).dirichlet(np.ones(7), 7000)
    assert metrics.accuracy(labels, random.argmax(1)) == pytest.approx(1 / 7, abs=0.02)
    summary = calibration.summarise(random, labels, 0.0)
    assert summary["error_at_coverage"]["1.0"] == pytest.approx(6 / 7, abs=0.02)
    assert summary["error_at_coverage"]["0.5"] == pytest.approx(6 / 7, abs=0.03)  # its confidence knows nothing


def test_the_threshold_keeps_the_error_and_as_many_answers_as_it_can() -> None:
    # right in nine of ten above 0.8, in five of ten below
    confidence = np.concatenate([np.full(100, 0.9), np.full(100, 0.6)])
    right = np.concatenate([np.arange(100) % 10 > 0, np.arange(100) % 2 > 0])
    probabilities = np.stack([confidence, 1 - confidence], 1)
    labels = np.where(right, 0, 1)
    assert calibration.confidence_for_error(probabilities, labels, 0.15) == 0.9
    assert calibration.confidence_for_error(probabilities, labels, 0.30) == 0.0
    assert calibration.confidence_for_error(probabilities, labels, 0.05) == 1.0
    at = calibration.summarise(probabilities, labels, 0.7, 0.15)
    assert at["at_threshold"] == at["at_card_threshold"] == {"coverage": 0.5, "error": pytest.approx(0.1)}


def test_equal_confidences_stand_or_fall_together() -> None:
    probabilities = np.tile([0.7, 0.3], (10, 1))
    thresholds, coverage, risk = calibration.risk_coverage(probabilities, np.array([0] * 9 + [1]))
    assert (thresholds.tolist(), coverage.tolist(), risk.tolist()) == ([0.7], [1.0], [0.1])


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_agrees_with_the_binomial_test(only_first: int, only_second: int) -> None:
    n = only_first + only_second
    expected = scipy.stats.binomtest(only_first, n, 0.5).pvalue if n else 1.0
    assert mcnemar_exact(only_first, only_second) == pytest.approx(expected, abs=1e-9)


@given(st.integers(1, 99), st.integers(1, 199))
def test_two_shares_are_tested_as_the_chi_square_of_their_table(hits: int, others: int) -> None:
    table = [[hits, 100 - hits], [others, 200 - others]]
    expected = scipy.stats.chi2_contingency(table, correction=False).pvalue
    assert proportions_differ(hits, 100, others, 200) == pytest.approx(expected, abs=1e-9)


def test_holm_never_reorders_and_never_exceeds_one() -> None:
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert metrics.holm([0.5, 0.6]) == [1.0, 1.0]
    assert metrics.holm([]) == []


CONFUSION = np.array([[60, 10, 10], [5, 20, 15], [20, 5, 55]]) / 200


def test_the_bootstrap_interval_of_macro_f1_covers_the_truth() -> None:
    truth = metrics.macro_f1((CONFUSION * 100_000).round().astype(np.int64))
    random = np.random.default_rng(5)
    inside = 0
    for run in range(200):
        matrix = random.multinomial(400, CONFUSION.ravel()).reshape(3, 3)
        low, high = bootstrap_macro_f1(matrix, 300, run)
        inside += low <= truth <= high
    assert 0.91 <= inside / 200 <= 0.99


def test_the_interval_of_a_paired_difference_covers_the_truth() -> None:
    shares = [0.12, 0.08, 0.8]  # only the first right, only the second, the same
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


def test_the_interval_of_two_groups_covers_the_truth() -> None:
    random = np.random.default_rng(7)
    hits, others = random.binomial(120, 0.75, 3000), random.binomial(300, 0.68, 3000)
    ends = [difference_interval(int(h), 120, int(o), 300) for h, o in zip(hits, others, strict=True)]
    assert 0.93 <= np.mean([low <= 0.07 <= high for low, high in ends]) <= 0.97


def test_the_bootstrap_of_sums_is_that_of_their_ratio() -> None:
    random = np.random.default_rng(8)
    parts = np.stack([random.random(400) < 0.6, np.ones(400)], 1).astype(float)
    low, high = bootstrap_ratio(parts, lambda sums: float(sums[0] / sums[1]))
    wilson = metrics.wilson_interval(int(parts[:, 0].sum()), 400)
    assert (low, high) == pytest.approx(wilson, abs=0.012)


def test_a_model_that_answers_as_one_rater_stands_at_one() -> None:
    # ten raters a face, each right with 0.7; the model is an eleventh
    random = np.random.default_rng(9)
    truth = random.integers(0, 7, 3000)
    noise = random.integers(0, 7, (3000, 11))
    votes = np.where(random.random((3000, 11)) < 0.7, truth[:, None], noise)
    counts = np.stack([(votes[:, :10] == k).sum(1) for k in range(7)], 1).astype(np.float32)
    found = human_agreement(counts, truth, np.eye(7, dtype=np.float32)[votes[:, 10]])
    assert found is not None
    assert found["level"] == pytest.approx(1.0, abs=0.03)
    assert found["level_ci"][0] < 1.0 < found["level_ci"][1]
    assert found["rater_accuracy"] == pytest.approx(0.7 + 0.3 / 7, abs=0.03)
    always = human_agreement(counts, truth, np.tile(np.eye(7, dtype=np.float32)[counts.sum(0).argmax()], (3000, 1)))
    assert always is not None
    assert always["level"] == pytest.approx(0.0, abs=1e-9)


def test_agreement_by_hand_on_three_faces() -> None:
    counts = np.zeros((3, 10), np.float32)
    counts[0, 3] = 10  # all say happy
    counts[1, [0, 5]] = 3, 1  # three angry, one sad
    counts[2, 9] = 10  # not a face: left out
    answers = np.full((3, 7), 0.05, np.float32)
    answers[[0, 1, 2], [3, 5, 0]] = 0.7
    found = human_agreement(counts, np.array([3, 0, 0]), answers)
    assert found is not None
    assert found["n"] == 2
    # face 0: ten of ten; face 1: leaving an angry out, angry still leads; leaving the sad out, angry leads
    assert found["rater_accuracy"] == pytest.approx((10 + 3) / 14)
    assert found["model_accuracy"] == pytest.approx(10 / 14)
    assert found["rater_label_accuracy"] == pytest.approx((10 + 3) / 14)
    assert found["model_label_accuracy"] == 0.5
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found["entropy"] == pytest.approx(entropy / 2)
    assert found["cross_entropy"] == pytest.approx((-math.log(0.7) - 0.75 * math.log(0.05) - 0.25 * math.log(0.7)) / 2, abs=1e-6)


def test_agreement_needs_two_votes() -> None:
    assert human_agreement(np.zeros((2, 10), np.float32), np.zeros(2, np.int64), np.full((2, 7), 1 / 7, np.float32)) is None
