from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from factories import probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import Analyzer
from mien.emotions import EMOTIONS
from mien.privacy.deployment import Deployment
from mien.privacy.permit import NOT_PERMITTED, ExpressionPermit, permit_expressions
from mien.privacy.policy import decide
from mien.privacy.release import release
from mien.records import Box, Detection, FaceReading, FrameResult, HeadPose
from mien.states.answers import NOBODY, NOT_READ, Answer, Verdict
from mien.states.engine import GONE_S, KEPT, StateEngine
from mien.states.interventions import Intervention, Interventions
from mien.states.judge import Judge
from mien.states.rules import Rule, RuleSet
from mien.states.rules_file import parse_rules, read_rules
from mien.states.seen import Seeing
from mien.states.signals import AT, COLUMNS
from mien.states.windows import SLICE_S, Windows, slice_at

POLICY = decide()
PERMIT = permit_expressions(POLICY)
SCHOOL = decide(Deployment("education-institution", "EU", "feedback-to-the-learner", "a", "b", legal_basis="consent"))
RULES = """
[interventions]
max_per_hour = {per_hour}
[[rule]]
name = "away"
kind = "observable"
about = "picture"
text = "Head turned away"
window_s = 10
hold_s = {hold_s}
[rule.least]
watched_s = 6
face_s = 2
[[rule.condition]]
signal = "screen_share"
max = 0.3
stay_max = 0.5
[rule.intervention]
text = "Pause?"
after_s = {after_s}
cooldown_s = {cooldown_s}
[[rule]]
name = "gloom"
kind = "frustration"
about = "face"
text = "May be frustration"
window_s = 10
confidence_max = 0.25
evidence = "Weak."
literature = ["a"]
[rule.least]
watched_s = 4
read_s = 4
confidence = 0.5
[[rule.condition]]
signal = "angry_share + sad_share"
min = 0.6
stay_min = 0.4
[literature.a]
authors = "A"
year = 2000
title = "T"
found = "F."
"""


def rules(per_hour: int = 60, hold_s: float = 0, after_s: float = 0, cooldown_s: float = 10) -> RuleSet:
    return parse_rules(RULES.format(per_hour=per_hour, hold_s=hold_s, after_s=after_s, cooldown_s=cooldown_s), "x")


def face(
    name: str = "k3f9", label: str = "neutral", confidence: float = 0.9, yaw: float | None = 0.0, unread: str = ""
) -> FaceReading:
    row = np.full(7, np.nan, np.float32) if unread else probabilities(label, confidence)
    pose = None if yaw is None else HeadPose(yaw, 0, 0)
    return FaceReading(name, Detection(Box(0, 0, 60, 60), 0.9, None), row, row, "" if unread else label, 0.4, pose, unread)


def frame(t_s: float, faces: Sequence[FaceReading] = (), interval_s: float = 0.1) -> FrameResult:
    return FrameResult(round(t_s * 10), t_s, (640, 480), tuple(faces), interval_s)


def stream(seconds: float, faces: Sequence[FaceReading], start_s: float = 0.0, fps: float = 10) -> list[FrameResult]:
    return [frame(start_s + k / fps, faces, 1 / fps) for k in range(round(seconds * fps))]


def feed(engine: StateEngine, results: Iterable[FrameResult]) -> list[Intervention]:
    return [due for result in results for due in engine.update(result)]


def answer(engine: StateEngine, rule: str) -> Answer:
    (found,) = [each for each in engine.now if each.rule == rule]
    return found


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), max_size=60), st.sampled_from([1.0, 2.5, 10.0]))
def test_a_window_is_the_sum_of_its_slices_and_forgets_the_rest(steps: list[tuple[int, float]], window_s: float) -> None:
    windows, number, rows = Windows(10.0), 0, []
    for step, value in steps:
        number += step
        row = np.full(len(COLUMNS), value)
        rows.append((number, value))
        windows.add(number, row)
        row[:] = 99  # what was added must not change with its giver
    expected = sum(value for at, value in rows if at >= number - slice_at(window_s))
    assert windows.sums(number, window_s) == pytest.approx(np.full(len(COLUMNS), expected))
    assert len(windows._slices) <= 10 / SLICE_S + 1


