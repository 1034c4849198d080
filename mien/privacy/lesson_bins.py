"""What a class server may publish about a lesson: noisy sums of time bins, with a privacy budget for each participant.

Each participant contributes one vector to a bin: 1 if they joined the class, 1 if their face was measured for at least
half of the bin, the shares of the expressions in the measured time (they sum to 1), and the share of time facing the
screen. The sums over all participants get discrete Gaussian noise (``noise``). Any two contributions, and a contribution
and nothing, differ by at most the square root of ``sensitivity`` (Euclidean norm), so a bin costs each participant
sensitivity / (2 noise²) in the rho of zero-concentrated differential privacy (Bun and Steinke 2016; Canonne, Kamath and
Steinke 2020, theorem 14). Costs add up over the bins of a lesson. The noise is chosen when the lesson is planned, so that
all bins together cost the budget.

A participant's own signals have a budget and noise of their own. They are counted in at most ``MAX_SIGNALS`` bins of a
lesson, so their noise does not grow with the number of bins.

All later steps use the noisy sums only: suppression of small groups, shares, means over several bins. Expressions and facing
are published if the noisy number of people who joined and that of people who were measured are both ``k`` or more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mien.emotions import EMOTIONS
from mien.errors import UsageError
from mien.privacy.aggregates import MIN_PRESENCE, K, project_to_simplex, to_units
from mien.privacy.noise import KeyedRandom, discrete_gaussian
from mien.privacy.publications import COURSE_BUDGET

SIGNALS: Final = ("lost", "slower", "got it")
"""What learners may say themselves."""
MAX_SIGNALS: Final = 4
"""Largest number of bins of a lesson in which the signals of one participant count."""
LESSON_BUDGET: Final = COURSE_BUDGET
MAX_BUDGET: Final = 2.0
MIN_BIN_S: Final = 30
MAX_BIN_S: Final = 1800
MAX_BINS: Final = 240
MAX_K: Final = 1000
_SIGNAL_SHARE: Final = 1 / 3
"""Share of the budget that pays for the signals."""
_UNITS: Final = 1000
"""Integer units per person: shares are rounded to a thousandth."""
_JOINED_SCALE: Final = math.sqrt(0.75)
"""Scale of the component that says that somebody joined: with it, joining changes a sum by no more than other data do."""
_Z95: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonPlan:
    """How a lesson is divided into bins, and what its numbers cost.

    Attributes:
        bin_s: length of a bin in seconds.
        bins: number of bins of the lesson.
        k: minimum noisy number of people for which numbers are published.
        budget: privacy budget of each participant for the lesson, in rho.
        expressions: whether expressions are counted; without them only presence, facing and signals are.

    Raises:
        UsageError: a value is out of range.
    """

    bin_s: int = 300
    bins: int = 12
    k: int = K
    budget: float = LESSON_BUDGET
    expressions: bool = True

    def __post_init__(self) -> None:
        if not MIN_BIN_S <= self.bin_s <= MAX_BIN_S:
            raise UsageError(f"a bin is {self.bin_s} s; it must be {MIN_BIN_S} to {MAX_BIN_S} s")
        if not 1 <= self.bins <= MAX_BINS:
            raise UsageError(f"the lesson has {self.bins} bins; it must have 1 to {MAX_BINS}. Choose longer bins")
        if not K <= self.k <= MAX_K:
            raise UsageError(f"k is {self.k}; it must be {K} to {MAX_K}")
        if not 0.01 <= self.budget <= MAX_BUDGET:
            raise UsageError(f"the privacy budget is {self.budget:g}; it must be 0.01 to {MAX_BUDGET:g}")

    @property
    def categories(self) -> tuple[str, ...]:
        """The expressions that are counted; empty where none may be."""
        return EMOTIONS if self.expressions else ()

    @property
    def length_s(self) -> int:
        """Length of the lesson in seconds."""
        return self.bin_s * self.bins

    @property
    def sensitivity(self) -> float:
        """Largest squared distance between two contributions to a bin, in people squared."""
        return 3.0 if self.expressions else 2.0

    @property
    def noise(self) -> float:
        """Standard deviation of the noise on sums of measured people, in people."""
        return math.sqrt(self.sensitivity * self.bins / (2 * self.budget * (1 - _SIGNAL_SHARE)))

    @property
    def signal_noise(self) -> float:
        """Standard deviation of the noise on the number of signals, in people."""
        # one signal counts in a bin; replacing all signals of a person changes two sums in each bin that has one
        return math.sqrt(2 * min(MAX_SIGNALS, self.bins) / (2 * self.budget * _SIGNAL_SHARE))


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one participant sent in a bin.

    Attributes:
        measured_s: seconds in which a face was measured.
        facing_s: seconds of them facing the screen.
        expression_s: seconds of them by expression, in the order of ``EMOTIONS``; empty where expressions are not counted.
        signal: position in ``SIGNALS``; -1 for none.
    """

    measured_s: float
    facing_s: float
    expression_s: tuple[float, ...] = ()
    signal: int = -1


