"""Drift in known streams: what is planted is found and named, what is not there is not found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drifting import DEPTH, EVEN, crowd, reference_of, stream, verdicts
from hypothesis import given
from hypothesis import strategies as st
from photos import few

from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError
from mien.monitoring.accuracy_estimate import AccuracyModel, Condition, EstimatedAccuracy, fit_accuracy
from mien.monitoring.baseline import Baseline, Window
from mien.monitoring.calibration import _alarms, calibrate, done
from mien.monitoring.change_points import ChangePoints, page_hinkley_threshold
from mien.monitoring.chunks import CHUNK_BLOCKS, GAP_S, WINDOW_CHUNKS, Chunks
from mien.monitoring.detectors import DETECTORS, make_detectors
from mien.monitoring.distances import jensen_shannon, ks_p_value, stability_index
from mien.monitoring.features import FEATURES, FeatureMap, averages, distribution, random_features
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import MEASURES, FaceBatch, FaceObservation, measure, pose_measures
from mien.monitoring.persistence import Persistence, Persistent
from mien.monitoring.reference import Reference
from mien.monitoring.trigger import DriftTrigger
from mien.preprocess import CANONICAL_LANDMARKS
from mien.records import Box, Detection

WINDOW = CHUNK_BLOCKS * WINDOW_CHUNKS
MORE_HAPPY = np.where(np.arange(7) == EMOTIONS.index("happy"), 0.4, 0.1)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(*crowd(1600, seed=0))


def monitor_of(reference: Reference, windows: float = 400.0, **settings: object) -> DriftMonitor:
    """Return a monitor that may raise one false alarm in so many windows."""
    return DriftMonitor(reference, 1.0, windows * CHUNK_BLOCKS, **settings)  # type: ignore[arg-type]


# --- whole streams ------------------------------------------------------------------------------


def test_a_stream_without_drift_keeps_the_promise(reference: Reference) -> None:
    trigger = DriftTrigger(reference, cooldown_h=WINDOW / 3600)
    found = verdicts(monitor_of(reference), stream(crowd(40_000, seed=1)[0]))
    assert len(found) == 40_000 // CHUNK_BLOCKS - WINDOW_CHUNKS + 1
    for verdict in found:
        trigger.update(verdict)
    assert len(trigger.events) <= 5  # 797 windows, two alarms are expected: more than five come once in 60 such streams


@pytest.mark.parametrize(
    ("planted", "detector", "cause"),
    [
        ({"shift": 1.0}, "embedding", "picture"),
        ({"shift": 1.5}, "components", "picture"),
        ({"darker": 1.0}, "quality", "picture"),
        ({"doubt": 2.0}, "confidence", "confidence"),
        ({"shares": MORE_HAPPY}, "expressions", "content"),
    ],
)
def test_planted_drift_is_found_and_named(reference: Reference, planted: dict, detector: str, cause: str) -> None:
    monitor, trigger = monitor_of(reference), DriftTrigger(reference)
    before = verdicts(monitor, stream(crowd(400, seed=2)[0]))
    after = verdicts(monitor, stream(crowd(500, seed=3, **planted)[0], start_s=400, name="m"))
    assert not any(trigger.update(verdict) for verdict in before)
    events = [event for verdict in after if (event := trigger.update(verdict))]
    assert len(events) == 1
    assert detector in after[-1].flagged
    assert events[0].looks_like == cause
    assert events[0].since_s <= 400 + 2 * CHUNK_BLOCKS
    assert events[0].t_s <= 900


def test_other_expressions_do_not_pass_for_another_picture(reference: Reference) -> None:
    found = verdicts(monitor_of(reference), stream(crowd(3000, seed=4, shares=MORE_HAPPY)[0]))
    pictures = [verdict for verdict in found if {"embedding", "components", "quality"} & set(verdict.lasting)]
    assert not pictures
    assert all("expressions" in verdict.flagged for verdict in found)
    assert np.mean([verdict.mix[EMOTIONS.index("happy")] for verdict in found]) == pytest.approx(0.4, abs=0.05)


def test_the_same_stream_gives_the_same_verdicts(reference: Reference) -> None:
    faces = crowd(450, seed=5)[0]
    monitor = monitor_of(reference)
    first = verdicts(monitor, stream(faces))
    monitor.restart()
    second = verdicts(monitor, stream(faces))
    assert len(first) == 6
    for one, other in zip(first, second, strict=True):
        assert one.surprises == other.surprises
        assert np.array_equal(one.mix, other.mix)


def test_an_empty_stream_has_no_verdict(reference: Reference) -> None:
    monitor = monitor_of(reference)
    assert monitor.verdict is None
    assert monitor.waiting == WINDOW
    assert verdicts(monitor, stream(crowd(WINDOW - 1, seed=6)[0])) == []
    assert monitor.waiting == 1
    assert DriftTrigger(reference).exit_code == 0


def test_one_class_only_is_a_reference_too() -> None:
    only = np.eye(7)[3]
    reference = reference_of(*crowd(800, seed=0, shares=only))
    assert reference.label_shares.tolist() == only.tolist()
    monitor = monitor_of(reference)
    assert not verdicts(monitor, stream(crowd(400, seed=1, shares=only)[0]))[-1].lasting
    monitor.restart()
    assert "expressions" in verdicts(monitor, stream(crowd(600, seed=2)[0]))[-1].lasting


def test_what_is_not_a_number_is_left_out_and_counted(reference: Reference) -> None:
    monitor = monitor_of(reference)
    faces = crowd(400, seed=7)[0]
    faces.probabilities[5] = np.nan
    faces.embedding[6] = np.inf
    found = verdicts(monitor, stream(faces))
    assert monitor.unread == 2
    assert len(found) == 4  # 398 faces fill seven chunks
    assert all(math.isfinite(surprise) for verdict in found for surprise in verdict.surprises.values())


def test_measures_nobody_knows_are_not_compared(reference: Reference) -> None:
    faces = crowd(300, seed=8)[0]
    faces.measures[:] = np.nan
    verdict = verdicts(monitor_of(reference), stream(faces))[-1]
    assert verdict.readings["quality"].score == 0
    assert verdict.stability == {}
    assert set(verdict.averages) == {"confidence", "entropy"}


def test_a_measure_the_reference_does_not_know_is_not_compared(reference: Reference) -> None:
    faces = crowd(300, seed=8)[0]
    faces.measures[:, 3:] = 40.0
    verdict = verdicts(monitor_of(reference), stream(faces))[-1]
    assert set(verdict.stability) == {"brightness", "contrast", "sharpness"}


@pytest.mark.parametrize("jump_s", [-3600.0, GAP_S + 1])
def test_a_jump_of_the_clock_begins_the_window_anew(reference: Reference, jump_s: float) -> None:
    monitor = monitor_of(reference)
    verdicts(monitor, stream(crowd(220, seed=9)[0], start_s=10_000))
    assert monitor.waiting == CHUNK_BLOCKS - 20
    assert verdicts(monitor, stream(crowd(199, seed=10)[0], start_s=10_220 + jump_s, name="m")) == []
    assert monitor.breaks == 1
    verdict = monitor.update(next(stream(crowd(1, seed=11)[0], start_s=10_420 + jump_s, name="x")))
    assert verdict is not None
    assert verdict.from_s == 10_220 + jump_s


def test_small_corrections_of_the_clock_do_no_harm(reference: Reference) -> None:
    monitor = monitor_of(reference)
    faces = list(stream(crowd(200, seed=9)[0]))
    shaken = [
        FaceObservation(f.t_s - 0.4 * (k % 3), f.track_id, f.embedding, f.probabilities, f.measures) for k, f in enumerate(faces)
    ]
    assert len(verdicts(monitor, shaken)) == 1
    assert monitor.breaks == 0


@pytest.mark.parametrize(("hours", "faces"), [(0.0, 100.0), (-1.0, 100.0), (math.nan, 100.0), (1.0, math.inf), (1.0, 60.0)])
def test_promises_that_cannot_be_kept_are_refused(reference: Reference, hours: float, faces: float) -> None:
    with pytest.raises(UsageError):
        DriftMonitor(reference, hours, faces)


# --- blocks and chunks --------------------------------------------------------------------------


def test_one_person_at_thirty_frames_a_second_counts_once(reference: Reference) -> None:
    chunks = Chunks(reference.features)
    one = crowd(1, seed=0)[0]
    for k in range(3000):
        face = FaceObservation(k / 30, "ann", one.embedding[0], one.probabilities[0], one.measures[0])
        assert chunks.update(face) is None
    assert chunks.waiting == 1


def test_somebody_counts_again_once_out_of_the_window(reference: Reference) -> None:
    chunks = Chunks(reference.features)
    faces = crowd(CHUNK_BLOCKS * 5, seed=0)[0]
    ann = FaceObservation(0.0, "ann", faces.embedding[0], faces.probabilities[0], faces.measures[0])
    assert chunks.update(ann) is None
    for face in stream(faces, start_s=1):
        chunks.update(face)
        now = FaceObservation(face.t_s, "ann", ann.embedding, ann.probabilities, ann.measures)
        before = chunks.waiting
        chunks.update(now)
        if face.t_s <= CHUNK_BLOCKS * 4 - 2:
            assert chunks.waiting == before
    # five chunks of others and Ann's two looks: the first one, and the one after three chunks more
    assert chunks.waiting == 2


def test_with_a_reference_of_its_own_somebody_counts_every_two_seconds(reference: Reference) -> None:
    chunks = Chunks(reference.features, repeat_s=2.0)
    one = crowd(1, seed=0)[0]
    filled = [
        chunks.update(FaceObservation(k / 10, "ann", one.embedding[0], one.probabilities[0], one.measures[0]))
        for k in range(1000)
    ]
    assert sum(chunk is not None for chunk in filled) == 1


def test_every_block_of_a_chunk_counts_alike(reference: Reference) -> None:
    faces, _ = crowd(CHUNK_BLOCKS, seed=1)
    chunks = Chunks(reference.features)
    filled = None
    for k in range(CHUNK_BLOCKS):
        for repeat in range(5 if k == 0 else 1):  # the first one stays for five seconds
            t_s = repeat if k == 0 else 4.0 + k
            face = FaceObservation(float(t_s), str(k), faces.embedding[k], faces.probabilities[k], faces.measures[k])
            filled = chunks.update(face)
    assert filled is not None
    assert filled.mean == pytest.approx(reference.features(faces).astype(np.float64).mean(0), abs=1e-6)
    assert filled.confidence == pytest.approx(faces.probabilities.max(1), abs=1e-6)
    assert filled.faces is None


# --- features and detectors ---------------------------------------------------------------------


def test_the_embedding_detector_estimates_the_discrepancy_of_a_gaussian_kernel(reference: Reference) -> None:
    first, _ = crowd(300, seed=1)
    second, _ = crowd(300, seed=2, shift=2.0)
    features = reference.features
    gap = random_features(features(first).astype(np.float64).mean(0) - features(second).astype(np.float64).mean(0))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        squares = ((a[:, None].astype(np.float64) - b) ** 2).sum(2)
        return float(np.exp(-squares / (2 * features.width**2)).mean())

    one, other = first.embedding, second.embedding
    exact = kernel(one, one) + kernel(other, other) - 2 * kernel(one, other)
    assert float(gap @ gap) == pytest.approx(exact, rel=0.2)


def test_the_kernel_is_as_wide_as_two_faces_are_apart() -> None:
    faces, _ = crowd(300, seed=1)
    distances = np.linalg.norm(faces.embedding[:, None] - faces.embedding, axis=2)
    assert FeatureMap.fit(faces).width == pytest.approx(np.median(distances[np.triu_indices(300, 1)]), rel=1e-3)


def test_faces_that_are_all_alike_make_features_that_are_numbers() -> None:
    faces, _ = crowd(1, seed=1)
    alike = faces.take(np.zeros(50, np.int64))
    features = FeatureMap.fit(alike)
    assert features.width == 1
    assert np.isfinite(features(alike)).all()
    assert features(alike).shape == (50, FEATURES)


def test_means_of_features_are_distribution_functions_and_averages(reference: Reference) -> None:
    faces, _ = crowd(2000, seed=3)
    mean = reference.features(faces).astype(np.float64).mean(0)
    shares = distribution(mean, ("brightness", "confidence", "turn"))
    grid = reference.features.grid
    assert shares[0, 19] == pytest.approx((faces.measures[:, 0] <= grid[12, 19]).mean(), abs=1e-5)
    assert np.isnan(shares[2]).all()  # nobody knows the pose here
    assert averages(mean)["brightness"] == pytest.approx(faces.measures[:, 0].mean(), rel=1e-4)
    assert averages(mean)["confidence"] == pytest.approx(faces.probabilities.max(1).mean(), rel=1e-4)
    assert "turn" not in averages(mean)


@few
@given(st.integers(0, 10_000))
def test_the_nearest_mix_is_the_planted_one(seed: int) -> None:
    faces, _ = crowd(2000, seed=0)
    features = FeatureMap.fit(faces)
    baseline = Baseline.of(features(faces), faces.probabilities)
    shares = np.random.default_rng(seed).dirichlet(np.full(7, 1.0))
    others, labels = crowd(2000, seed=seed + 1, shares=shares)
    found = baseline.nearest_mix(features(others).astype(np.float64).mean(0))
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx(np.bincount(labels, minlength=7) / 2000, abs=0.06)


def test_chi_square_agrees_with_scipy(reference: Reference) -> None:
    from scipy.stats import chisquare

    faces, _ = crowd(200, seed=5)
    mean = reference.features(faces).astype(np.float64).mean(0)
    detector = make_detectors(reference.baseline)[DETECTORS.index("expressions")]
    detector.update(Window(0, 1, 200, mean, EVEN))
    counts = np.bincount(faces.probabilities.argmax(1), minlength=7)
    expected = 200 * reference.baseline.overall[-14:-7]
    assert detector.reading is not None
    assert detector.reading.score == pytest.approx(chisquare(counts, expected / expected.sum() * 200).statistic, rel=1e-3)


def test_distances_agree_with_scipy() -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import kstwo

    first, second = np.random.default_rng(0).dirichlet(np.ones(7), 2)
    assert jensen_shannon(first, second) == pytest.approx(jensenshannon(first, second, 2) ** 2)
    assert jensen_shannon(first, first) == 0
    assert ks_p_value(0.08, 500) == pytest.approx(kstwo.sf(0.08, 500), rel=0.1)
    even = (np.arange(39) + 1) / 40
    assert stability_index(even, even) == 0
    moved = np.clip(even + 0.05, 0, 1)  # the lowest tenth has half as many again, the highest half as many
    assert stability_index(moved, even) == pytest.approx(0.05 * np.log(1.5) + 0.05 * np.log(2), abs=1e-9)
    assert math.isfinite(stability_index(np.zeros(39), even))


def test_the_detectors_stand_in_their_order(reference: Reference) -> None:
    detectors = make_detectors(reference.baseline)
    assert tuple(detector.name for detector in detectors) == DETECTORS
    assert all(detector.reading is None for detector in detectors)


def test_what_is_measured_of_a_picture() -> None:
    dark = np.full((2, 48, 48), 30, np.uint8)
    dark[1, 24:] = 90
    detection = Detection(Box(0, 0, 80.0, 90.0), 0.9, CANONICAL_LANDMARKS * 3)
    found = dict(zip(MEASURES, measure(dark, [detection, None]).T, strict=True))
    assert found["brightness"].tolist() == [30, 60]
    assert found["contrast"].tolist() == [0, 30]
    assert found["face_size_px"][0] == 80
    assert abs(found["turn"][0]) < 0.05
    assert abs(found["nod"][0]) < 0.05
    assert found["tilt_deg"][0] == pytest.approx(0, abs=0.1)
    assert all(np.isnan(found[name][1]) for name in ("face_size_px", "turn", "nod", "tilt_deg"))
    assert measure(dark[:0]).shape == (0, len(MEASURES))


def test_a_turned_head_turns_the_measure() -> None:
    turned = CANONICAL_LANDMARKS.copy()
    turned[2, 0] += 5
    assert pose_measures(turned[None])[0, 0] == pytest.approx(2 * 5 / 17.4, abs=0.02)


# --- limits -------------------------------------------------------------------------------------


def test_limits_rise_with_the_promise_and_keep_it_where_they_were_simulated(reference: Reference) -> None:
    calibration, rule = reference.calibrations["all"], Persistence(3, 4)
    levels = [calibration.level(windows, rule) for windows in (5, 20, 80, 1000, 100_000)]
    assert levels == sorted(levels)
    assert len(set(levels)) == 5
    surprises = np.stack([calibration._surprises(j, calibration.scores[:, :, j].ravel()) for j in range(5)], 1)
    flags = surprises.reshape(calibration.scores.shape) >= calibration.level(40, rule)
    assert _alarms(flags, rule) <= flags[:, :, 0].size / 40


def test_a_stricter_rule_needs_a_lower_limit(reference: Reference) -> None:
    levels = [reference.calibrations["all"].level(100, Persistence(m, 4)) for m in (1, 2, 3, 4)]
    assert levels == sorted(levels, reverse=True)


@few
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_alarms_are_counted_as_the_monitor_raises_them(seed: int, m: int) -> None:
    flags = np.random.default_rng(seed).random((3, 200, 5)) < 0.15
    rule = Persistence(m, 4)
    expected = 0
    for run in flags:
        persistent = Persistent(rule, 5)
        for row in run:
            if persistent.update(row).any():
                expected += 1
                persistent.reset()
    assert _alarms(flags, rule) == expected


def test_simulations_repeat_by_their_seed() -> None:
    faces, _ = crowd(500, seed=0)
    values = FeatureMap.fit(faces)(faces)
    first, second, third = (done(calibrate(values, faces.probabilities, None, 2, 10, seed))["all"].scores for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_stretches_of_a_stream_that_wanders_are_allowed_for() -> None:
    faces, _ = crowd(2000, seed=0)
    light = np.repeat(np.random.default_rng(0).normal(0, 30, 40), 50)
    faces.measures[:, 0] += light.astype(np.float32)
    values = FeatureMap.fit(faces)(faces)
    groups = [np.arange(k, k + 50) for k in range(0, 2000, 50)]
    at = DETECTORS.index("quality")
    alone = done(calibrate(values, faces.probabilities, None, 8, 40))["all"].scores[:, :, at]
    in_stretches = done(calibrate(values, faces.probabilities, groups, 8, 40))["all"].scores[:, :, at]
    assert np.median(in_stretches) > 1.5 * np.median(alone)


@pytest.mark.parametrize(("m", "n"), [(0, 4), (5, 4), (1, 0)])
def test_rules_that_cannot_be_are_refused(m: int, n: int) -> None:
    with pytest.raises(UsageError):
        Persistence(m, n)


def test_a_surprise_is_what_it_says(reference: Reference) -> None:
    scores = reference.calibrations["all"].scores[:, :, 0].ravel()
    assert reference.calibrations["all"].surprise(0, float(np.quantile(scores, 0.9))) == pytest.approx(1, abs=0.02)
    assert reference.calibrations["all"].surprise(0, float(scores.min()) - 1) == pytest.approx(0, abs=0.01)
    far = [reference.calibrations["all"].surprise(0, score) for score in (0.1, 0.2, 0.4)]
    assert far == sorted(far)
    assert all(math.isfinite(value) for value in far)


# --- references from streams, and those that cannot be ------------------------------------------


def test_a_stream_is_held_against_its_own_start(reference: Reference) -> None:
    other = {"shift": 3.0, "darker": 2.0}  # a camera that the reference does not know
    start = list(stream(crowd(2500, seed=1, **other)[0], step_s=2.0))
    own = Reference.from_stream(start, reference, source="camera 0", runs=12, steps=80)
    assert own.faces == 2500
    assert np.isnan(own.label_shares).all()
    assert own.dataset_hash == ""
    against_data = verdicts(monitor_of(reference), stream(crowd(400, seed=2, **other)[0]))[-1]
    assert {"embedding", "quality"} <= set(against_data.lasting)
    monitor = monitor_of(own)
    assert not verdicts(monitor, stream(crowd(1000, seed=3, **other)[0]))[-1].lasting
    darker = crowd(600, seed=4, shift=3.0, darker=3.5)[0]
    assert "quality" in verdicts(monitor, stream(darker, start_s=1000, name="m"))[-1].lasting


def test_too_short_a_start_is_refused(reference: Reference) -> None:
    with pytest.raises(DataError, match="Start from more minutes"):
        Reference.from_stream(list(stream(crowd(700, seed=1)[0])), reference, source="camera 0")


def test_too_few_faces_and_broken_answers_make_no_reference() -> None:
    faces, labels = crowd(399, seed=0)
    with pytest.raises(DataError, match="399 faces make no reference"):
        reference_of(faces, labels)
    faces, labels = crowd(500, seed=0)
    faces.embedding[3, 3] = np.nan
    with pytest.raises(DataError, match="not all numbers"):
        reference_of(faces, labels)


# --- estimated accuracy and change points -------------------------------------------------------


def spoilt(family: str, shift: float, features: FeatureMap) -> Condition:
    """Return a condition in which the model is wrong the more, the further the embeddings are moved."""
    faces, _ = crowd(600, seed=11, shift=shift)
    correct = np.random.default_rng(12).random(600) < 0.9 - 0.2 * shift
    return Condition(family, random_features(features(faces).astype(np.float64)).astype(np.float32), correct, 0.9)


def test_accuracy_is_learnt_where_confidence_is_blind(reference: Reference) -> None:
    features = reference.features
    shifts = {"": 0.0, "a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    model = fit_accuracy(spoilt(family, shift, features) for family, shift in shifts.items())
    assert model.errors["new_photographs_within"] > 0.8
    assert model.errors["confidence_within"] == 0
    assert model.errors["new_photographs_p90"] <= model.errors["new_damage_p90"]
    for shift in (0.0, 2.0, 4.0):
        mean = features(crowd(2000, seed=50, shift=shift)[0]).astype(np.float64).mean(0)
        estimate = EstimatedAccuracy(model)
        estimate.update(Window(0, 1, 200, mean, EVEN))
        assert estimate.accuracy == pytest.approx(0.9 - 0.2 * shift, abs=0.08)
        assert estimate.confidence == averages(mean)["confidence"]


def test_without_a_model_only_confidence_is_known(reference: Reference) -> None:
    estimate = EstimatedAccuracy(None)
    assert estimate.accuracy is None
    estimate.update(Window(0, 1, 200, reference.baseline.overall, EVEN))
    assert estimate.accuracy is None
    assert estimate.confidence is not None


def test_an_estimate_stays_between_nothing_and_everything() -> None:
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
    assert 1000 <= adwin.since_s <= adwin.noticed_s  # it dates by halves of what it remembers


def test_no_change_is_dated_where_there_is_none_and_nan_is_passed_over() -> None:
    random = np.random.default_rng(1)
    watch = ChangePoints("confidence", 0.7, 0.2, 1e6)
    for k in range(5000):
        watch.update(float(k), math.nan if k % 7 == 0 else float(random.normal(0.7, 0.2)))
    assert watch.found == ()


def test_page_hinkleys_threshold_is_about_as_rare_as_it_says() -> None:
    from river.drift import PageHinkley

    random = np.random.default_rng(2)
    test = PageHinkley(min_instances=100, delta=0.25, threshold=page_hinkley_threshold(2000), mode="both")
    alarms = 0
    for value in random.normal(size=100_000):
        test.update(float(value))
        alarms += test.drift_detected
    assert 20 <= alarms <= 80  # 50 are expected; the running mean and the start make it an approximation


def test_batches_are_put_together_and_taken_apart() -> None:
    faces, _ = crowd(10, seed=0)
    again = FaceBatch.join([faces.take(np.arange(4)), FaceBatch.of(list(stream(faces))[4:])])
    assert len(again) == 10
    assert np.array_equal(again.embedding, faces.embedding)
    assert again.embedding.shape == (10, DEPTH)
