"""Aggregates of groups, attacked: no difference of what is published gives one person away.

Every measured attack is run against the same numbers without protection first, where it must
succeed: an attack that never works shows nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError
from mien.privacy.aggregates import GroupAggregates, GroupCell
from mien.privacy.noise import laplace, noise_key
from mien.privacy.suppression import check_nested, publishable

CHANCE = 1 / len(EMOTIONS)
KEY = b"k" * 32
NAMES = tuple(f"p{k:03d}" for k in range(200))


def people(count: int, start: int = 0) -> frozenset[str]:
    return frozenset(NAMES[start : start + count])


def show(aggregates: GroupAggregates, shown: Mapping[str, str], from_s: float, to_s: float, step_s: float = 1.0) -> None:
    for person, category in shown.items():
        for t_s in np.arange(from_s, to_s, step_s):
            aggregates.update(person, float(t_s), category, step_s)


def one_bin(groups: Mapping[str, frozenset[str]], shown: Mapping[str, str], key: bytes = KEY) -> dict[str, GroupCell]:
    aggregates = GroupAggregates(groups, EMOTIONS, key)
    show(aggregates, shown, 0, 30, 5.0)
    return {cell.group: cell for cell in aggregates.publish(30)}


# what is published, structurally


@st.composite
def nested_groups(draw: st.DrawFn) -> dict[str, frozenset[str]]:
    """Return a random family of nested and disjoint groups, up to 8 of them, with equal ones among them."""
    order = draw(st.permutations(range(60)))
    groups: dict[str, frozenset[str]] = {}

    def split(low: int, high: int, depth: int) -> None:
        if len(groups) >= 8 or high <= low:
            return
        groups[f"g{len(groups)}"] = frozenset(NAMES[order[i]] for i in range(low, high))
        if depth < 3:
            cuts = sorted(draw(st.lists(st.integers(low, high), min_size=2, max_size=3)))
            for a, b in itertools.pairwise(cuts):
                split(a, b, depth + 1)

    split(0, draw(st.integers(1, 60)), 0)
    return groups


@settings(max_examples=150, deadline=None)
@given(groups=nested_groups(), absent=st.integers(0, 25), k=st.sampled_from([5, 10]))
def test_no_sum_or_difference_of_published_groups_is_fewer_than_k_people(
    groups: dict[str, frozenset[str]], absent: int, k: int
) -> None:
    """Every combination with the factors -2 to 2 is tried, so with them all nested and overlapping queries."""
    away = frozenset(NAMES[7 * i % 60] for i in range(absent))
    present = {name: group - away for name, group in groups.items()}
    shown = sorted(publishable(present, k))
    assert all(len(present[name]) >= k for name in shown)
    everybody = sorted(frozenset().union(*present.values())) if present else []
    rows = np.array([[person in present[name] for person in everybody] for name in shown], int).reshape(
        len(shown), len(everybody)
    )
    factors = np.array(list(itertools.product((-2, -1, 0, 1, 2) if len(shown) <= 5 else (-1, 0, 1), repeat=len(shown))), int)
    counts = (factors @ rows != 0).sum(1)
    assert ((counts == 0) | (counts >= k)).all()


def test_what_the_small_rest_costs_is_the_smallest_group() -> None:
    school, large, small = people(45), people(25), people(16, 25)
    assert publishable({"school": school, "A": large, "B": small}, 10) == {"school", "A"}  # the rest of 4 would be bare
    assert publishable({"school": school, "A": large, "B": people(20, 25)}, 10) == {"school", "A", "B"}
    assert publishable({"school": school, "A": people(9)}, 10) == {"school"}
    assert publishable({"school": school, "twin": school, "A": people(36)}, 10) == {"school", "twin"}
    assert publishable({"A": people(9)}, 10) == frozenset()


def test_groups_that_overlap_are_refused() -> None:
    with pytest.raises(UsageError, match="share 15 people, and neither is part of the other"):
        GroupAggregates({"class": people(20), "chess club": people(20, 5)}, EMOTIONS, KEY)
    check_nested({"school": people(40), "class": people(20), "same": people(20), "other": people(20, 20), "nobody": people(0)})


@pytest.mark.parametrize(
    ("change", "said"), [({"bin_s": 29.9}, "30 s or more"), ({"k": 4}, "5 or more"), ({"bin_s": np.inf}, "30 s")]
)
def test_bins_and_groups_have_a_least_size(change: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        GroupAggregates({"class": people(20)}, EMOTIONS, KEY, **change)


def test_too_few_people_and_protecting_another_group_look_alike() -> None:
    everybody = people(30)
    cells = one_bin({"school": everybody, "A": people(21), "B": people(6, 21)}, dict.fromkeys(everybody, "happy"))
    assert cells["school"].shares is not None
    assert (cells["A"].people, cells["A"].shares) == (cells["B"].people, cells["B"].shares) == (0, None)


def test_nothing_about_a_person_comes_out() -> None:
    cells = one_bin({"class": people(20)}, dict.fromkeys(people(20), "sad"))
    assert [each.name for each in fields(GroupCell)] == ["group", "from_s", "to_s", "people", "shares"]
    assert not any(name in repr(cells) for name in NAMES)
    assert len(cells["class"].shares) == len(EMOTIONS)


# what is published, in numbers


def test_a_large_group_keeps_its_meaning() -> None:
    everybody = people(200)
    shown = {person: EMOTIONS[3] if k < 120 else EMOTIONS[4] for k, person in enumerate(sorted(everybody))}
    cell = one_bin({"course": everybody}, shown)["course"]
    assert cell.people == 200
    assert cell.shares == pytest.approx((0, 0, 0, 0.6, 0.4, 0, 0), abs=0.05)
    assert sum(cell.shares) == pytest.approx(1, abs=0.04)


def test_the_noise_is_what_is_said_of_it() -> None:
    values = np.array([laplace(KEY, {f"{k}"}, "happy", 1.0) for k in range(20_000)])
    assert np.mean(values) == pytest.approx(0, abs=0.04)
    assert np.mean(np.abs(values)) == pytest.approx(1, abs=0.03)  # of a Laplace distribution that is its scale
    assert np.quantile(values, 0.9) == pytest.approx(np.log(5), abs=0.08)
    assert laplace(KEY, ["b", "a"], "x", 1) == laplace(KEY, ["a", "b"], "x", 1)
    assert len({laplace(key, who, x, 1) for key in (KEY, b"z" * 32) for who in ("ab", ["ab"], "abc") for x in "xy"}) == 12


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    key = noise_key(tmp_path / "privacy")
    assert noise_key(tmp_path / "privacy") == key
    assert len(key) == 32
    assert (tmp_path / "privacy" / "noise.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "noise.key").write_bytes(b"short")
    with pytest.raises(DataError, match="not a key"):
        noise_key(tmp_path)


def test_who_is_seen_for_less_than_half_of_a_bin_does_not_count() -> None:
    aggregates = GroupAggregates({"class": people(12)}, EMOTIONS, KEY)
    show(aggregates, dict.fromkeys(people(9), "happy"), 0, 30)
    show(aggregates, dict.fromkeys(people(3, 9), "happy"), 0, 14)
    assert aggregates.publish(30)[0].shares is None
    show(aggregates, dict.fromkeys(people(9), "happy"), 30, 60)
    show(aggregates, dict.fromkeys(people(3, 9), "happy"), 30, 45)
    assert aggregates.publish(60)[1].people == 10


def test_strangers_to_all_groups_do_not_count() -> None:
    aggregates = GroupAggregates({"class": people(12)}, EMOTIONS, KEY)
    show(aggregates, dict.fromkeys(people(60), "happy"), 0, 30)
    assert aggregates.publish(30)[0].people == 10


# attacks; each guesses what one person showed


def unprotected(groups: Mapping[str, frozenset[str]], shown: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the exact number of people by category, as a naive program would publish it."""
    return {
        name: np.array([sum(shown[p] == category for p in group if p in shown) for category in EMOTIONS], float)
        for name, group in groups.items()
    }


