"""The numbers of groups: the noise is what is said of it, and one person moves the sums by no more than is said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError
from mien.privacy import aggregates
from mien.privacy.aggregates import Binning, GroupAggregates, GroupCell
from mien.privacy.noise import KEY_NAME, KeyedRandom, discrete_gaussian, noise_key

KEY = b"k" * 32
NAMES = tuple(f"p{k:03d}" for k in range(200))
CUT = Binning(1_795_000_000.0, 60.0, 1, 10, 4.0, EMOTIONS)


def people(count: int, start: int = 0) -> frozenset[str]:
    return frozenset(NAMES[start : start + count])


def one_bin(
    groups: Mapping[str, frozenset[str]], shown: Mapping[str, str], cut: Binning = CUT, key: bytes = KEY
) -> dict[str, GroupCell]:
    sums = GroupAggregates(groups, cut, key)
    for person, category in shown.items():
        for second in range(0, 60, 5):
            sums.update(person, cut.start_s + second, category, 5.0)
    return {cell.group: cell for cell in sums.cells() if cell.from_s == 0}


# the noise


@pytest.mark.parametrize("sigma", [1, 3, 40])
def test_the_noise_has_the_stated_distribution(sigma: int) -> None:
    random, count = KeyedRandom(KEY, b"a"), 20_000
    values = np.array([discrete_gaussian(random, sigma) for _ in range(count)])
    support = np.arange(-9 * sigma, 9 * sigma + 1)
    expected = np.exp(-(support**2) / (2 * sigma**2))
    expected /= expected.sum()
    assert math.isclose(values.mean(), 0, abs_tol=5 * sigma / math.sqrt(count))
    assert math.isclose(values.std(), math.sqrt((expected * support**2).sum()), rel_tol=0.03)
    # Kolmogorov's distance: above 1.95 / sqrt(n) once in a thousand
    seen = np.array([(values <= x).mean() for x in support])
    assert np.abs(seen - expected.cumsum()).max() < 1.95 / math.sqrt(count)


def test_the_noise_follows_from_the_key_and_the_question_alone() -> None:
    first, again = KeyedRandom(KEY, b"a"), KeyedRandom(KEY, b"a")
    assert [first.below(1000) for _ in range(50)] == [again.below(1000) for _ in range(50)]
    others = {tuple(KeyedRandom(key, query).below(1 << 60) for _ in range(2)) for key in (KEY, b"z") for query in (b"a", b"b")}
    assert len(others) == 4
    assert {KeyedRandom(KEY, b"c").below(1)} == {0}
    counts = np.bincount([first.below(7) for _ in range(7000)], minlength=7)
    assert counts.size == 7
    assert counts.min() > 850


def test_the_key_is_made_once_whole_and_kept_from_others(tmp_path: Path) -> None:
    key = noise_key(tmp_path / "privacy")
    assert noise_key(tmp_path / "privacy") == key
    assert len(key) == 32
    assert (tmp_path / "privacy" / KEY_NAME).stat().st_mode & 0o777 == 0o600
    (tmp_path / KEY_NAME).write_bytes(b"short")
    with pytest.raises(DataError, match=r"noise\.key"):
        noise_key(tmp_path)


def test_shifted_time_other_people_and_other_data_get_other_noise_and_the_same_the_same() -> None:
    shown = dict.fromkeys(people(30), "happy")
    cell = one_bin({"class": people(24)}, shown)["class"]
    assert cell == one_bin({"class": people(24)}, shown)["class"]
    others = [
        one_bin({"class": people(24)}, shown, replace(CUT, start_s=CUT.start_s + 60))["class"],
        one_bin({"class": people(25)}, shown)["class"],
        one_bin({"class": people(24)}, shown | {NAMES[0]: "sad"})["class"],
        one_bin({"class": people(24)}, shown, replace(CUT, noise=4.5))["class"],
        one_bin({"class": people(24)}, shown, key=b"z" * 32)["class"],
    ]
    assert len({other.shares for other in others} | {cell.shares}) == 6


# what one person can do to the sums


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=7, max_size=7).filter(lambda row: sum(row) > 0), st.integers(0, 6))
def test_one_person_changes_the_sums_by_at_most_the_stated_norm(seconds: list[float], place: int) -> None:
    row = np.array([*aggregates.to_units(seconds), aggregates._UNITS])  # the last is the number of people
    other = np.array([*aggregates.to_units([float(k == place) for k in range(7)]), aggregates._UNITS])
    assert row[:-1].sum() == aggregates._UNITS
    assert row.min() >= 0
    limit = math.sqrt(2) * aggregates._UNITS
    assert np.linalg.norm(row - other) <= limit
    assert np.linalg.norm(row) <= limit  # the person is not there


@pytest.mark.parametrize("interval_s", [1e-9, 1e300, math.inf, math.nan, -5.0])
def test_wild_durations_are_no_more_than_one_person(interval_s: float) -> None:
    sums = GroupAggregates({"class": people(12)}, CUT, KEY)
    for category in EMOTIONS:
        sums.update(NAMES[0], CUT.start_s, category, interval_s)
        sums.update(NAMES[0], math.nan, category, 1.0)
    assert all(sum(row) == aggregates._UNITS for row in sums._rows(0).values())


def test_who_is_seen_for_less_than_half_of_a_bin_does_not_count() -> None:
    sums = GroupAggregates({"class": people(12)}, CUT, KEY)
    for person, seconds in zip(NAMES, (30, 29, 60), strict=False):
        sums.update(person, CUT.start_s, "happy", float(seconds))
    sums.update("a stranger", CUT.start_s, "happy", 60.0)
    sums.update(NAMES[3], CUT.start_s - 1, "happy", 60.0)
    sums.update(NAMES[4], CUT.end_s, "happy", 60.0)
    assert set(sums._rows(0)) == {NAMES[0], NAMES[2]}


# what is published


def test_nothing_about_a_person_comes_out() -> None:
    cells = one_bin({"class": people(20)}, dict.fromkeys(people(20), "sad"))
    assert [each.name for each in fields(GroupCell)] == ["group", "from_s", "to_s", "people", "shares"]
    assert not any(name in repr(cells) for name in NAMES)


def test_a_large_group_keeps_its_meaning() -> None:
    everybody = people(200)
    shown = {person: EMOTIONS[3] if k < 120 else EMOTIONS[4] for k, person in enumerate(sorted(everybody))}
    cell = one_bin({"course": everybody}, shown)["course"]
    assert cell.people == pytest.approx(200, abs=20)
    assert cell.shares == pytest.approx((0, 0, 0, 0.6, 0.4, 0, 0), abs=0.1)
    assert sum(cell.shares) == pytest.approx(1, abs=0.04)


def test_a_group_is_shown_by_its_noised_number_of_people() -> None:
    """With ten of ten people there the threshold is met as often as not; with nobody there, hardly ever."""
    shown = dict.fromkeys(people(10), "happy")
    cells = [one_bin({"class": people(10)}, shown, key=number.to_bytes(32))["class"] for number in range(200)]
    assert 70 < sum(cell.shares is not None for cell in cells) < 130
    assert all((cell.people >= 10) == (cell.shares is not None) for cell in cells)
    assert {cell.people for cell in cells if cell.shares is None} == {0}
    empty = [one_bin({"class": people(10)}, {}, key=number.to_bytes(32))["class"] for number in range(200)]
    assert sum(cell.shares is not None for cell in empty) < 10


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"bin_s": 29.9}, "29.9"),
        ({"bin_s": math.inf}, "inf"),
        ({"bin_s": math.nan}, "nan"),
        ({"k": 4}, "4"),
        ({"bins": 1001}, "1,001"),
        ({"bins": 0}, "0"),
        ({"noise": 1.9}, "1.9"),
        ({"noise": math.nan}, "nan"),
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, float], value: str) -> None:
    with pytest.raises(UsageError, match=value):
        replace(CUT, **change).check()