@pytest.mark.parametrize("fps", [3, 10, 60])
def test_answers_depend_on_time_and_not_on_frames(fps: float) -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(5, [face(label="sad")], fps=fps))
    feed(engine, stream(20, [face(label="happy", yaw=60)], 5, fps=fps))
    facts = engine.facts()["rules"]
    assert facts["away"]["holds_s"] == pytest.approx(25 - 12, abs=1)  # at 12 s it was away for 70 % of ten seconds
    assert facts["gloom"]["holds_s"] == pytest.approx(11 - 4, abs=1)  # from 4 s of sad until at 11 s it is 40 % of ten
    assert facts["gloom"]["times"] == 1


def test_a_state_may_be_with_a_low_confidence_and_an_observable_is_seen() -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(11, [face(label="sad", yaw=60)]))
    gloom, away = answer(engine, "gloom"), answer(engine, "away")
    assert (gloom.verdict, gloom.text, gloom.track_id, gloom.kind) == (Verdict.HOLDS, "May be frustration", "k3f9", "frustration")
    assert gloom.confidence == pytest.approx(0.25 * 1 * 0.9)  # ceiling, all of the window read at 0.9, condition met to the end
    assert gloom.words == "May be frustration (22%)"
    assert (away.words, away.confidence) == ("Head turned away (100%)", pytest.approx(1))


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        ([], NOBODY),
        ([face(unread="too dark")], "only 0.0 of 4 s with a readable face"),
        ([face(label="sad", confidence=0.3)], "the readings' mean confidence is 0.30, below 0.5"),
    ],
)
def test_too_little_is_no_evidence_and_the_reason_is_said(faces: list[FaceReading], reason: str) -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(12, faces))
    gloom = answer(engine, "gloom")
    assert (gloom.verdict, gloom.reason, gloom.text, gloom.confidence) == (Verdict.NO_EVIDENCE, reason, "", 0)
    assert engine.facts()["rules"]["gloom"]["no_evidence_s"] == pytest.approx(11.5)


def test_a_pose_nobody_knows_is_no_evidence() -> None:
    text = RULES.format(per_hour=1, hold_s=0, after_s=0, cooldown_s=10).replace('"screen_share"', '"facing_share"')
    engine = StateEngine(parse_rules(text, "x"), PERMIT)
    feed(engine, stream(12, [face(yaw=None)]))
    assert answer(engine, "away").words == "no evidence: facing_share is not known"


def test_no_sign_is_said_with_the_value() -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(12, [face()]))
    assert answer(engine, "away").words == "no sign: screen_share is 1.00; needed: screen_share <= 0.3 (stays up to 0.5)"


def shares(screen: float, seconds: float = 10.0) -> np.ndarray:
    sums = np.zeros(len(COLUMNS))
    sums[[AT["watched"], AT["face"]]] = seconds
    sums[AT["toward"]] = screen * seconds
    return sums


def away(hold_s: float = 0) -> Rule:
    return rules(hold_s=hold_s).rules[0]


