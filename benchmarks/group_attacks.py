"""Attacks on published group statistics, and the accuracy of the statistics.

    python benchmarks/group_attacks.py --rounds 1000

Every attack runs on exact numbers without a budget, where it must succeed, and on the publications of
``mien.privacy.group_ledger``. The last column is the upper bound given by the budget: the success rate of an
attacker who knows everything except what one person showed. The second table gives the error of the
published shares. Prints the tables of docs/explanation/privacy.md and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import UsageError
from mien.privacy.aggregates import NOISE, Binning, K
from mien.privacy.group_ledger import GroupLedger
from mien.privacy.noise import KEY_NAME
from mien.privacy.publications import COURSE_BUDGET

NAMES = tuple(f"p{number:03d}" for number in range(200))
CLASS = frozenset(NAMES[:30])
VICTIM = NAMES[0]
BINS = round(COURSE_BUDGET * NOISE**2)
"""Number of bins with the default noise in a person's budget."""
BIN_S, START_S = 2700.0, 1_795_000_000.0
Counts = NDArray[np.float64]
Shown = Mapping[str, str]


class RefusedError(Exception):
    """The publication was refused."""


class Exact:
    """Publishes exact numbers of groups of ``K`` or more people, without a budget."""

    def ask(self, group: str, members: frozenset[str], number: int, shown: Shown, noise: float = NOISE) -> tuple[int, Counts]:
        """Return the number of people (0 if suppressed) and how many showed each expression."""
        present = members & shown.keys()
        if len(present) < K:
            return 0, np.zeros(len(EMOTIONS))
        return len(present), np.array([sum(shown[person] == each for person in present) for each in EMOTIONS], float)