@dataclass(frozen=True, slots=True)
class PublishedBin:
    """The numbers of a bin, as everybody who may read them gets them; sums have noise.

    Attributes:
        number: position of the bin in the lesson, from 0.
        people: people who joined; None if there are too few, and then nothing else is published.
        signals: people by signal, in the order of ``SIGNALS``; None if there are too few people.
        measured: people whose face was measured; None if there are too few.
        facing: sum of their shares of time facing the screen; None if there are too few.
        expressions: sums of their shares of time by expression; None if there are too few or expressions are not counted.
    """

    number: int
    people: float | None = None
    signals: tuple[float, ...] | None = None
    measured: float | None = None
    facing: float | None = None
    expressions: tuple[float, ...] | None = None


def vector(plan: LessonPlan, contribution: Contribution) -> tuple[int, ...] | None:
    """Return what a participant adds to the sums, in thousandths of a person; None if too little was measured.

    The components are: measured, facing the screen minus one half, and the share of each expression.
    """
    seconds = min(contribution.measured_s, plan.bin_s)
    if seconds < MIN_PRESENCE * plan.bin_s:
        return None
    facing = round(_UNITS * min(max(contribution.facing_s, 0.0) / contribution.measured_s, 1.0)) - _UNITS // 2
    if not plan.expressions:
        return _UNITS, facing
    if sum(contribution.expression_s) <= 0:
        return None
    return _UNITS, facing, *to_units(contribution.expression_s)


def publish(plan: LessonPlan, number: int, joined: int, contributions: Iterable[Contribution], seed: bytes) -> PublishedBin:
    """Return the published numbers of a bin.

    Args:
        plan: the plan of the lesson.
        number: position of the bin.
        joined: number of participants of the class.
        contributions: what they sent in the bin, at most one for each of them.
        seed: secret random bytes, used for this bin only and not stored anywhere.
    """
    random = KeyedRandom(seed, b"lesson bin")
    sums, signals = [0] * (2 + len(plan.categories)), [0] * len(SIGNALS)
    for contribution in contributions:
        row = vector(plan, contribution)
        if row is not None:
            sums = [total + value for total, value in zip(sums, row, strict=True)]
        if contribution.signal >= 0:
            signals[contribution.signal] += _UNITS
    sigma, signal_sigma = round(plan.noise * _UNITS), round(plan.signal_noise * _UNITS)
    people = joined + discrete_gaussian(random, round(sigma / _JOINED_SCALE)) / _UNITS
    measured, centred, *expressions = [(value + discrete_gaussian(random, sigma)) / _UNITS for value in sums]
    said = tuple((value + discrete_gaussian(random, signal_sigma)) / _UNITS for value in signals)
    if people < plan.k:
        return PublishedBin(number)
    if measured < plan.k:
        return PublishedBin(number, people, said)
    people = max(people, measured)  # everybody who was measured has joined
    return PublishedBin(number, people, said, measured, centred + measured / 2, tuple(expressions) if plan.expressions else None)


@dataclass(frozen=True, slots=True)
class BinView:
    """A bin, or the mean of several, as a page shows it.

    Attributes:
        number: position of the last bin.
        people: number of people who joined; None if there are too few.
        measured: number of people who were measured; None if there are too few.
        facing: share of time facing the screen, 0 to 1.
        facing_error: half the width of its 95% interval, as far as noise goes.
        expressions: shares by expression that sum to 1; empty where expressions are not counted.
        error: half the width of the 95% interval of such a share.
        signals: number of people by signal.
        signal_error: half the width of the 95% interval of such a number.
    """

    number: int
    people: int | None = None
    measured: int | None = None
    facing: float | None = None
    facing_error: float | None = None
    expressions: tuple[float, ...] = ()
    error: float | None = None
    signals: tuple[int, ...] | None = None
    signal_error: int | None = None


def view(plan: LessonPlan, bins: Sequence[PublishedBin]) -> BinView:
    """Return the mean of published bins; bins without numbers are left out. ``bins`` must not be empty."""
    number = bins[-1].number
    told = [each for each in bins if each.people is not None and each.signals is not None]
    if not told:
        return BinView(number)
    people = round(sum(each.people or 0.0 for each in told) / len(told))
    signals = tuple(max(0, round(sum((each.signals or ())[k] for each in told) / len(told))) for k in range(len(SIGNALS)))
    signal_error = math.ceil(_Z95 * plan.signal_noise / math.sqrt(len(told)))
    seen = [each for each in told if each.measured is not None]
    if not seen:
        return BinView(number, people, signals=signals, signal_error=signal_error)
    measured = sum(each.measured or 0.0 for each in seen)
    spread = _Z95 * plan.noise * math.sqrt(len(seen)) / measured
    facing = sum(each.facing or 0.0 for each in seen) / measured
    shares: tuple[float, ...] = ()
    if plan.expressions:
        sums = [sum((each.expressions or ())[k] for each in seen) for k in range(len(EMOTIONS))]
        shares = tuple(round(value / measured, 3) for value in project_to_simplex(sums, measured))
    return BinView(
        number,
        people,
        min(people, round(measured / len(seen))),
        round(min(max(facing, 0.0), 1.0), 3),
        round(min(1.0, spread * math.hypot(1.0, 0.5)), 3),
        shares,
        round(min(1.0, spread), 3),
        signals,
        signal_error,
    )