def test_a_value_at_the_bound_does_not_flicker() -> None:
    judge = Judge(away())
    values = [0.6, 0.4, 0.29, 0.4, 0.31, 0.49, 0.51, 0.4]
    assert [judge.update(shares(v), t, t).holds for t, v in enumerate(values)] == [
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


def test_conditions_must_hold_without_a_break() -> None:
    judge = Judge(away(hold_s=3))
    found = [judge.update(shares(v), t, t) for t, v in enumerate([0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1])]
    assert [each.holds for each in found] == [False] * 7 + [True] * 2
    assert [each.lasted_s for each in found[-2:]] == [0, 1]
    assert found[5].reason == "the conditions hold for 1.0 of 3 s"
    judge.interrupt()
    assert not judge.update(shares(0.1), 9, 9).holds


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 20))
def test_confidence_grows_with_the_margin_and_with_what_was_seen(a: float, b: float, seconds: float) -> None:
    low, high = sorted((a, b))
    sure, unsure = (Judge(away()).update(shares(screen, seconds), 0, 0) for screen in (low, high))
    if unsure.holds:
        assert sure.holds
        assert 0.3 <= unsure.confidence <= sure.confidence + 1e-9 <= 1 + 1e-9
        more = Judge(away()).update(shares(high, seconds + 1), 0, 0)
        assert more.confidence >= unsure.confidence - 1e-9


def test_a_gap_is_not_time_in_which_something_held() -> None:
    engine = StateEngine(rules(hold_s=5), PERMIT)
    feed(engine, stream(14, [face(yaw=60)]))
    assert answer(engine, "away").holds
    before = engine.facts()["rules"]["away"]["holds_s"]
    feed(engine, stream(1, [face(yaw=60)], start_s=60))
    assert answer(engine, "away").verdict is Verdict.NO_EVIDENCE  # of the last ten seconds nine were not seen
    assert engine.facts()["rules"]["away"]["holds_s"] - before <= 1.01
    feed(engine, stream(7, [face(yaw=60)], start_s=61))
    assert answer(engine, "away").reason.startswith("the conditions hold for")


def test_a_clock_that_runs_back_stands_still() -> None:
    straight, stepped = StateEngine(rules(), PERMIT), StateEngine(rules(), PERMIT)
    first, second = stream(8, [face(yaw=60)]), stream(8, [face(yaw=60)], start_s=8)
    feed(straight, [*first, *second])
    feed(stepped, [*first, *(replace(each, t_s=each.t_s - 1000) for each in second)])
    ours, theirs = answer(stepped, "away"), answer(straight, "away")
    assert (ours.holds, ours.confidence) == (theirs.holds, pytest.approx(theirs.confidence))
    assert ours.lasted_s == pytest.approx(theirs.lasted_s, abs=SLICE_S)
    assert ours.t_s == pytest.approx(theirs.t_s - 1000, abs=SLICE_S)


def test_a_clock_may_start_anywhere_and_leap_and_must_be_a_number() -> None:
    for start_s in (-1e6, 0.0, 1e9):
        engine = StateEngine(rules(), PERMIT)
        feed(engine, stream(12, [face(yaw=60)], start_s=start_s))
        assert answer(engine, "away").holds
        feed(engine, stream(12, [face(yaw=60)], start_s=start_s + 1e7))
        assert answer(engine, "away").holds
    with pytest.raises(ValueError, match="nan"):
        engine.update(replace(frame(0.0), t_s=math.nan))


def test_a_face_that_is_gone_is_forgotten_and_a_moment_is_not_gone() -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(10, [face("a", "sad")]))
    feed(engine, stream(GONE_S - 1, [], start_s=10))
    assert answer(engine, "gloom").track_id == "a"
    feed(engine, stream(2, [face("b", "sad")], start_s=10 + GONE_S - 1))
    assert [(each.track_id, each.verdict) for each in engine.now if each.rule == "gloom"] == [("b", Verdict.NO_EVIDENCE)]
    feed(engine, stream(GONE_S + 2, [], start_s=11 + GONE_S))
    assert answer(engine, "gloom").words == f"no evidence: {NOBODY}"


def test_each_face_has_its_own_answer() -> None:
    engine = StateEngine(rules(), PERMIT)
    feed(engine, stream(10, [face("a", "sad"), face("b", "happy"), face("c", unread="blurred")]))
    verdicts = {each.track_id: each.verdict for each in engine.now if each.rule == "gloom"}
    assert verdicts == {"a": Verdict.HOLDS, "b": Verdict.NO_SIGN, "c": Verdict.NO_EVIDENCE}
    assert [each.rule for each in engine.now] == ["away", "gloom", "gloom", "gloom"]


