"""What a group shows, without showing a person.

Published is, for each group and each bin of time, how the people's time spreads over a few
categories. What protects a person:

- *Groups of k*: a group, and every difference of published groups, has at least k people (``suppression``).
- *One grid*: bins of 30 s or more, from 0 on; groups are fixed when counting begins.
- *Once*: a bin is published once; what comes late is left out, and asking again gives the same numbers.
- *One person, one voice*: whoever was seen for half of a bin weighs 1, all others 0.
- *Noise*: two parts (``noise``), one that lasts as long as the same people are counted, one of the bin alone. Averaging many
  bins does not take off the first, comparing two bins does not take off the second. Numbers of people are rounded down to fives.

There is no number about a person in what comes out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mien.errors import UsageError
from mien.privacy.noise import laplace
from mien.privacy.suppression import People, check_nested, publishable

K: Final = 10
LEAST_K: Final = 5
LEAST_BIN_S: Final = 30.0
NOISE_PEOPLE: Final = 1.0
"""Scale of each of the two parts of the noise, in people: one person's whole weight."""
LEAST_PRESENCE: Final = 0.5
"""Share of a bin for which somebody must be seen to count in it."""
_PEOPLE_STEP: Final = 5


@dataclass(frozen=True, slots=True)
class GroupCell:
    """One group in one bin of time.

    Attributes:
        group: the group's name.
        from_s: start of the bin in seconds.
        to_s: its end.
        people: how many people count, rounded down to fives; 0 where it is suppressed.
        shares: share of the people's time by category, 0 to 1, with noise; None where it is
            suppressed, be it for too few people or to protect another group.
    """

    group: str
    from_s: float
    to_s: float
    people: int
    shares: tuple[float, ...] | None


class GroupAggregates:
    """The aggregates of nested groups over time.

    Args:
        groups: who is in which group; nested or disjoint.
        categories: what a person's time is divided into.
        key: the secret of the noise.
        bin_s: length of a bin in seconds.
        k: the least number of people.

    Raises:
        UsageError: groups overlap, ``bin_s`` is below 30, or ``k`` below 5.
    """

    def __init__(
        self, groups: Mapping[str, People], categories: Sequence[str], key: bytes, bin_s: float = LEAST_BIN_S, k: int = K
    ) -> None:
        if not LEAST_BIN_S <= bin_s < math.inf:
            raise UsageError(f"a bin is {bin_s:g} s; it must be {LEAST_BIN_S:g} s or more, for shorter ones show single moments")
        if k < LEAST_K:
            raise UsageError(f"k is {k}; it must be {LEAST_K} or more, for smaller groups show single people")
        check_nested(groups)
        self.categories = tuple(categories)
        self._groups = {name: frozenset(people) for name, people in groups.items()}
        self._everybody = frozenset().union(*self._groups.values())
        self._key, self._bin_s, self._k = key, bin_s, k
        self._open: dict[int, dict[str, list[float]]] = {}
        self._cells: list[GroupCell] = []
        self._closed = 0
        self.late = 0

    def update(self, person: str, t_s: float, category: str, interval_s: float) -> None:
        """Take in that ``person`` showed ``category`` at ``t_s`` for ``interval_s`` seconds.

        Who is in no group is left out; what belongs to a published bin is counted in ``late`` and left out.
        """
        place = self.categories.index(category)
        at = int(t_s // self._bin_s)
        if at < self._closed:
            self.late += 1
        elif person in self._everybody and interval_s > 0:
            seconds = self._open.setdefault(at, {}).setdefault(person, [0.0] * len(self.categories))
            seconds[place] += interval_s

    def publish(self, until_s: float) -> tuple[GroupCell, ...]:
        """Close all bins that end at ``until_s`` or before, and return all cells published so far, in order of time."""
        while (self._closed + 1) * self._bin_s <= until_s:
            self._cells += self._close(self._closed)
            self._closed += 1
        return tuple(self._cells)

    def _close(self, at: int) -> list[GroupCell]:
        """Return the cells of a bin; what people showed in it is forgotten."""
        weights = {}
        for person, seconds in self._open.pop(at, {}).items():
            total = sum(seconds)
            if total >= LEAST_PRESENCE * self._bin_s:
                weights[person] = [value / total for value in seconds]
        present = {name: people & weights.keys() for name, people in self._groups.items()}
        shown = publishable(present, self._k)
        cells = []
        for name in self._groups:
            people = present[name]
            number = len(people) // _PEOPLE_STEP * _PEOPLE_STEP
            shares = self._shares(people, weights, at) if name in shown else None
            cells.append(GroupCell(name, at * self._bin_s, (at + 1) * self._bin_s, number if shares else 0, shares))
        return cells

    def _shares(self, people: People, weights: Mapping[str, list[float]], at: int) -> tuple[float, ...]:
        """Return the shares of ``people``, which sum to 1, with both parts of the noise."""
        sums = []
        for place, category in enumerate(self.categories):
            total = sum(weights[person][place] for person in sorted(people))
            lasting = laplace(self._key, people, category, NOISE_PEOPLE)
            passing = laplace(
                self._key, people, f"{category} in {at * self._bin_s:g} to {(at + 1) * self._bin_s:g} s", NOISE_PEOPLE
            )
            sums.append(max(0.0, total + lasting + passing))
        whole = sum(sums)
        return tuple(round(value / whole, 2) if whole else round(1 / len(sums), 2) for value in sums)