class Ours:
    """Publishes with the ledger of a course."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir(parents=True)
        (folder / KEY_NAME).write_bytes(seed.to_bytes(32))
        self._ledger = GroupLedger(folder)

    def ask(self, group: str, members: frozenset[str], number: int, shown: Shown, noise: float = NOISE) -> tuple[int, Counts]:
        """Return the numbers of ``Exact.ask`` as a reader can infer them from the publication of bin ``number``."""
        cut = Binning(START_S + number * BIN_S, BIN_S, 1, K, noise, EMOTIONS)
        try:
            (cell,) = self._ledger.publish(
                cut, {group: members}, lambda: [(person, cut.start_s, label, BIN_S) for person, label in shown.items()]
            )
        except UsageError as error:
            raise RefusedError from error
        return cell.people, np.array(cell.shares or np.zeros(len(EMOTIONS))) * cell.people


Publisher = Exact | Ours


def one_hot(label: str) -> Counts:
    return np.array([float(each == label) for each in EMOTIONS])


def drawn(random: np.random.Generator, people: frozenset[str]) -> dict[str, str]:
    """Return an expression for each person."""
    return {person: EMOTIONS[random.integers(len(EMOTIONS))] for person in sorted(people)}


def shifted(publisher: Publisher, random: np.random.Generator, pairs: int = 1) -> list[bool]:
    """Pairs of publications of one bin each; in the second bin only the victim shows another expression.

    Noise that depends on the time since the start of a publication would be the same in both.
    """
    before = drawn(random, CLASS) | {VICTIM: "neutral"}
    turned = EMOTIONS[random.integers(len(EMOTIONS))]
    total = one_hot("neutral") * pairs
    for pair in range(pairs):
        total -= publisher.ask("class", CLASS, 2 * pair, before)[1]
        total += publisher.ask("class", CLASS, 2 * pair + 1, before | {VICTIM: turned})[1]
    return [EMOTIONS[int(total.argmax())] == turned]


def random_sets(publisher: Publisher, random: np.random.Generator, publications: int = 240) -> list[bool]:
    """Random halves of the class, and least squares for all members; each person always shows the same expression."""
    shown, people = drawn(random, CLASS), sorted(CLASS)
    rows, values = [], []
    willing = set(people)
    for number in range(publications):
        if len(willing) < K:
            break
        members = frozenset(random.choice(sorted(willing), min(15, len(willing)), replace=False).tolist())
        try:
            values.append(publisher.ask(f"set {number}", members, number, shown)[1])
        except RefusedError:
            counted = np.sum(rows, axis=0)
            willing = {person for person, times in zip(people, counted, strict=True) if times < counted.max()}
            continue
        rows.append([float(person in members) for person in people])
    design = np.array(rows)
    ridge = design.T @ design + (1.0 if isinstance(publisher, Ours) else 1e-9) * np.eye(len(people))
    found = np.linalg.solve(ridge, design.T @ np.array(values))
    return [EMOTIONS[int(row.argmax())] == shown[person] for person, row in zip(people, found, strict=True)]


def nine_and_one(publisher: Publisher, random: np.random.Generator, bins: int = 1) -> list[bool]:
    """Attendance of the victim: nine others are known to be present and ten are required, in all bins."""
    members = frozenset(sorted(CLASS)[:K])
    present = bool(random.integers(2))
    shown = {person: "neutral" for person in members if present or person != VICTIM}
    numbers = [publisher.ask("ten", members, number, shown)[0] for number in range(bins)]
    # with noise, the group is shown in 50% of the bins with all ten present, and in 40% of the others
    likely = sum(number > 0 for number in numbers) > 0.45 * bins
    return [likely == present]


def all_but_one(publisher: Publisher, random: np.random.Generator, bins: int = 1) -> list[bool]:
    """The class, and the class without the victim; each bin is published for both."""
    shown = drawn(random, CLASS)
    total = np.zeros(len(EMOTIONS))
    for number in range(bins):
        total += publisher.ask("class", CLASS, number, shown)[1]
        total -= publisher.ask("most", CLASS - {VICTIM}, number, shown)[1]
    return [EMOTIONS[int(total.argmax())] == shown[VICTIM]]


def others_known(publisher: Publisher, random: np.random.Generator, bins: int = 1) -> list[bool]:
    """The attacker knows what all others showed, and that the victim always showed the same expression."""
    shown = drawn(random, CLASS)
    others = sum(one_hot(label) for person, label in shown.items() if person != VICTIM)
    total = sum(publisher.ask("class", CLASS, number, shown)[1] - others for number in range(bins))
    return [EMOTIONS[int(np.asarray(total).argmax())] == shown[VICTIM]]


@dataclass(frozen=True)
class Attack:
    """An attack.

    Attributes:
        name: name in the table.
        run: runs it once and returns which guesses were right.
        choices: number of possible answers.
        bins: number of bins that count the victim, with the default noise.
        share: share of the rounds to run.
    """

    name: str
    run: Callable[[Publisher, np.random.Generator], list[bool]]
    choices: int
    bins: int
    share: float = 1.0

    @property
    def bound(self) -> float:
        """Success rate of the best attacker for the spent budget."""
        return allowed(self.bins / NOISE**2, self.choices)


ATTACKS = (
    Attack("two bins that differ only in the person", lambda p, r: shifted(p, r, 1), 7, 2),
    Attack("six such pairs, whole budget", lambda p, r: shifted(p, r, BINS // 2), 7, BINS, 0.3),
    Attack("60 random halves of the class, least squares, all members", lambda p, r: random_sets(p, r, 60), 7, BINS, 0.05),
    Attack("240 random halves", lambda p, r: random_sets(p, r, 240), 7, BINS, 0.05),
    Attack("attendance of one person, nine others known, one bin", lambda p, r: nine_and_one(p, r, 1), 2, 1),
    Attack("the same in twelve bins, whole budget", lambda p, r: nine_and_one(p, r, BINS), 2, BINS, 0.3),
    Attack(
        "class with and without one person, six bins, whole budget", lambda p, r: all_but_one(p, r, BINS // 2), 7, BINS // 2, 0.3
    ),
    Attack("all others known, one bin", lambda p, r: others_known(p, r, 1), 7, 1),
    Attack("all others known, twelve bins, whole budget", lambda p, r: others_known(p, r, BINS), 7, BINS, 0.3),
)


def allowed(rho: float, choices: int) -> float:
    """Return the success rate of the best attacker for equally likely answers.

    Two answers differ by sqrt(2 rho) standard deviations of the noise at most. With two answers that
    is Phi(sqrt(rho / 2)); with more, the answers are orthogonal signals in Gaussian noise.
    """
    normal = NormalDist()
    if choices == 2:
        return normal.cdf(math.sqrt(rho / 2))
    grid = np.linspace(-8, 8, 4001)
    heights = [normal.pdf(x) * normal.cdf(x + math.sqrt(rho)) ** (choices - 1) for x in grid]
    return float(np.trapezoid(heights, grid))


def epsilon(rho: float, delta: float) -> float:
    """Return the epsilon of (epsilon, delta)-differential privacy that ``rho`` implies.

    Source: Canonne, Kamath and Steinke 2020, proposition 12.
    """
    orders = 1 + np.geomspace(1e-3, 1e3, 200_000)
    return float(
        np.min(rho * orders + (np.log(1 / delta) + (orders - 1) * np.log1p(-1 / orders) - np.log(orders)) / (orders - 1))
    )


def score(attack: Attack, rounds: int, folder: Path | None, seed: int = 0) -> tuple[int, int]:
    """Return (right guesses, guesses) of an attack on ledgers below ``folder``, or on exact numbers."""
    right = total = 0
    for number in range(rounds):
        random = np.random.default_rng((seed, number))
        publisher = Exact() if folder is None else Ours(folder / str(number), (seed << 32) + number)
        guesses = attack.run(publisher, random)
        right, total = right + sum(guesses), total + len(guesses)
    return right, total


def errors(folder: Path, people: int, noise: float, rounds: int, bins: int = 1, seed: int = 0) -> float:
    """Return the mean absolute error of a class's shares in points, averaged over ``bins`` bins.

    Each person shows an individual mix of expressions that changes from bin to bin; some are absent.
    """
    usual = np.array([0.04, 0.03, 0.03, 0.2, 0.55, 0.08, 0.07])  # in the order of EMOTIONS
    members, found = frozenset(NAMES[:people]), []
    present = sorted(members)[: round(0.93 * people)]
    for number in range(rounds):
        random = np.random.default_rng((seed, number))
        rows = np.array([random.dirichlet(3 * random.dirichlet(15 * usual) + 1e-3, size=len(present)) for _ in range(bins)])
        place = folder / f"{people}-{noise:g}-{bins}-{number}"
        place.mkdir(parents=True)
        (place / KEY_NAME).write_bytes((1 << 64 | number).to_bytes(32))
        cut = Binning(START_S, BIN_S, bins, K, noise, EMOTIONS)
        moments = [
            (person, START_S + at * BIN_S, label, float(rows[at, who, which]) * BIN_S)
            for at in range(bins)
            for who, person in enumerate(present)
            for which, label in enumerate(EMOTIONS)
        ]
        cells = GroupLedger(place).publish(cut, {"class": members}, partial(iter, moments))
        shares = [cell.shares for cell in cells if cell.shares]
        if shares:
            found.append(100 * np.abs(np.mean(shares, axis=0) - rows.mean(axis=(0, 1))).mean())
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="rounds per attack; slow attacks run fewer")
    rounds = parser.parse_args().rounds
    report: dict[str, Any] = {"budget_rho": COURSE_BUDGET, "epsilon": {}, "attacks": [], "errors": {}}
    print(f"budget of a course: rho = {COURSE_BUDGET}, {BINS} bins with noise of {NOISE:g} people")
    for delta in (1e-5, 1e-6):
        print(f"  which is ({epsilon(COURSE_BUDGET, delta):.1f}, {delta:g})-differential privacy", end="")
        print(f"; one bin: ({epsilon(1 / NOISE**2, delta):.1f}, {delta:g})")
        report["epsilon"][str(delta)] = epsilon(COURSE_BUDGET, delta)
    print("\n| attack | chance | exact numbers | Mien (95% interval) | allowed |\n|---|---|---|---|---|")
    for attack in ATTACKS:
        made = max(2, round(attack.share * rounds))
        naive, of = score(attack, made, None)
        with tempfile.TemporaryDirectory() as folder:
            right, total = score(attack, made, Path(folder))
        rate = right / total
        half = 1.96 * math.sqrt(rate * (1 - rate) / total)
        print(
            f"| {attack.name} | {1 / attack.choices:.0%} | {naive / of:.0%} | {rate:.0%} ({max(0, rate - half):.0%} to "
            f"{rate + half:.0%}) | {attack.bound:.0%} |",
            flush=True,
        )
        row = {"attack": attack.name, "exact": naive / of, "ours": rate, "guesses": total, "bound": attack.bound}
        report["attacks"].append(row)
    sizes = (30, 60, 200)
    head = [f"class of {size}" for size in sizes] + ["class of 30, mean of the course"]
    print(f"\n| noise, in people | bins in a course | {' | '.join(head)} |\n|---|---|---|---|---|---|")
    for noise in (2.0, 3.0, 4.0, 6.0, 8.0):
        bins = int(COURSE_BUDGET * noise**2 + 1e-9)
        with tempfile.TemporaryDirectory() as folder:
            off = [errors(Path(folder), size, noise, max(2, rounds // 4)) for size in sizes]
            off.append(errors(Path(folder), 30, noise, max(2, rounds // 40), bins))
        report["errors"][str(noise)] = off
        print(f"| {noise:g} | {bins} | " + " | ".join(f"{each:.1f}" for each in off) + " |", flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