def test_memory_is_bounded_whoever_passes_by() -> None:
    wish = '[rule.intervention]\ntext = "A break?"\ncooldown_s = 10\n[literature.a]'
    text = RULES.format(per_hour=60, hold_s=0, after_s=0, cooldown_s=10).replace("[literature.a]", wish)
    engine = StateEngine(parse_rules(text, "x"), PERMIT)
    for k in range(2000):
        engine.update(frame(k / 10, [face(f"{k}-{n}") for n in range(3)]))
    assert len(engine._faces) <= KEPT
    assert len(engine._seeing._labels) <= 33
    for k in range(20):
        feed(engine, stream(8, [face(str(k), "sad")], start_s=200 + 10 * k))
    assert engine.facts()["rules"]["gloom"]["times"] == 20
    assert len(engine._interventions._done) <= 2


def test_rows_count_time_changes_and_reasons() -> None:
    seeing, total = Seeing(PERMIT), np.zeros(len(COLUMNS))
    for k, label in enumerate(["sad", "sad", "happy", "sad"]):
        picture, _ = seeing.update(frame(k / 2, [face("a", label), face("b", unread="too dark", yaw=60)], 0.5), k / 2)
        total += picture
    expected = {"watched": 2, "present": 2, "several": 2, "toward": 2, "face": 4, "posed": 4, "facing": 2, "unread": 2,
                "too dark": 2, "read": 2, "changes": 2, "sad": 1.5, "happy": 0.5, "confidence": 1.8}  # fmt: skip
    for name in set(COLUMNS) - {"valence", "arousal"}:
        assert total[AT[name]] == pytest.approx(expected.get(name, 0)), name
    seeing.update(frame(9, [face("a", "happy")]), 9)
    assert seeing.update(frame(11, [face("a", "sad")]), 11)[0][AT["changes"]] == 0  # what lay between was not seen


def test_without_a_permit_no_expression_is_looked_at() -> None:
    picture, faces = Seeing(None).update(frame(0, [face("a", "sad")]), 0)
    for row in (picture, *faces.values()):
        assert row[AT["face"]] == pytest.approx(0.1)
        assert not row[AT["read"] :].any()


def test_without_a_permit_no_state_is_judged_and_observables_are() -> None:
    seen = stream(12, [face(label="sad", yaw=60)])
    engine = StateEngine(rules(), None)
    feed(engine, seen)
    assert answer(engine, "gloom").words == f"no evidence: {NOT_READ}"
    assert answer(engine, "away").holds
    # what the pipeline and a policy of observables give
    hidden = [face(unread=NOT_PERMITTED, yaw=60)]
    released = StateEngine(rules(), permit_expressions(SCHOOL))
    for result in stream(12, hidden):
        released.update(release(SCHOOL, result))
    assert released.now == engine.now


def test_a_face_unread_for_want_of_a_permit_is_not_one_that_cannot_be_read() -> None:
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
def test_whatever_comes_answers_are_whole_and_bounded(results: list[FrameResult]) -> None:
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
        assert len(spans) == 1  # every second has one answer of each rule


@settings(max_examples=40, deadline=None)
@given(streams())
def test_observables_do_not_depend_on_expressions_or_on_who_may_read_them(results: list[FrameResult]) -> None:
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


def test_replayed_answers_are_the_same() -> None:
    results = [*stream(9, [face(label="sad", yaw=60)]), *stream(9, [face(label="angry")], 9)]
    once, twice = (StateEngine(rules(), PERMIT) for _ in range(2))
    assert feed(once, results) == feed(twice, results)
    assert (once.now, once.facts()) == (twice.now, twice.facts())


def toggled(engine: StateEngine, times: int, away_s: float = 12, back_s: float = 12) -> list[Intervention]:
    found, t_s = [], 0.0
    for _ in range(times):
        found += feed(engine, stream(away_s, [face(yaw=60)], t_s))
        found += feed(engine, stream(back_s, [face()], t_s + away_s))
        t_s += away_s + back_s
    return found


