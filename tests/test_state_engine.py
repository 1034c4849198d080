"""Evaluation of rules: windows, evidence, hysteresis, changing faces, and permits."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from factories import probabilities
from hypothesis import given, settings
from hypothesis import strategies as st
from stating import PERMIT, POLICY, RULES, SCHOOL, answer, away, face, feed, frame, rules, stream

from mien.emotions import EMOTIONS
from mien.privacy.policy import NOT_PERMITTED, ExpressionPermit, permit_expressions
from mien.privacy.release import release
from mien.records import FaceReading, FrameResult
from mien.states.answers import NO_FACE, NOT_READ, Verdict
from mien.states.engine import FORGET_AFTER_S, MAX_FACES, StateEngine
from mien.states.judge import RuleEvaluator
from mien.states.rules_file import parse_rules, read_rules
from mien.states.seen import SignalExtractor
from mien.states.signals import AT, COLUMNS
from mien.states.windows import SLICE_S, Windows, slice_at


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), max_size=60), st.sampled_from([1.0, 2.5, 10.0]))
def test_a_window_is_the_sum_of_its_slices(steps: list[tuple[int, float]], window_s: float) -> None:
    windows, number, rows = Windows(10.0), 0, []
    for step, value in steps:
        number += step
        row = np.full(len(COLUMNS), value)
        rows.append((number, value))
        windows.add(number, row)
        row[:] = 99  # rows are copied
    expected = sum(value for at, value in rows if at >= number - slice_at(window_s))
    assert windows.sums(number, window_s) == pytest.approx(np.full(len(COLUMNS), expected))
    assert len(windows._slices) <= 10 / SLICE_S + 1


@pytest.mark.parametrize("fps", [3, 10, 60])
def test_results_do_not_depend_on_the_frame_rate(fps: float) -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(5, [face(label="sad")], fps=fps))
    feed(engine, stream(20, [face(label="happy", yaw=60)], 5, fps=fps))
    facts = engine.facts()["rules"]
    assert facts["away"]["holds_s"] == pytest.approx(25 - 12, abs=1)  # away for 70% of the window at 12 s
    assert facts["gloom"]["holds_s"] == pytest.approx(11 - 4, abs=1)  # from 4 s of sad to 40% of the window at 11 s
    assert facts["gloom"]["times"] == 1


def test_confidence_of_states_and_observables() -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(11, [face(label="sad", yaw=60)]))
    gloom, away = answer(engine, "gloom"), answer(engine, "away")
    assert (gloom.verdict, gloom.text, gloom.track_id, gloom.kind) == (Verdict.HOLDS, "May be frustration", "k3f9", "frustration")
    assert gloom.confidence == pytest.approx(0.25 * 1 * 0.9)  # maximum, window fully read at 0.9, largest margin
    assert gloom.words == "May be frustration (22%)"
    assert (away.words, away.confidence) == ("Head turned away (100%)", pytest.approx(1))


@pytest.mark.parametrize(
    ("faces", "named"),
    [
        ([], (NO_FACE,)),
        ([face(unread="too dark")], ("0.0", "4 s")),
        ([face(label="sad", confidence=0.3)], ("0.30", "0.5")),
    ],
)
def test_missing_evidence_has_a_reason(faces: list[FaceReading], named: tuple[str, ...]) -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(12, faces))
    gloom = answer(engine, "gloom")
    assert (gloom.verdict, gloom.text, gloom.confidence) == (Verdict.NO_EVIDENCE, "", 0)
    assert all(value in gloom.reason for value in named)
    assert engine.facts()["rules"]["gloom"]["no_evidence_s"] == pytest.approx(11.5)


def test_an_unknown_pose_is_no_evidence() -> None:
    text = RULES.format(per_hour=1, hold_s=0, after_s=0, cooldown_s=10).replace('"screen_share"', '"facing_share"')
    engine = StateEngine(parse_rules(text, "x"), PERMIT)
    feed(engine, stream(12, [face(yaw=None)]))
    assert answer(engine, "away").verdict is Verdict.NO_EVIDENCE
    assert "facing_share" in answer(engine, "away").reason


def test_no_sign_has_value_and_condition() -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(12, [face()]))
    found = answer(engine, "away")
    assert found.verdict is Verdict.NO_SIGN
    assert "1.00" in found.reason
    assert found.reason.endswith("screen_share <= 0.3 (stays up to 0.5)")


def shares(screen: float, seconds: float = 10.0) -> np.ndarray:
    sums = np.zeros(len(COLUMNS))
    sums[[AT["watched"], AT["face"]]] = seconds
    sums[AT["toward"]] = screen * seconds
    return sums


def test_bounds_have_hysteresis() -> None:
    evaluator = RuleEvaluator(away())
    values = [0.6, 0.4, 0.29, 0.4, 0.31, 0.49, 0.51, 0.4]
    assert [evaluator.update(shares(v), t, t).holds for t, v in enumerate(values)] == [
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


def test_conditions_must_hold_without_interruption() -> None:
    evaluator = RuleEvaluator(away(hold_s=3))
    found = [evaluator.update(shares(v), t, t) for t, v in enumerate([0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1])]
    assert [each.holds for each in found] == [False] * 7 + [True] * 2
    assert [each.lasted_s for each in found[-2:]] == [0, 1]
    assert "1.0 of 3 s" in found[5].reason
    evaluator.interrupt()
    assert not evaluator.update(shares(0.1), 9, 9).holds


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 20))
def test_confidence_increases_with_margin_and_coverage(a: float, b: float, seconds: float) -> None:
    low, high = sorted((a, b))
    sure, unsure = (RuleEvaluator(away()).update(shares(screen, seconds), 0, 0) for screen in (low, high))
    if unsure.holds:
        assert sure.holds
        assert 0.3 <= unsure.confidence <= sure.confidence + 1e-9 <= 1 + 1e-9
        more = RuleEvaluator(away()).update(shares(high, seconds + 1), 0, 0)
        assert more.confidence >= unsure.confidence - 1e-9


def test_a_gap_does_not_count_as_holding() -> None:
    engine = StateEngine(rules(hold_s=5), PERMIT)
    feed(engine, stream(14, [face(yaw=60)]))
    assert answer(engine, "away").holds
    before = engine.facts()["rules"]["away"]["holds_s"]
    feed(engine, stream(1, [face(yaw=60)], start_s=60))
    assert answer(engine, "away").verdict is Verdict.NO_EVIDENCE  # nine of the last ten seconds have no frames
    assert engine.facts()["rules"]["away"]["holds_s"] - before <= 1.01
    feed(engine, stream(7, [face(yaw=60)], start_s=61))
    assert answer(engine, "away").reason.endswith("of 5 s")


def test_a_backward_clock_stands_still() -> None:
    straight, stepped = StateEngine(rules(), PERMIT), StateEngine(rules(), PERMIT)
    first, second = stream(8, [face(yaw=60)]), stream(8, [face(yaw=60)], start_s=8)
    feed(straight, [*first, *second])
    feed(stepped, [*first, *(replace(each, t_s=each.t_s - 1000) for each in second)])
    ours, theirs = answer(stepped, "away"), answer(straight, "away")
    assert (ours.holds, ours.confidence) == (theirs.holds, pytest.approx(theirs.confidence))
    assert ours.lasted_s == pytest.approx(theirs.lasted_s, abs=SLICE_S)
    assert ours.t_s == pytest.approx(theirs.t_s - 1000, abs=SLICE_S)


def test_clocks_may_start_anywhere_and_jump_but_must_be_finite() -> None:
    for start_s in (-1e6, 0.0, 1e9):
        engine = StateEngine(rules(), PERMIT)
        feed(engine, stream(12, [face(yaw=60)], start_s=start_s))
        assert answer(engine, "away").holds
        feed(engine, stream(12, [face(yaw=60)], start_s=start_s + 1e7))
        assert answer(engine, "away").holds
    with pytest.raises(ValueError, match="nan"):
        engine.update(replace(frame(0.0), t_s=math.nan))


def test_a_face_is_forgotten_after_some_seconds_out_of_view() -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(10, [face("a", "sad")]))
    feed(engine, stream(FORGET_AFTER_S - 1, [], start_s=10))
    assert answer(engine, "gloom").track_id == "a"
    feed(engine, stream(2, [face("b", "sad")], start_s=10 + FORGET_AFTER_S - 1))
    assert [(each.track_id, each.verdict) for each in engine.now if each.rule == "gloom"] == [("b", Verdict.NO_EVIDENCE)]
    feed(engine, stream(FORGET_AFTER_S + 2, [], start_s=11 + FORGET_AFTER_S))
    assert answer(engine, "gloom").reason == NO_FACE


def test_each_face_has_its_own_result() -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(10, [face("a", "sad"), face("b", "happy"), face("c", unread="blurred")]))
    verdicts = {each.track_id: each.verdict for each in engine.now if each.rule == "gloom"}
    assert verdicts == {"a": Verdict.HOLDS, "b": Verdict.NO_SIGN, "c": Verdict.NO_EVIDENCE}
    assert [each.rule for each in engine.now] == ["away", "gloom", "gloom", "gloom"]


def test_memory_is_bounded_with_many_faces() -> None:
    intervention = '[rule.intervention]\ntext = "A break?"\ncooldown_s = 10\n[literature.a]'
    text = RULES.format(per_hour=60, hold_s=0, after_s=0, cooldown_s=10).replace("[literature.a]", intervention)
    engine = StateEngine(parse_rules(text, "x"), PERMIT)
    for k in range(2000):
        engine.update(frame(k / 10, [face(f"{k}-{n}") for n in range(3)]))
    assert len(engine._faces) <= MAX_FACES
    assert len(engine._signals._labels) <= 33
    for k in range(20):
        feed(engine, stream(8, [face(str(k), "sad")], start_s=200 + 10 * k))
    assert engine.facts()["rules"]["gloom"]["times"] == 20
    assert len(engine._interventions._done) <= 2


def test_rows_contain_time_changes_and_reasons() -> None:
    extractor, total = SignalExtractor(PERMIT), np.zeros(len(COLUMNS))
    for k, label in enumerate(["sad", "sad", "happy", "sad"]):
        picture, _ = extractor.update(frame(k / 2, [face("a", label), face("b", unread="too dark", yaw=60)], 0.5), k / 2)
        total += picture
    expected = {"watched": 2, "present": 2, "several": 2, "toward": 2, "face": 4, "posed": 4, "facing": 2, "unread": 2,
                "too dark": 2, "read": 2, "changes": 2, "sad": 1.5, "happy": 0.5, "confidence": 1.8}  # fmt: skip
    for name in set(COLUMNS) - {"valence", "arousal"}:
        assert total[AT[name]] == pytest.approx(expected.get(name, 0)), name
    extractor.update(frame(9, [face("a", "happy")]), 9)
    assert extractor.update(frame(11, [face("a", "sad")]), 11)[0][AT["changes"]] == 0  # the time between has no frames


def test_without_a_permit_expressions_are_not_used() -> None:
    picture, faces = SignalExtractor(None).update(frame(0, [face("a", "sad")]), 0)
    for row in (picture, *faces.values()):
        assert row[AT["face"]] == pytest.approx(0.1)
        assert not row[AT["read"] :].any()


def test_without_a_permit_only_observables_are_evaluated() -> None:
    seen = stream(12, [face(label="sad", yaw=60)])
    engine = StateEngine(rules(), None)
    feed(engine, seen)
    assert answer(engine, "gloom").reason == NOT_READ
    assert answer(engine, "away").holds
    # results under a policy of observables
    hidden = [face(unread=NOT_PERMITTED, yaw=60)]
    released = StateEngine(rules(), permit_expressions(SCHOOL))
    for result in stream(12, hidden):
        released.update(release(SCHOOL, result))
    assert released.now == engine.now


def test_a_face_without_a_permit_does_not_count_as_unread() -> None:
    text = RULES.format(per_hour=1, hold_s=0, after_s=0, cooldown_s=10).replace("max = 0.3\nstay_max = 0.5", "min = 0.5")
    text = text.replace('"screen_share"', '"unread_share"')
    for unread, holds in ((NOT_PERMITTED, False), ("too dark", True)):
        engine = StateEngine(parse_rules(text, "x"), None)
        feed(engine, stream(12, [face(unread=unread)]))
        assert answer(engine, "away").holds is holds


LABELS = st.sampled_from([*EMOTIONS, "unread"])


@st.composite
def streams(draw: st.DrawFn) -> list[FrameResult]:
    t_s, results = draw(st.floats(-10, 10)), []
    for _ in range(draw(st.integers(1, 12))):
        faces = []
        for name in draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3)):
            label, yaw = draw(LABELS), draw(st.sampled_from([None, 0.0, 60.0]))
            confidence = draw(st.floats(0.2, 1))
            faces.append(face(name, label, confidence, yaw) if label != "unread" else face(name, yaw=yaw, unread="too dark"))
        for _ in range(draw(st.integers(1, 40))):
            interval_s = draw(st.sampled_from([0.0, 0.1, 0.4, 1.0]))
            results.append(frame(t_s, faces, interval_s))
            t_s += interval_s
        t_s += draw(st.sampled_from([0, 0, 0, 0.7, 20, -5, -1000]))
    return results


@settings(max_examples=60, deadline=None)
@given(streams())
def test_results_are_complete_and_bounded(results: list[FrameResult]) -> None:
    for set_ in (rules(), read_rules()):
        engine = StateEngine(set_, PERMIT)
        ceilings = {rule.name: rule.confidence_max for rule in set_.rules}
        for result in results:
            engine.update(result)
            assert {each.rule for each in engine.now} == set(ceilings)
            for each in engine.now:
                assert (each.confidence > 0) is each.holds is bool(each.text) is not bool(each.reason)
                assert each.confidence <= ceilings[each.rule] + 1e-9
                assert each.lasted_s >= 0
        facts = engine.facts()
        json.dumps(facts, allow_nan=False)
        spans = {round(sum(facts["rules"][rule.name][key] for key in ("holds_s", "no_sign_s", "no_evidence_s")), 2)
                 for rule in set_.rules if rule.about == "picture"}  # fmt: skip
        assert len(spans) == 1  # every second has one result per rule


@settings(max_examples=40, deadline=None)
@given(streams())
def test_observables_do_not_depend_on_expressions_or_permits(results: list[FrameResult]) -> None:
    engines = [StateEngine(read_rules(), permit) for permit in (PERMIT, None)]
    relabelled = StateEngine(read_rules(), PERMIT)
    released = StateEngine(read_rules(), PERMIT)
    for result in results:
        for engine in engines:
            engine.update(result)
        happy = tuple(
            each if each.unread else replace(each, label="happy", smoothed=probabilities("happy", 1)) for each in result.faces
        )
        relabelled.update(replace(result, faces=happy))
        released.update(release(POLICY, result))
        seen = [[each for each in engine.now if each.kind == "observable"] for engine in (*engines, relabelled)]
        assert seen[0] == seen[1] == seen[2]
        assert [(e.rule, e.track_id, e.verdict) for e in released.now] == [
            (e.rule, e.track_id, e.verdict) for e in engines[0].now
        ]
        assert [e.confidence for e in released.now] == pytest.approx([e.confidence for e in engines[0].now], abs=1e-6)


def test_results_are_reproducible() -> None:
    results = [*stream(9, [face(label="sad", yaw=60)]), *stream(9, [face(label="angry")], 9)]
    once, twice = (StateEngine(rules(), PERMIT) for _ in range(2))
    assert feed(once, results) == feed(twice, results)
    assert (once.now, once.facts()) == (twice.now, twice.facts())


def test_permits_follow_the_policy() -> None:
    assert isinstance(PERMIT, ExpressionPermit)
    assert permit_expressions(SCHOOL) is None