def protected(groups: Mapping[str, frozenset[str]], shown: Mapping[str, str], key: bytes = KEY) -> dict[str, np.ndarray]:
    """Return the best estimate of the same numbers that a reader of the cells can make; sizes are taken to be known."""
    return {
        name: np.array(cell.shares) * len(groups[name] & shown.keys())
        for name, cell in one_bin(groups, shown, key).items()
        if cell.shares is not None
    }


Publisher = Callable[[Mapping[str, frozenset[str]], Mapping[str, str]], dict[str, np.ndarray]]
CLASS = people(24)
VICTIM = NAMES[0]


def guess_by_withdrawal(publisher: Publisher, shown: Mapping[str, str]) -> int:
    """The same class is published twice: before and after one person withdrew."""
    without = {person: category for person, category in shown.items() if person != VICTIM}
    return int((publisher({"class": CLASS}, shown)["class"] - publisher({"class": CLASS}, without)["class"]).argmax())


def guess_by_rival_groups(publisher: Publisher, shown: Mapping[str, str]) -> int:
    """Two publications, one of the class and one of "all but the first"."""
    whole = publisher({"class": CLASS}, shown)["class"]
    return int((whole - publisher({"most": CLASS - {VICTIM}}, shown)["most"]).argmax())


def guess_knowing_everybody_else(publisher: Publisher, shown: Mapping[str, str]) -> int:
    """The attacker knows what all others showed."""
    known = np.array([sum(shown[p] == category for p in CLASS - {VICTIM}) for category in EMOTIONS])
    return int((publisher({"class": CLASS}, shown)["class"] - known).argmax())