def test_a_rule_that_begins_to_hold_makes_one_suggestion() -> None:
    engine = StateEngine(rules(), PERMIT)
    (due,) = feed(engine, stream(200, [face(yaw=60)]))
    assert (due.rule, due.kind, due.message, due.wording, due.track_id) == (
        "away",
        "observable",
        "Pause?",
        "Head turned away",
        "",
    )
    assert due.t_s == pytest.approx(6, abs=1)
    assert len(toggled(StateEngine(rules(), PERMIT), 5)) == 5


def test_a_rule_must_have_held_for_a_while() -> None:
    (due,) = feed(StateEngine(rules(after_s=7), PERMIT), stream(60, [face(yaw=60)]))
    assert due.t_s == pytest.approx(13, abs=1)
    assert toggled(StateEngine(rules(after_s=30), PERMIT), 3) == []


def test_a_rule_keeps_silent_for_a_while_and_what_is_withheld_is_counted() -> None:
    engine = StateEngine(rules(cooldown_s=70), PERMIT)
    times = [due.t_s for due in toggled(engine, 10)]
    assert len(times) == 4
    assert all(b - a >= 70 for a, b in itertools.pairwise(times))
    facts = engine.facts()
    assert (facts["withheld"], facts["interventions_count"], len(facts["interventions"])) == (6, 4, 4)


def test_all_rules_together_have_a_limit_by_the_hour() -> None:
    assert toggled(StateEngine(rules(per_hour=0), PERMIT), 3) == []
    times = [due.t_s for due in toggled(StateEngine(rules(per_hour=2), PERMIT), 170)]  # an hour and eight minutes
    assert len(times) == 4
    assert times[2] - times[0] >= 3600


@given(st.lists(st.tuples(st.floats(0, 400), st.integers(0, 1), st.booleans()), max_size=80))
def test_limits_hold_whatever_happens(steps: list[tuple[float, int, bool]]) -> None:
    two = [replace(away(), name=name) for name in ("a", "b")]
    decides, clock_s, sent = Interventions(3), 0.0, []
    for step_s, which, holds in steps:
        clock_s += step_s
        verdict = Verdict.HOLDS if holds else Verdict.NO_SIGN
        found = decides.update(two[which], Answer(clock_s, two[which].name, "observable", "", verdict, "T", 0.5), clock_s)
        if found:
            sent.append(found)
    for each in sent:
        hour = [other for other in sent if 0 <= other.t_s - each.t_s < 3600]
        assert len(hour) <= 3
        again = [other.t_s for other in hour if other.rule == each.rule and other is not each]
        assert all(t_s - each.t_s >= 10 for t_s in again)


def test_an_intervention_is_an_event_as_it_is() -> None:
    due = Intervention(3.5, "away", "lost-attention", "k3f9", 0.123456, "Pause?", "Attention may be elsewhere")
    assert json.loads(json.dumps(due.details)) == {
        "rule": "away",
        "message": "Pause?",
        "kind": "lost-attention",
        "wording": "Attention may be elsewhere",
        "confidence": 0.123,
    }


@pytest.fixture(scope="module")
def clips() -> dict[str, list[FrameResult]]:
    """The frames of the shared clips, read once."""
    return {}


def clip(clips: dict[str, list[FrameResult]], shared: Path, name: str) -> list[FrameResult]:
    if name not in clips:
        path = shared / "media" / name
        if path.suffix == ".jpg":
            still = Analyzer().image(path)
            clips[name] = [replace(still, t_s=k / 2, interval_s=0.5) for k in range(4)]
        else:
            clips[name] = list(Analyzer().video(path))
    return clips[name]


def again(results: Sequence[FrameResult], seconds: float) -> list[FrameResult]:
    """Return the frames over and over for so many seconds."""
    length_s = results[-1].t_s - results[0].t_s + results[-1].interval_s
    return [replace(each, t_s=each.t_s + k * length_s) for k in range(math.ceil(seconds / length_s)) for each in results]


