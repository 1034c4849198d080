"""What is published of a lesson's bins: bounds of contributions, noise, suppression, means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.errors import UsageError
from mien.privacy.lesson_bins import (
    LESSON_BUDGET,
    MAX_SIGNALS,
    SIGNALS,
    Contribution,
    LessonPlan,
    PublishedBin,
    publish,
    vector,
    view,
)

PLAN = LessonPlan(bin_s=30, bins=12)
WITHOUT = LessonPlan(bin_s=30, bins=12, expressions=False)
seconds = st.floats(0, 1e6, allow_nan=False)


def full(label: str, facing_s: float = 30.0, measured_s: float = 30.0, signal: int = -1) -> Contribution:
    return Contribution(measured_s, facing_s, tuple(measured_s * (name == label) for name in EMOTIONS), signal)


def components(plan: LessonPlan, contribution: Contribution | None) -> np.ndarray:
    """What a person adds to all sums but the signals, as the docstring of the module says it; None has not joined."""
    rest = np.zeros(2 + len(plan.categories))
    if contribution is not None and (row := vector(plan, contribution)) is not None:
        rest = np.array(row) / 1000
    return np.array([math.sqrt(0.75) * (contribution is not None), *rest])


@given(st.tuples(seconds, seconds, st.tuples(*[seconds] * 7)), st.tuples(seconds, seconds, st.tuples(*[seconds] * 7)))
@settings(max_examples=300, deadline=None)
def test_no_two_contributions_differ_by_more_than_the_sensitivity(one: tuple, other: tuple) -> None:
    for plan in (PLAN, WITHOUT):
        a, b = (components(plan, Contribution(m, f, e if plan.expressions else ())) for m, f, e in (one, other))
        for x, y in ((a, b), (a, components(plan, None)), (b, components(plan, None))):
            assert np.sum((x - y) ** 2) <= plan.sensitivity + 0.01  # shares are rounded to a thousandth


def test_the_sensitivity_is_reached_so_it_is_not_larger_than_it_must_be() -> None:
    a, b = components(PLAN, full("happy", 30)), components(PLAN, full("sad", 0))
    assert np.sum((a - b) ** 2) == pytest.approx(PLAN.sensitivity)
    assert np.sum((a - components(PLAN, None)) ** 2) == pytest.approx(PLAN.sensitivity)


@pytest.mark.parametrize("bins", [1, 3, 12, 60])
@pytest.mark.parametrize("plan", [PLAN, WITHOUT])
def test_all_bins_of_a_lesson_cost_the_budget_and_no_more(bins: int, plan: LessonPlan) -> None:
    plan = LessonPlan(bin_s=30, bins=bins, expressions=plan.expressions)
    faces = bins * plan.sensitivity / (2 * plan.noise**2)
    signals = 2 * min(MAX_SIGNALS, bins) / (2 * plan.signal_noise**2)
    assert faces + signals == pytest.approx(LESSON_BUDGET)


def test_the_noise_is_what_is_said() -> None:
    people = [full("happy", signal=0)] * 40 + [full("sad", facing_s=0)] * 20
    rows = [publish(PLAN, 0, 70, people, seed.to_bytes(32)) for seed in range(400)]
    found = np.array([(row.people, row.measured, row.facing, *row.expressions, *row.signals) for row in rows])
    happy, sad = 3 + EMOTIONS.index("happy"), 3 + EMOTIONS.index("sad")
    means, spread = found.mean(axis=0), found.std(axis=0)
    for place, true in ((0, 70), (1, 60), (2, 40), (happy, 40), (sad, 20), (10, 40), (11, 0)):
        assert abs(means[place] - true) < 4 * spread[place] / 20, place
    assert spread[1] == pytest.approx(PLAN.noise, rel=0.12)
    assert spread[happy] == pytest.approx(PLAN.noise, rel=0.12)
    assert spread[10] == pytest.approx(PLAN.signal_noise, rel=0.12)
    assert abs(np.corrcoef(found[:, 1], found[:, happy])[0, 1]) < 0.2  # independent


def test_each_bin_has_new_noise_and_the_same_seed_the_same() -> None:
    people = [full("happy")] * 30
    assert publish(PLAN, 0, 30, people, b"a" * 32) == publish(PLAN, 0, 30, people, b"a" * 32)
    assert publish(PLAN, 0, 30, people, b"a" * 32) != publish(PLAN, 0, 30, people, b"b" * 32)


def test_small_groups_are_not_published() -> None:
    shown = [publish(PLAN, 0, 1, [full("happy")], seed.to_bytes(32)) for seed in range(300)]
    # one person: noise alone reaches ten at times, and the budget covers that
    assert sum(row.people is None for row in shown) > 255
    assert sum(row.measured is not None for row in shown) < 10
    for row in shown:
        assert row.people is None or row.people >= PLAN.k
        assert row.measured is None or row.measured >= PLAN.k
        if row.people is None:
            assert row == PublishedBin(0)


def test_people_who_were_measured_for_less_than_half_a_bin_are_not_counted_as_measured() -> None:
    assert vector(PLAN, full("happy", 14, 14.9)) is None
    assert vector(PLAN, full("happy", 15, 15.0)) == (1000, 500, 0, 0, 0, 1000, 0, 0, 0)
    assert vector(PLAN, Contribution(20.0, 10.0, (0.0,) * 7)) is None


def test_lies_count_as_one_person() -> None:
    assert vector(PLAN, full("happy", 1e9, 1e9)) == (1000, 500, 0, 0, 0, 1000, 0, 0, 0)


def test_views_are_shares_and_means_have_less_noise() -> None:
    row = PublishedBin(0, 31.4, (3.2, -1.0, 0.4), 20.0, 15.0, (-2.0, 0.0, 0.0, 15.0, 5.0, 1.0, 1.0))
    one = view(PLAN, [row])
    assert sum(one.expressions) == pytest.approx(1, abs=0.005)
    assert min(one.expressions) >= 0
    assert (one.people, one.measured, one.facing, one.signals) == (31, 20, 0.75, (3, 0, 0))
    assert one.error == pytest.approx(min(1, 1.96 * PLAN.noise / 20), abs=0.001)
    four = view(PLAN, [row] * 4)
    assert four.expressions == one.expressions
    assert four.error == pytest.approx(1.96 * PLAN.noise / 40, abs=0.001)
    assert view(PLAN, [row, PublishedBin(1)]).expressions == one.expressions
    assert view(PLAN, [PublishedBin(1)]).people is None
    hidden = view(PLAN, [PublishedBin(2, 31.0, (12.0, 0.0, 0.0))])
    assert (hidden.people, hidden.measured, hidden.signals) == (31, None, (12, 0, 0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bin_s": 29}, "30"),
        ({"bins": 0}, "1 to"),
        ({"k": 9}, "10 to"),
        ({"budget": 3.0}, "budget"),
        ({"bins": 10_000}, "longer"),
    ],
)
def test_plans_out_of_range_are_refused(change: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        LessonPlan(**change)


def test_a_person_signals_once_in_a_bin() -> None:
    assert len(SIGNALS) == 3
    row = publish(LessonPlan(bins=1, budget=2.0), 0, 5000, [full("happy", signal=1)] * 5000, b"x" * 32)
    assert row.signals is not None
    assert abs(row.signals[1] - 5000) < 30
    assert abs(row.signals[0]) < 30