ATTACKS = (guess_by_withdrawal, guess_by_rival_groups, guess_knowing_everybody_else)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_that_works_on_exact_numbers_hardly_works_on_ours(
    attack: Callable[[Publisher, Mapping[str, str]], int],
) -> None:
    random = np.random.default_rng(5)
    rounds = 250
    naive = ours = 0
    for number in range(rounds):
        shown = {person: EMOTIONS[random.integers(len(EMOTIONS))] for person in CLASS}
        truth = EMOTIONS.index(shown[VICTIM])
        key = number.to_bytes(32)
        naive += attack(unprotected, shown) == truth
        ours += attack(lambda groups, who, key=key: protected(groups, who, key), shown) == truth
    assert naive == rounds
    assert ours / rounds < 0.33  # chance is 0.14


def test_nested_groups_never_publish_all_but_one() -> None:
    random = np.random.default_rng(6)
    for _ in range(20):
        shown = {person: EMOTIONS[random.integers(len(EMOTIONS))] for person in CLASS}
        numbers = unprotected({"class": CLASS, "most": CLASS - {VICTIM}}, shown)
        assert (numbers["class"] - numbers["most"]).argmax() == EMOTIONS.index(shown[VICTIM])
        assert set(protected({"class": CLASS, "most": CLASS - {VICTIM}}, shown)) == {"class"}


def whole_lesson(shown_by_bin: Sequence[Mapping[str, str]], key: bytes, bin_s: float = 30.0) -> list[np.ndarray]:
    aggregates = GroupAggregates({"class": CLASS}, EMOTIONS, key, bin_s)
    for number, shown in enumerate(shown_by_bin):
        show(aggregates, shown, 30 * number, 30 * number + 30, 2.5)
    cells = aggregates.publish(30 * len(shown_by_bin))
    return [np.array(cell.shares) * len(CLASS) for cell in cells if cell.shares is not None]