@pytest.mark.parametrize("name", ["sad_to_happy.mp4", "neutral_smile_neutral.mp4", "no_face.mp4"])
def test_as_they_are_the_clips_are_too_short_for_any_state(
    name: str, clips: dict[str, list[FrameResult]], shared: Path, yunet: Path
) -> None:
    engine = StateEngine(read_rules(), PERMIT)
    assert feed(engine, clip(clips, shared, name)) == []
    facts = engine.facts()["rules"]
    assert not any(rule["holds_s"] for rule in facts.values())
    assert facts["may-be-boredom"]["no_sign_s"] == 0
    if name == "sad_to_happy.mp4":  # twenty seconds are enough for the shortest windows
        assert answer(engine, "may-be-confusion").verdict is Verdict.NO_SIGN
        assert answer(engine, "nobody-in-view").verdict is Verdict.NO_SIGN


def test_over_and_over_the_clips_say_what_stands_in_the_documentation(
    clips: dict[str, list[FrameResult]], shared: Path, yunet: Path
) -> None:
    held = {}
    for name in ("sad_to_happy.mp4", "neutral_smile_neutral.mp4", "no_face.mp4", "five_faces.jpg"):
        engine = StateEngine(read_rules(), PERMIT)
        feed(engine, again(clip(clips, shared, name), 200))
        facts = engine.facts()["rules"]
        held[name] = {rule for rule in facts if facts[rule]["holds_s"]}
        assert facts["may-be-boredom"]["no_sign_s"] == facts["may-be-boredom"]["holds_s"] == 0
        if name != "no_face.mp4":
            assert answer(engine, "may-be-boredom").reason.startswith("boredom was not told from a neutral face")
            assert facts["may-be-confusion"]["no_sign_s"] > 100
    assert held == {
        "sad_to_happy.mp4": set(),
        "neutral_smile_neutral.mp4": set(),
        "no_face.mp4": {"nobody-in-view"},
        "five_faces.jpg": {"several-in-view"},
    }


def test_the_sad_seconds_alone_may_be_frustration_and_make_one_suggestion(
    clips: dict[str, list[FrameResult]], shared: Path, yunet: Path
) -> None:
    sad = [each for each in clip(clips, shared, "sad_to_happy.mp4") if each.faces[0].label == "sad"]
    seconds = [replace(each, t_s=k / 24) for k, each in enumerate(sad)]
    engine = StateEngine(read_rules(), PERMIT)
    (due,) = feed(engine, again(seconds, 120))
    assert (due.rule, due.wording, due.track_id) == ("may-be-frustration", "May be frustration", sad[0].faces[0].track_id)
    assert 0.05 < due.confidence <= 0.25
    assert due.t_s >= 30 + 3 + 10 - SLICE_S
    assert "may be\nfrustration" in (REPOSITORY / "docs" / "learning_states.md").read_text()


def test_a_dark_picture_is_said_to_be_dark(shared: Path, yunet: Path) -> None:
    from mien.live.decoder import read_picture

    picture = read_picture(shared / "media" / "five_faces.jpg")
    assert picture is not None
    still = Analyzer().image((picture // 12).astype(np.uint8))
    if not still.faces:
        pytest.fail("no face was found in the darkened photo")
    engine = StateEngine(read_rules(), PERMIT)
    dues = feed(engine, [replace(still, t_s=k / 4, interval_s=0.25) for k in range(200)])
    assert answer(engine, "too-dark").holds
    assert [due.rule for due in dues] == ["too-dark"]
    assert all(each.verdict is Verdict.NO_EVIDENCE for each in engine.now if each.rule == "may-be-confusion")


def test_the_permit_is_a_permit() -> None:
    assert isinstance(PERMIT, ExpressionPermit)
    assert permit_expressions(SCHOOL) is None
