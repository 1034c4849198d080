"""Drift detection on synthetic streams with and without drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drifting import MORE_HAPPY, WINDOW, make_faces, monitor_of, reference_of, stream, verdicts

from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError
from mien.monitoring.chunks import CHUNK_BLOCKS, GAP_S, WINDOW_CHUNKS, Chunks
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import FaceObservation
from mien.monitoring.reference import Reference
from mien.monitoring.trigger import DriftTrigger


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(*make_faces(1600, seed=0))


# --- whole streams ------------------------------------------------------------------------------


def test_a_stream_without_drift_keeps_the_false_alarm_interval(reference: Reference) -> None:
    trigger = DriftTrigger(reference, cooldown_h=WINDOW / 3600)
    found = verdicts(monitor_of(reference), stream(make_faces(40_000, seed=1)[0]))
    assert len(found) == 40_000 // CHUNK_BLOCKS - WINDOW_CHUNKS + 1
    for verdict in found:
        trigger.update(verdict)
    assert len(trigger.events) <= 5  # 797 windows, two expected alarms; more than five occur in one of 60 streams


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
def test_planted_drift_is_detected_with_its_cause(reference: Reference, planted: dict, detector: str, cause: str) -> None:
    monitor, trigger = monitor_of(reference), DriftTrigger(reference)
    before = verdicts(monitor, stream(make_faces(400, seed=2)[0]))
    after = verdicts(monitor, stream(make_faces(500, seed=3, **planted)[0], start_s=400, name="m"))
    assert not any(trigger.update(verdict) for verdict in before)
    events = [event for verdict in after if (event := trigger.update(verdict))]
    assert len(events) == 1
    assert detector in after[-1].flagged
    assert events[0].cause == cause
    assert events[0].since_s <= 400 + 2 * CHUNK_BLOCKS
    assert events[0].t_s <= 900


def test_other_expressions_are_not_attributed_to_the_picture(reference: Reference) -> None:
    found = verdicts(monitor_of(reference, windows=4000), stream(make_faces(3000, seed=4, shares=MORE_HAPPY)[0]))
    pictures = [verdict for verdict in found if {"embedding", "components", "quality"} & set(verdict.persistent)]
    assert not pictures
    assert all("expressions" in verdict.flagged for verdict in found)
    assert np.mean([verdict.mix[EMOTIONS.index("happy")] for verdict in found]) == pytest.approx(0.4, abs=0.05)


def test_the_same_stream_gives_the_same_verdicts(reference: Reference) -> None:
    faces = make_faces(450, seed=5)[0]
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
    assert verdicts(monitor, stream(make_faces(WINDOW - 1, seed=6)[0])) == []
    assert monitor.waiting == 1
    assert DriftTrigger(reference).exit_code == 0


def test_a_reference_may_have_a_single_class() -> None:
    only = np.eye(7)[3]
    reference = reference_of(*make_faces(800, seed=0, shares=only))
    assert reference.label_shares.tolist() == only.tolist()
    monitor = monitor_of(reference)
    assert not verdicts(monitor, stream(make_faces(400, seed=1, shares=only)[0]))[-1].persistent
    monitor.restart()
    assert "expressions" in verdicts(monitor, stream(make_faces(600, seed=2)[0]))[-1].persistent


def test_nan_and_infinity_are_ignored_and_counted(reference: Reference) -> None:
    monitor = monitor_of(reference)
    faces = make_faces(400, seed=7)[0]
    faces.probabilities[5] = np.nan
    faces.embedding[6] = np.inf
    found = verdicts(monitor, stream(faces))
    assert monitor.unread == 2
    assert len(found) == 4  # 398 faces fill seven chunks
    assert all(math.isfinite(surprise) for verdict in found for surprise in verdict.surprises.values())


def test_unknown_measures_are_not_compared(reference: Reference) -> None:
    faces = make_faces(300, seed=8)[0]
    faces.measures[:] = np.nan
    verdict = verdicts(monitor_of(reference), stream(faces))[-1]
    assert verdict.results["quality"].score == 0
    assert verdict.stability == {}
    assert set(verdict.averages) == {"confidence", "entropy"}


def test_measures_unknown_in_the_reference_are_not_compared(reference: Reference) -> None:
    faces = make_faces(300, seed=8)[0]
    faces.measures[:, 3:] = 40.0
    verdict = verdicts(monitor_of(reference), stream(faces))[-1]
    assert set(verdict.stability) == {"brightness", "contrast", "sharpness"}


@pytest.mark.parametrize("jump_s", [-3600.0, GAP_S + 1])
def test_a_clock_jump_restarts_the_window(reference: Reference, jump_s: float) -> None:
    monitor = monitor_of(reference)
    verdicts(monitor, stream(make_faces(220, seed=9)[0], start_s=10_000))
    assert monitor.waiting == CHUNK_BLOCKS - 20
    assert verdicts(monitor, stream(make_faces(199, seed=10)[0], start_s=10_220 + jump_s, name="m")) == []
    assert monitor.breaks == 1
    verdict = monitor.update(next(stream(make_faces(1, seed=11)[0], start_s=10_420 + jump_s, name="x")))
    assert verdict is not None
    assert verdict.from_s == 10_220 + jump_s


def test_small_clock_corrections_are_tolerated(reference: Reference) -> None:
    monitor = monitor_of(reference)
    faces = list(stream(make_faces(200, seed=9)[0]))
    shaken = [
        FaceObservation(f.t_s - 0.4 * (k % 3), f.track_id, f.embedding, f.probabilities, f.measures) for k, f in enumerate(faces)
    ]
    assert len(verdicts(monitor, shaken)) == 1
    assert monitor.breaks == 0


@pytest.mark.parametrize(("hours", "faces"), [(0.0, 100.0), (-1.0, 100.0), (math.nan, 100.0), (1.0, math.inf), (1.0, 60.0)])
def test_invalid_false_alarm_intervals_are_refused(reference: Reference, hours: float, faces: float) -> None:
    with pytest.raises(UsageError):
        DriftMonitor(reference, hours, faces)


# --- blocks and chunks --------------------------------------------------------------------------


def test_one_person_at_thirty_frames_per_second_counts_once(reference: Reference) -> None:
    chunks = Chunks(reference.features)
    one = make_faces(1, seed=0)[0]
    for k in range(3000):
        face = FaceObservation(k / 30, "ann", one.embedding[0], one.probabilities[0], one.measures[0])
        assert chunks.update(face) is None
    assert chunks.waiting == 1


def test_a_track_counts_again_after_leaving_the_window(reference: Reference) -> None:
    chunks = Chunks(reference.features)
    faces = make_faces(CHUNK_BLOCKS * 5, seed=0)[0]
    ann = FaceObservation(0.0, "ann", faces.embedding[0], faces.probabilities[0], faces.measures[0])
    assert chunks.update(ann) is None
    for face in stream(faces, start_s=1):
        chunks.update(face)
        now = FaceObservation(face.t_s, "ann", ann.embedding, ann.probabilities, ann.measures)
        before = chunks.waiting
        chunks.update(now)
        if face.t_s <= CHUNK_BLOCKS * 4 - 2:
            assert chunks.waiting == before
    # five chunks of others, and Ann twice: at the start and three chunks later
    assert chunks.waiting == 2


def test_with_repeat_s_a_track_counts_every_two_seconds(reference: Reference) -> None:
    chunks = Chunks(reference.features, repeat_s=2.0)
    one = make_faces(1, seed=0)[0]
    filled = [
        chunks.update(FaceObservation(k / 10, "ann", one.embedding[0], one.probabilities[0], one.measures[0]))
        for k in range(1000)
    ]
    assert sum(chunk is not None for chunk in filled) == 1


def test_blocks_of_a_chunk_have_equal_weight(reference: Reference) -> None:
    faces, _ = make_faces(CHUNK_BLOCKS, seed=1)
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


# --- references from streams, and those that cannot be ------------------------------------------


def test_a_stream_is_compared_with_its_own_start(reference: Reference) -> None:
    other = {"shift": 3.0, "darker": 2.0}  # a camera unlike the reference
    start = list(stream(make_faces(2500, seed=1, **other)[0], step_s=2.0))
    own = Reference.from_stream(start, reference, source="camera 0", runs=12, steps=80)
    assert own.faces == 2500
    assert np.isnan(own.label_shares).all()
    assert own.dataset_hash == ""
    against_data = verdicts(monitor_of(reference), stream(make_faces(400, seed=2, **other)[0]))[-1]
    assert {"embedding", "quality"} <= set(against_data.persistent)
    monitor = monitor_of(own)
    assert not verdicts(monitor, stream(make_faces(1000, seed=3, **other)[0]))[-1].persistent
    darker = make_faces(600, seed=4, shift=3.0, darker=3.5)[0]
    assert "quality" in verdicts(monitor, stream(darker, start_s=1000, name="m"))[-1].persistent


def test_a_start_that_is_too_short_is_refused(reference: Reference) -> None:
    with pytest.raises(DataError, match=r"\b700\b"):
        Reference.from_stream(list(stream(make_faces(700, seed=1)[0])), reference, source="camera 0")


def test_too_few_or_invalid_faces_are_refused() -> None:
    faces, labels = make_faces(399, seed=0)
    with pytest.raises(DataError, match=r"\b399\b"):
        reference_of(faces, labels)
    faces, labels = make_faces(500, seed=0)
    faces.embedding[3, 3] = np.nan
    with pytest.raises(DataError, match="not finite"):
        reference_of(faces, labels)
