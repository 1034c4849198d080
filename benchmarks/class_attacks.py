"""Attacks on the published numbers of a lesson, and how accurate the numbers are.

    python benchmarks/class_attacks.py --rounds 400

Every attack runs on exact numbers as well, where it must succeed. The attackers know everything about everybody but the
victim, and use the best guess that the published numbers allow (maximum likelihood). The last column is the upper bound
that the budget gives. The second table gives the error of published shares. Prints the tables of
docs/explanation/class-server.md and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from group_attacks import allowed

from mien.emotions import EMOTIONS
from mien.privacy.lesson_bins import SIGNALS, Contribution, LessonPlan, PublishedBin, publish, vector, view

PLAN = LessonPlan(bin_s=300, bins=12)
OTHERS = 29
Publisher = Callable[[LessonPlan, int, int, list[Contribution], bytes], PublishedBin]


def exact(plan: LessonPlan, number: int, joined: int, contributions: list[Contribution], _: bytes) -> PublishedBin:
    """Return the numbers without noise; groups below k are left out."""
    rows = [row for each in contributions if (row := vector(plan, each)) is not None]
    if len(rows) < plan.k:
        return PublishedBin(number)
    sums = [sum(column) / 1000 for column in zip(*rows, strict=True)]
    signals = tuple(float(sum(each.signal == k for each in contributions)) for k in range(len(SIGNALS)))
    return PublishedBin(number, joined, signals, sums[0], sums[1] + sums[0] / 2, tuple(sums[2:]))


def shows(label: int, facing: float = 1.0, signal: int = -1, plan: LessonPlan = PLAN) -> Contribution:
    """Return what somebody sends who shows one expression for a whole bin."""
    whole = float(plan.bin_s)
    return Contribution(whole, facing * whole, tuple(whole * (k == label) for k in range(len(EMOTIONS))), signal)


def crowd(random: np.random.Generator, people: int = OTHERS) -> list[Contribution]:
    return [shows(int(random.integers(len(EMOTIONS)))) for _ in range(people)]


def best_label(plan: LessonPlan, told: Sequence[PublishedBin], known: Sequence[list[Contribution]]) -> int:
    """Return the expression that explains what the victim added to the known sums best."""
    rest = np.zeros(len(EMOTIONS))
    for each, others in zip(told, known, strict=True):
        if each.expressions is not None:
            rest += np.array(each.expressions) - np.sum([vector(plan, other)[2:] for other in others], axis=0) / 1000  # type: ignore[index]
    return int(rest.argmax())


def curious_teacher(publisher: Publisher, random: np.random.Generator) -> bool:
    """The victim shows one expression all lesson long; the teacher knows what all others show and reads every bin."""
    label, told, known = int(random.integers(len(EMOTIONS))), [], []
    for number in range(PLAN.bins):
        others = crowd(random)
        told.append(publisher(PLAN, number, OTHERS + 1, [*others, shows(label)], random.bytes(32)))
        known.append(others)
    return best_label(PLAN, told, known) == label


def fakes(publisher: Publisher, random: np.random.Generator) -> bool:
    """The teacher joins 29 times with pages of their own, so that the victim is alone among people whom they control."""
    label, told, known = int(random.integers(len(EMOTIONS))), [], []
    for number in range(PLAN.bins):
        others = [shows(0, facing=0.0)] * OTHERS
        told.append(publisher(PLAN, number, OTHERS + 1, [*others, shows(label)], random.bytes(32)))
        known.append(others)
    return best_label(PLAN, told, known) == label


def colluding_teachers(publisher: Publisher, random: np.random.Generator) -> bool:
    """Two teachers read the same class through two links: they see the same numbers, so there is no noise to average out."""
    label, told, known = int(random.integers(len(EMOTIONS))), [], []
    for number in range(PLAN.bins):
        others = crowd(random)
        published = publisher(PLAN, number, OTHERS + 1, [*others, shows(label)], random.bytes(32))
        told += [published, published]
        known += [others, others]
    return best_label(PLAN, told, known) == label


def joins_and_leaves(publisher: Publisher, random: np.random.Generator) -> bool:
    """The victim is there or not; the teacher knows all others, and compares people, coverage and facing of all bins."""
    is_there, score = bool(random.integers(2)), 0.0
    for number in range(PLAN.bins):
        others = crowd(random)
        people = [*others, shows(3, facing=1.0)] if is_there else others
        told = publisher(PLAN, number, len(people), people, random.bytes(32))
        if told.people is None or told.measured is None or told.facing is None or told.expressions is None:
            continue
        rows = np.sum([vector(PLAN, other) for other in others], axis=0) / 1000  # type: ignore[arg-type]
        # log-likelihood ratio up to a factor, each sum weighed by its noise
        score += 0.75 * (told.people - OTHERS - 0.5) + (told.measured - rows[0] - 0.5)
        score += 0.5 * (told.facing - told.measured / 2 - rows[1] - 0.25) + (told.expressions[3] - rows[2 + 3] - 0.5)
    return (score > 0) == is_there


def signal(publisher: Publisher, random: np.random.Generator) -> bool:
    """The victim says "lost" in four bins or not at all; the teacher knows that nobody else says anything."""
    said, score = bool(random.integers(2)), 0.0
    for number in range(4):
        people = [*crowd(random), shows(3, signal=0 if said else -1)]
        told = publisher(PLAN, number, len(people), people, random.bytes(32))
        score += (told.signals[0] if told.signals is not None else 0.0) - 0.5
    return (score > 0) == said


@dataclass(frozen=True)
class Attack:
    """An attack.

    Attributes:
        name: who does what.
        run: returns whether the guess was right.
        answers: number of possible answers.
    """

    name: str
    run: Callable[[Publisher, np.random.Generator], bool]
    answers: int

    @property
    def bound(self) -> float:
        """Largest success rate that the budget allows."""
        return allowed(PLAN.budget, self.answers)


ATTACKS = (
    Attack("curious teacher who knows everybody else", curious_teacher, 7),
    Attack("two colluding teachers", colluding_teachers, 7),
    Attack("teacher who joins 29 times to isolate one learner", fakes, 7),
    Attack("observer who sees somebody join or leave", joins_and_leaves, 2),
    Attack("attacker who wants to know whether somebody sent the signal `lost`", signal, 2),
)


def score(attack: Attack, rounds: int, publisher: Publisher, seed: int = 0) -> float:
    """Return the share of rounds in which an attack guesses right."""
    return sum(attack.run(publisher, np.random.default_rng((seed, each))) for each in range(rounds)) / rounds


def errors(people: int, bins: int, mean: int, budget: float, rounds: int) -> tuple[float, float]:
    """Return the mean error of a share in points, and the share of bins with numbers."""
    plan, off, shown = LessonPlan(bin_s=300, bins=bins, budget=budget), [], 0
    for each in range(rounds):
        random = np.random.default_rng((people, each))
        sent = [shows(int(label)) for label in random.choice(7, people, p=[0.05, 0.02, 0.03, 0.2, 0.6, 0.05, 0.05])]
        true = np.bincount([int(np.argmax(one.expression_s)) for one in sent], minlength=7) / people
        told = [publish(plan, number, people, sent, random.bytes(32)) for number in range(mean)]
        seen = view(plan, told)
        shown += sum(one.measured is not None for one in told)
        if seen.expressions:
            off.append(float(np.abs(np.array(seen.expressions) - true)[[3, 4]].mean()))
    return 100 * float(np.mean(off)) if off else math.nan, shown / (rounds * mean)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    found = {}
    print("| attack | guessed right on exact numbers | on published numbers | allowed by the budget |\n|---|---|---|---|")
    for attack in ATTACKS:
        right = score(attack, max(20, rounds // 10), exact), score(attack, rounds, publish)
        found[attack.name] = [*right, attack.bound]
        print(f"| {attack.name} | {right[0]:.0%} | {right[1]:.0%} | {attack.bound:.0%} |")
    print("\n| people | bins | shown | budget | noise | error of a share, points | bins with numbers |")
    print("|---|---|---|---|---|---|---|")
    for people, bins, mean, budget in (
        (15, 12, 1, 0.75),
        (30, 12, 1, 0.75),
        (30, 12, 12, 0.75),
        (30, 12, 1, 2.0),
        (100, 12, 1, 0.75),
        (100, 60, 5, 0.75),
        (300, 12, 1, 0.75),
        (300, 60, 1, 0.75),
        (1000, 60, 1, 0.75),
    ):
        points, shown = errors(people, bins, mean, budget, max(10, rounds // 8))
        noise = LessonPlan(bins=bins, budget=budget).noise
        print(f"| {people} | {bins} | mean of {mean} | {budget:g} | {noise:.1f} | {points:.1f} | {shown:.0%} |")
        found[f"{people} people, {bins} bins, mean of {mean}, budget {budget:g}"] = [points, shown]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
