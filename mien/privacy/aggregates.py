"""Group statistics per time bin, with noise that protects each person (differential privacy).

A person who was seen for at least half of a bin contributes the shares of the categories in their time,
which sum to 1, and 1 to the number of people; anyone else contributes nothing. Replacing a person's data,
or adding or removing the person, changes these sums by at most the square root of 2 (Euclidean norm).
Each sum gets noise from the discrete Gaussian distribution (``noise``) with a standard deviation of
``noise`` people, so a bin satisfies zero-concentrated differential privacy with rho = 1 / noise²
(Canonne, Kamath, Steinke 2020, theorem 14). The rho of all bins that count a person add up; the budget
limits this sum (``group_ledger``).

All later steps, including the suppression of small groups, use the noisy sums only and do not affect the
guarantee. A group is shown if its noisy number of people is ``k`` or more, which is equivalent to comparing
the true number with a random threshold per bin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mien.errors import UsageError
from mien.privacy.noise import KeyedRandom, discrete_gaussian

K: Final = 10
MIN_K: Final = 5
MIN_BIN_S: Final = 30.0
MAX_BIN_S: Final = 86_400.0
MAX_BINS: Final = 1000
_MAX_TIME_S: Final = 253_370_764_800.0
"""Start of the year 9999: earlier times can be represented in every time zone."""
NOISE: Final = 4.0
MIN_NOISE: Final = 2.0
MAX_NOISE: Final = 1000.0
MIN_PRESENCE: Final = 0.5
"""Minimum share of a bin for which a person must be seen to be counted in it."""
_UNITS: Final = 1000
"""Integer units per person: shares are rounded to a thousandth."""

People = frozenset[str]


@dataclass(frozen=True, slots=True)
class Binning:
    """How a span of time is divided into bins and counted.

    Attributes:
        start_s: start of the first bin in seconds since 1970 (UTC).
        bin_s: length of a bin in seconds.
        bins: number of consecutive bins.
        k: minimum noisy number of people for which a group is shown.
        noise: standard deviation of the noise on each sum, in people; 0 for publications of versions without a budget.
        categories: the categories that a person's time is divided into.
    """

    start_s: float
    bin_s: float
    bins: int
    k: int
    noise: float
    categories: tuple[str, ...]

    @property
    def end_s(self) -> float:
        """End of the last bin in seconds since 1970."""
        return self.start_s + self.bins * self.bin_s

    def check(self) -> None:
        """Check that all values are in range.

        Raises:
            UsageError: a value is out of its range.
        """
        if not MIN_BIN_S <= self.bin_s <= MAX_BIN_S:
            raise UsageError(
                f"a bin is {self.bin_s:g} s; it must be {MIN_BIN_S:g} to {MAX_BIN_S:g} s (a day). Publish one lesson at a time"
            )
        if not 1 <= self.bins <= MAX_BINS:
            raise UsageError(
                f"there are {self.bins:,} bins of {self.bin_s:g} s; there must be 1 to {MAX_BINS:,}. "
                "Choose a shorter time or longer bins (--bin-s)"
            )
        if self.k < MIN_K:
            raise UsageError(f"k is {self.k}; it must be {MIN_K} or more")
        if not MIN_NOISE <= self.noise <= MAX_NOISE:
            raise UsageError(f"noise is {self.noise:g} people; it must be {MIN_NOISE:g} to {MAX_NOISE:g}")
        if not 0 <= self.start_s < self.end_s <= _MAX_TIME_S:
            raise UsageError("the time is outside the years 1970 to 9998")


@dataclass(frozen=True, slots=True)
class GroupCell:
    """One group in one bin.

    Attributes:
        group: the group's name.
        from_s: start of the bin in seconds since the start of the publication.
        to_s: end of the bin in seconds since the start of the publication.
        people: noisy number of people counted; 0 in a suppressed cell.
        shares: noisy share of the people's time by category, 0 to 1; None in a suppressed cell.
    """

    group: str
    from_s: float
    to_s: float
    people: int
    shares: tuple[float, ...] | None


class GroupAggregates:
    """Sums of groups over time, and the noisy cells that may be published.

    Args:
        groups: the members of each group; a person may be in several.
        binning: how time is divided.
        key: secret key of the noise.
    """

    def __init__(self, groups: Mapping[str, People], binning: Binning, key: bytes) -> None:
        self._groups, self._binning, self._key = groups, binning, key
        self._everybody = frozenset().union(*groups.values())
        self._seconds: dict[int, dict[str, list[float]]] = {}

    def update(self, person: str, at_s: float, category: str, interval_s: float) -> None:
        """Add that ``person`` showed ``category`` at ``at_s`` (seconds since 1970) for ``interval_s`` seconds.

        People without a group and times outside the bins are ignored.
        """
        binning = self._binning
        if person in self._everybody and binning.start_s <= at_s < binning.end_s and interval_s > 0:
            people = self._seconds.setdefault(int((at_s - binning.start_s) // binning.bin_s), {})
            seconds = people.setdefault(person, [0.0] * len(binning.categories))
            seconds[binning.categories.index(category)] += min(interval_s, binning.bin_s)

    def cells(self) -> tuple[GroupCell, ...]:
        """Return the cells of all groups in all bins, ordered by time; the same data gives the same cells."""
        return tuple(
            self._cell(name, people, at, self._rows(at))
            for at in range(self._binning.bins)
            for name, people in self._groups.items()
        )

    def _rows(self, at: int) -> dict[str, list[int]]:
        """Return each person's contribution to a bin, as integers that sum to ``_UNITS``."""
        return {
            person: to_units(seconds)
            for person, seconds in self._seconds.get(at, {}).items()
            if sum(seconds) >= MIN_PRESENCE * self._binning.bin_s
        }

    def _cell(self, name: str, people: People, at: int, rows: Mapping[str, list[int]]) -> GroupCell:
        binning = self._binning
        counted = {person: rows[person] for person in sorted(people & rows.keys())}
        from_s, to_s, sigma = at * binning.bin_s, (at + 1) * binning.bin_s, round(binning.noise * _UNITS)
        # the noise is a function of the absolute time, the members of the group, and all counted data
        query = [binning.start_s + from_s, binning.start_s + to_s, sigma, binning.categories, sorted(people), counted]
        random = KeyedRandom(self._key, b"cell" + json.dumps(query).encode())
        size = len(counted) + discrete_gaussian(random, sigma) / _UNITS
        sums = [
            (sum(row[place] for row in counted.values()) + discrete_gaussian(random, sigma)) / _UNITS
            for place in range(len(binning.categories))
        ]
        if size < binning.k:
            return GroupCell(name, from_s, to_s, 0, None)
        size = min(size, len(people))
        shares = tuple(round(value / size, 2) for value in project_to_simplex(sums, size))
        return GroupCell(name, from_s, to_s, round(size), shares)


def to_units(seconds: Sequence[float]) -> list[int]:
    """Return integers in the proportions of ``seconds`` that sum to ``_UNITS``.

    >>> to_units([10.0, 20.0, 0.0])
    [333, 667, 0]
    """
    total = sum(seconds)
    exact = [_UNITS * value / total for value in seconds]
    parts = [int(value) for value in exact]
    by_rest = sorted(range(len(parts)), key=lambda place: parts[place] - exact[place])
    for place in by_rest[: _UNITS - sum(parts)]:
        parts[place] += 1
    return parts


def project_to_simplex(values: Sequence[float], total: float) -> list[float]:
    """Return the Euclidean projection of ``values`` onto the simplex: values of at least 0 that sum to ``total``.

    >>> project_to_simplex([4.0, 1.0, -3.0], 4.0)
    [3.5, 0.5, 0.0]
    """
    shift, above = 0.0, 0.0
    for count, value in enumerate(sorted(values, reverse=True), 1):
        above += value
        if value > (above - total) / count:
            shift = (above - total) / count
    return [max(0.0, value - shift) for value in values]