def test_averaging_a_lesson_does_not_reveal_a_lasting_expression() -> None:
    """The attacker knows all others, and the victim shows the same for 40 bins."""
    random = np.random.default_rng(7)
    right, rounds = 0, 60
    for number in range(rounds):
        shown = {person: EMOTIONS[random.integers(len(EMOTIONS))] for person in CLASS}
        known = np.array([sum(shown[p] == category for p in CLASS - {VICTIM}) for category in EMOTIONS])
        mean = np.mean(whole_lesson([shown] * 40, number.to_bytes(32)), axis=0)
        right += int((mean - known).argmax()) == EMOTIONS.index(shown[VICTIM])
    assert right / rounds < 0.45  # without the lasting part of the noise this is 1


def test_comparing_two_bins_does_not_reveal_who_changed() -> None:
    """Nobody but the victim changes from one bin to the next; the attacker knows that."""
    random = np.random.default_rng(8)
    right, rounds = 0, 200
    for number in range(rounds):
        before = dict.fromkeys(CLASS, "neutral")
        turned = EMOTIONS[[0, 1, 2, 3, 5, 6][random.integers(6)]]
        first, second = whole_lesson([before, before | {VICTIM: turned}], number.to_bytes(32))
        right += int((second - first).argmax()) == EMOTIONS.index(turned)
    assert right / rounds < 0.35  # on exact numbers this is 1


def test_overlapping_bins_do_not_cut_out_a_moment() -> None:
    """Two publications of one lesson with bins of 30 and 45 s: bins 0 to 45 less 0 to 30 would leave 15 s."""
    random = np.random.default_rng(9)
    right, naive, rounds = 0, 0, 150
    for number in range(rounds):
        base = {person: EMOTIONS[random.integers(len(EMOTIONS))] for person in CLASS}
        secret = EMOTIONS[random.integers(len(EMOTIONS))]
        estimates = []
        for bin_s in (30.0, 45.0):
            aggregates = GroupAggregates({"class": CLASS}, EMOTIONS, number.to_bytes(32), bin_s)
            show(aggregates, {p: c for p, c in base.items() if p != VICTIM}, 0, 45, 2.5)
            show(aggregates, {VICTIM: base[VICTIM]}, 0, 30, 2.5)
            show(aggregates, {VICTIM: secret}, 30, 45, 2.5)
            estimates.append(np.array(aggregates.publish(45)[0].shares) * len(CLASS) * bin_s)
        others = np.array([sum(base[p] == category for p in CLASS - {VICTIM}) for category in EMOTIONS], float)
        exact = np.zeros(len(EMOTIONS))
        exact[EMOTIONS.index(secret)] = 15
        naive += int((others * 45 + exact - others * 30 - others * 15).argmax()) == EMOTIONS.index(secret)
        right += int((estimates[1] - estimates[0] - others * 15).argmax()) == EMOTIONS.index(secret)
    assert naive == rounds
    assert right / rounds < 0.25


def test_asking_again_gives_the_same_bytes_even_after_late_data() -> None:
    aggregates = GroupAggregates({"class": CLASS}, EMOTIONS, KEY)
    show(aggregates, dict.fromkeys(CLASS, "happy"), 0, 30)
    first = repr(aggregates.publish(30))
    for _ in range(100):
        assert repr(aggregates.publish(30)) == first
    show(aggregates, {VICTIM: "angry"}, 0, 30)
    assert aggregates.late == 30
    assert repr(aggregates.publish(59.9)) == first
    other_run = GroupAggregates({"class": CLASS}, EMOTIONS, KEY)
    show(other_run, dict.fromkeys(sorted(CLASS, reverse=True), "happy"), 0, 30)
    assert repr(other_run.publish(30)) == first


def test_what_people_showed_is_forgotten_when_a_bin_is_closed() -> None:
    aggregates = GroupAggregates({"class": CLASS}, EMOTIONS, KEY)
    show(aggregates, dict.fromkeys(CLASS, "happy"), 0, 30)
    aggregates.publish(30)
    assert aggregates._open == {}
