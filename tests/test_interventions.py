"""Interventions: once per onset, delay, cooldown and hourly limit."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stating import PERMIT, away, face, feed, rules, stream

from mien.states.answers import RuleAnswer, Verdict
from mien.states.engine import StateEngine
from mien.states.interventions import Intervention, Interventions


def toggled(engine: StateEngine, times: int, away_s: float = 12, back_s: float = 12) -> list[Intervention]:
    found, t_s = [], 0.0
    for _ in range(times):
        found += feed(engine, stream(away_s, [face(yaw=60)], t_s))
        found += feed(engine, stream(back_s, [face()], t_s + away_s))
        t_s += away_s + back_s
    return found


def test_a_rule_causes_one_intervention_per_onset() -> None:
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


def test_an_intervention_waits_for_after_s() -> None:
    (due,) = feed(StateEngine(rules(after_s=7), PERMIT), stream(60, [face(yaw=60)]))
    assert due.t_s == pytest.approx(13, abs=1)
    assert toggled(StateEngine(rules(after_s=30), PERMIT), 3) == []


def test_cooldown_suppresses_and_counts_interventions() -> None:
    engine = StateEngine(rules(cooldown_s=70), PERMIT)
    times = [due.t_s for due in toggled(engine, 10)]
    assert len(times) == 4
    assert all(b - a >= 70 for a, b in itertools.pairwise(times))
    facts = engine.facts()
    assert (facts["withheld"], facts["interventions_count"], len(facts["interventions"])) == (6, 4, 4)


def test_all_rules_share_an_hourly_limit() -> None:
    assert toggled(StateEngine(rules(per_hour=0), PERMIT), 3) == []
    times = [due.t_s for due in toggled(StateEngine(rules(per_hour=2), PERMIT), 170)]  # 68 minutes
    assert len(times) == 4
    assert times[2] - times[0] >= 3600


@given(st.lists(st.tuples(st.floats(0, 400), st.integers(0, 1), st.booleans()), max_size=80))
def test_limits_always_hold(steps: list[tuple[float, int, bool]]) -> None:
    two = [replace(away(), name=name) for name in ("a", "b")]
    interventions, clock_s, sent = Interventions(3), 0.0, []
    for step_s, which, holds in steps:
        clock_s += step_s
        verdict = Verdict.HOLDS if holds else Verdict.NO_SIGN
        found = interventions.update(
            two[which], RuleAnswer(clock_s, two[which].name, "observable", "", verdict, "T", 0.5), clock_s
        )
        if found:
            sent.append(found)
    for each in sent:
        hour = [other for other in sent if 0 <= other.t_s - each.t_s < 3600]
        assert len(hour) <= 3
        repeated = [other.t_s for other in hour if other.rule == each.rule and other is not each]
        assert all(t_s - each.t_s >= 10 for t_s in repeated)


def test_details_of_an_intervention() -> None:
    due = Intervention(3.5, "away", "lost-attention", "k3f9", 0.123456, "Pause?", "Attention may be elsewhere")
    assert json.loads(json.dumps(due.details)) == {
        "rule": "away",
        "message": "Pause?",
        "kind": "lost-attention",
        "wording": "Attention may be elsewhere",
        "confidence": 0.123,
    }
