"""Limits, accuracy estimation and change points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drifting import DEPTH, EVEN, make_faces, reference_of, stream
from hypothesis import given
from hypothesis import strategies as st
from photos import few

from mien.errors import UsageError
from mien.monitoring.accuracy_estimate import AccuracyEstimator, AccuracyModel, CorruptionLevel, fit_accuracy
from mien.monitoring.baseline import FaceWindow
from mien.monitoring.calibration import _alarms, calibrate, run_to_completion
from mien.monitoring.change_points import ChangePoints, page_hinkley_threshold
from mien.monitoring.detectors import DETECTORS
from mien.monitoring.features import FEATURES, FeatureMap, averages, random_features
from mien.monitoring.observation import FaceBatch
from mien.monitoring.persistence import PersistenceFilter, PersistenceRule
from mien.monitoring.reference import Reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(*make_faces(1600, seed=0))


# --- limits -------------------------------------------------------------------------------------


def test_limits_rise_with_the_false_alarm_interval_and_keep_it_in_simulation(reference: Reference) -> None:
    calibration, rule = reference.calibrations["all"], PersistenceRule(3, 4)
    levels = [calibration.level(windows, rule) for windows in (5, 20, 80, 1000, 100_000)]
    assert levels == sorted(levels)
    assert len(set(levels)) == 5
    surprises = np.stack([calibration._surprises(j, calibration.scores[:, :, j].ravel()) for j in range(5)], 1)
    flags = surprises.reshape(calibration.scores.shape) >= calibration.level(40, rule)
    assert _alarms(flags, rule) <= flags[:, :, 0].size / 40


def test_a_stricter_rule_needs_a_lower_limit(reference: Reference) -> None:
    levels = [reference.calibrations["all"].level(100, PersistenceRule(m, 4)) for m in (1, 2, 3, 4)]
    assert levels == sorted(levels, reverse=True)


@few
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_alarms_are_counted_like_those_of_the_monitor(seed: int, m: int) -> None:
    flags = np.random.default_rng(seed).random((3, 200, 5)) < 0.15
    rule = PersistenceRule(m, 4)
    expected = 0
    for run in flags:
        persistent = PersistenceFilter(rule, 5)
        for row in run:
            if persistent.update(row).any():
                expected += 1
                persistent.reset()
    assert _alarms(flags, rule) == expected


def test_simulations_are_reproducible_by_seed() -> None:
    faces, _ = make_faces(500, seed=0)
    values = FeatureMap.fit(faces)(faces)
    first, second, third = (
        run_to_completion(calibrate(values, faces.probabilities, None, 2, 10, seed))["all"].scores for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_limits_account_for_correlated_streams() -> None:
    faces, _ = make_faces(2000, seed=0)
    light = np.repeat(np.random.default_rng(0).normal(0, 30, 40), 50)
    faces.measures[:, 0] += light.astype(np.float32)
    values = FeatureMap.fit(faces)(faces)
    groups = [np.arange(k, k + 50) for k in range(0, 2000, 50)]
    at = DETECTORS.index("quality")
    independent = run_to_completion(calibrate(values, faces.probabilities, None, 8, 40))["all"].scores[:, :, at]
    correlated = run_to_completion(calibrate(values, faces.probabilities, groups, 8, 40))["all"].scores[:, :, at]
    assert np.median(correlated) > 1.5 * np.median(independent)


@pytest.mark.parametrize(("m", "n"), [(0, 4), (5, 4), (1, 0)])
def test_invalid_persistence_rules_are_refused(m: int, n: int) -> None:
    with pytest.raises(UsageError):
        PersistenceRule(m, n)


def test_surprise_is_minus_log10_of_the_tail_probability(reference: Reference) -> None:
    scores = reference.calibrations["all"].scores[:, :, 0].ravel()
    assert reference.calibrations["all"].surprise(0, float(np.quantile(scores, 0.9))) == pytest.approx(1, abs=0.02)
    assert reference.calibrations["all"].surprise(0, float(scores.min()) - 1) == pytest.approx(0, abs=0.01)
    far = [reference.calibrations["all"].surprise(0, score) for score in (0.1, 0.2, 0.4)]
    assert far == sorted(far)
    assert all(math.isfinite(value) for value in far)


# --- estimated accuracy and change points -------------------------------------------------------


def corrupted(family: str, shift: float, features: FeatureMap) -> CorruptionLevel:
    """Return a corruption level at which accuracy falls with the shift of the embeddings."""
    faces, _ = make_faces(600, seed=11, shift=shift)
    correct = np.random.default_rng(12).random(600) < 0.9 - 0.2 * shift
    return CorruptionLevel(family, random_features(features(faces).astype(np.float64)).astype(np.float32), correct, 0.9)


def test_accuracy_is_estimated_where_confidence_fails(reference: Reference) -> None:
    features = reference.features
    shifts = {"": 0.0, "a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    model = fit_accuracy(corrupted(family, shift, features) for family, shift in shifts.items())
    assert model.errors["new_photographs_within"] > 0.8
    assert model.errors["confidence_within"] == 0
    assert model.errors["new_photographs_p90"] <= model.errors["new_damage_p90"]
    for shift in (0.0, 2.0, 4.0):
        mean = features(make_faces(2000, seed=50, shift=shift)[0]).astype(np.float64).mean(0)
        estimate = AccuracyEstimator(model)
        estimate.update(FaceWindow(0, 1, 200, mean, EVEN))
        assert estimate.accuracy == pytest.approx(0.9 - 0.2 * shift, abs=0.08)
        assert estimate.confidence == averages(mean)["confidence"]


def test_without_a_model_only_confidence_is_estimated(reference: Reference) -> None:
    estimate = AccuracyEstimator(None)
    assert estimate.accuracy is None
    estimate.update(FaceWindow(0, 1, 200, reference.baseline.overall, EVEN))
    assert estimate.accuracy is None
    assert estimate.confidence is not None


def test_estimates_are_clipped_to_0_and_1() -> None:
    wild = AccuracyModel(np.append(np.full(512, 1e6), 0.0), {})
    assert wild.estimate(np.ones(FEATURES)) == 1
    assert wild.estimate(-np.ones(FEATURES)) == 0


def test_change_points_date_a_change() -> None:
    random = np.random.default_rng(0)
    watch = ChangePoints("confidence", 0.7, 0.2, 20_000)
    for k in range(3000):
        watch.update(float(k), float(np.clip(random.normal(0.7 if k < 2000 else 0.5, 0.2), 0, 1)))
    tests = {point.test for point in watch.found}
    assert tests == {"adwin", "page-hinkley"}
    adwin = next(point for point in watch.found if point.test == "adwin")
    assert 2000 <= adwin.noticed_s <= 2300
    assert adwin.since_s is not None
    assert 1000 <= adwin.since_s <= adwin.noticed_s  # ADWIN's resolution is half of its window


def test_no_change_point_without_a_change_and_nan_is_ignored() -> None:
    random = np.random.default_rng(1)
    watch = ChangePoints("confidence", 0.7, 0.2, 1e6)
    for k in range(5000):
        watch.update(float(k), math.nan if k % 7 == 0 else float(random.normal(0.7, 0.2)))
    assert watch.found == ()


def test_the_page_hinkley_threshold_has_about_the_nominal_run_length() -> None:
    from river.drift import PageHinkley

    random = np.random.default_rng(2)
    test = PageHinkley(min_instances=100, delta=0.25, threshold=page_hinkley_threshold(2000), mode="both")
    alarms = 0
    for value in random.normal(size=100_000):
        test.update(float(value))
        alarms += test.drift_detected
    assert 20 <= alarms <= 80  # 50 expected; approximate because of the running mean and the start


def test_batches_are_joined_and_split() -> None:
    faces, _ = make_faces(10, seed=0)
    again = FaceBatch.join([faces.take(np.arange(4)), FaceBatch.of(list(stream(faces))[4:])])
    assert len(again) == 10
    assert np.array_equal(again.embedding, faces.embedding)
    assert again.embedding.shape == (10, DEPTH)
