"""Masked sums of a class: what ``benchmarks/masked`` says of them, on small classes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cryptography", reason="masks are made with cryptography, which the extra lti has")

from masked_attacks import ATTACKS, success
from masked_neighbourhoods import enough_neighbours, risks
from masked_protocol import (
    PRIME,
    RefusedError,
    collect,
    combine,
    group,
    learner_values,
    open_lesson,
    plain_sum,
    run_bin,
    split,
)

PEOPLE = 24
RANDOM = np.random.default_rng(0)
VALUES = [learner_values(RANDOM) for _ in range(PEOPLE)]


@pytest.mark.parametrize("neighbours", [None, 16], ids=["everybody", "ring"])
@pytest.mark.parametrize(("before", "after"), [((), ()), ((3,), ()), ((), (5,)), ((0, 9, 20), (4, 13))])
def test_the_sum_is_exact_under_any_dropouts(neighbours: int | None, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    lesson = open_lesson(group(PEOPLE, neighbours, np.random.default_rng(1)), 2)
    for number in range(2):
        run = run_bin(lesson, number, VALUES, frozenset(before), frozenset(after))
        assert np.array_equal(run.total, plain_sum(VALUES, set(range(PEOPLE)) - set(before)))


def test_the_sum_is_taken_modulo_2_to_the_32() -> None:
    lesson = open_lesson(group(PEOPLE, None, RANDOM), 1)
    values = [each + np.uint32(2**31) for each in VALUES]
    assert np.array_equal(
        run_bin(lesson, 0, values, frozenset({2}), frozenset()).total, plain_sum(values, set(range(PEOPLE)) - {2})
    )


@pytest.mark.parametrize("gone", [12, 13])
def test_with_too_few_pages_the_server_gets_no_sum(gone: int) -> None:
    """12 of the 23 holders of a secret are needed, and a page does not hold its own: 13 pages must be left."""
    lesson = open_lesson(group(PEOPLE, None, RANDOM), 1)
    assert lesson.group.threshold == 12
    with pytest.raises(RefusedError, match="shares"):
        run_bin(lesson, 0, VALUES, frozenset(), frozenset(range(gone)))


def test_half_of_the_pages_less_one_may_leave() -> None:
    lesson = open_lesson(group(PEOPLE, None, RANDOM), 1)
    run = run_bin(lesson, 0, VALUES, frozenset(range(5)), frozenset(range(5, 11)))
    assert np.array_equal(run.total, plain_sum(VALUES, range(5, PEOPLE)))


def test_a_page_reveals_nothing_for_a_small_group_and_answers_once() -> None:
    lesson = open_lesson(group(PEOPLE, None, RANDOM), 1)
    server = collect(lesson, 0, VALUES)
    with pytest.raises(RefusedError, match="9 people"):
        lesson.pages[0].unmask(0, frozenset(range(9)))
    lesson.pages[1].unmask(0, frozenset(server.masked))
    for page in lesson.pages[:2]:
        with pytest.raises(RefusedError, match="once"):
            page.unmask(0, frozenset(server.masked) - {5})


@pytest.mark.parametrize(
    ("name", "single", "double"),
    [
        ("late message of somebody whose masks were revealed", 1, 0),
        ("server tells half of the pages that somebody left", 0, 0),
        ("the same, where fewer than half of the shares are enough", 1, 1),
        ("server decrypts the shares it relays", 0, 0),
        ("pages that work for the server, one share too few", 0, 0),
        ("pages that work for the server, enough shares", 1, 1),
        ("server that invents all other pages", 1, 1),
    ],
)
def test_what_an_attack_reads(name: str, single: float, double: float) -> None:
    assert (success(ATTACKS[name], False, 2), success(ATTACKS[name], True, 2)) == (single, double)


def test_every_attack_is_tested() -> None:
    assert len(ATTACKS) == 7


def test_what_is_revealed_for_one_bin_does_not_open_another() -> None:
    """The server learns the key pair of page 0 for bin 0, and tries it on bin 1."""
    lesson = open_lesson(group(PEOPLE, None, RANDOM), 2)
    first = collect(lesson, 0, VALUES, frozenset({0}))
    answers = {page.number: page.unmask(0, frozenset(first.masked)) for page in lesson.pages if page.number}
    second = collect(lesson, 1, VALUES, frozenset({0}))
    revealed = first.secret(0, answers)
    others = lesson.group.neighbours[0]
    assert not np.array_equal(first.pair_masks(0, revealed, others), second.pair_masks(0, revealed, others))
    own = {page.number: page.unmask(1, frozenset(second.masked)) for page in lesson.pages if page.number}
    assert second.secret(0, own) != revealed
    assert all(second.secret(k, own) != first.secret(k, answers) for k in range(1, 5))


def test_shares_below_the_threshold_say_nothing() -> None:
    shares = dict(zip(range(1, 10), split(PRIME - 1, 5, range(1, 10)), strict=True))
    assert combine({k: shares[k] for k in (1, 4, 6, 8, 9)}, 5) == PRIME - 1
    few = {k: shares[k] for k in (1, 4, 6, 8)}
    with pytest.raises(RefusedError, match="4 shares"):
        combine(few, 5)
    # a fifth share of any value fits some secret: four of them rule out none
    assert len({combine({**few, 9: value}, 5) for value in range(50)}) == 50


def test_small_neighbourhoods_are_risky() -> None:
    assert enough_neighbours(15, 0.2) is None
    assert (enough_neighbours(100, 0.2), enough_neighbours(1000, 0.2)) == (54, 118)
    read, lost = risks(1000, 20, 0.2)
    assert read > 0.3
    assert lost == 1
