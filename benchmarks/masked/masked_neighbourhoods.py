"""Small neighbourhoods: the risks that a page can be read and that a bin is lost, and the dropouts that a class survives."""

from __future__ import annotations

import math
import statistics
from functools import cache

import numpy as np
from masked_protocol import Group
from numpy.typing import NDArray

LEAK, LOSS = 2.0**-40, 2.0**-20
"""Accepted risks of a neighbourhood: that one of the pages can be read, and that a bin is lost."""


def tail(total: int, bad: int, drawn: int, least: int) -> float:
    """Return the probability of ``least`` or more bad ones among some that are drawn (hypergeometric)."""
    ways = sum(math.comb(bad, k) * math.comb(total - bad, drawn - k) for k in range(least, min(bad, drawn) + 1))
    return ways / math.comb(total, drawn)


def risks(people: int, neighbours: int, share: float) -> tuple[float, float]:
    """Return bounds for the risks of a ring: that a page can be read, and that a bin is lost.

    A share of the pages works for the server, and as many leave. A page can be read if enough of its neighbours work for
    the server, or if its part of the ring is cut off from the rest.
    """
    bad, threshold = math.floor(people * share), neighbours // 2 + 1
    cut = float(people)
    for k in range(neighbours // 2):
        cut *= max(0, 2 * bad - k) / (people - k)
    read = people * tail(people - 1, bad, neighbours, threshold) + cut
    lost = people * tail(people - 1, bad, neighbours, neighbours - threshold + 1)
    return min(1.0, read), min(1.0, lost)


@cache
def enough_neighbours(people: int, share: float) -> int | None:
    """Return the smallest number of neighbours with accepted risks; None if everybody must be everybody's neighbour."""
    for neighbours in range(2, people - 1, 2):
        read, lost = risks(people, neighbours, share)
        if read <= LEAK and lost <= LOSS:
            return neighbours
    return None


def survives(who: Group, gone: NDArray[np.intp]) -> bool:
    """Return whether enough holders of every page's shares are left."""
    left = set(who.neighbours) - {int(each) for each in gone}
    return all(len(left.intersection(holders)) >= who.threshold for holders in who.neighbours.values())


def most_dropouts(who: Group, random: np.random.Generator, tries: int) -> int:
    """Return the largest number of pages that may leave at random such that the sum was found in each of some tries."""
    people, low, high = len(who.neighbours), 0, len(who.neighbours)
    while high - low > 1:
        middle = (low + high) // 2
        if all(survives(who, random.permutation(people)[:middle]) for _ in range(tries)):
            low = middle
        else:
            high = middle
    return low


def lost_bins(who: Group, random: np.random.Generator, miss: float, tries: int) -> float:
    """Return the share of bins that are lost if each page misses the last round with probability ``miss``."""
    people = len(who.neighbours)
    return statistics.fmean(not survives(who, np.flatnonzero(random.random(people) < miss)) for _ in range(tries))


def dropouts(who: Group, count: int, random: np.random.Generator) -> list[int]:
    """Return pages in random order that leave, such that the sum can be found: a ring survives most orders, not all."""
    while True:
        order = random.permutation(len(who.neighbours))[:count]
        if survives(who, order):
            return [int(each) for each in order]
