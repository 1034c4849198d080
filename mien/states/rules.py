"""Rules as records: what each asks for, and on whose findings it rests.

They hold what a rules file says, checked; reading and judging happen elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mien.states.signals import Measure

OBSERVABLE: Final = "observable"
"""The kind of a rule about what can be seen."""
STATES: Final = ("confusion", "frustration", "boredom", "lost-attention")
"""The kinds of rules about what may be going on with a learner."""
KINDS: Final = (OBSERVABLE, *STATES)
FACE: Final = "face"
PICTURE: Final = "picture"
SUBJECTS: Final[Mapping[str, str]] = {FACE: "each face by itself", PICTURE: "the whole picture"}
SHORTEST_S: Final = 1.0
LONGEST_S: Final = 600.0
"""Windows and minimum durations, in seconds."""
STATE_CEILING: Final = 0.59
"""No rule for a state may be surer than this: trained judges agreed at most so well on a learner's face (Cohen's kappa
for confusion, at moments that they chose themselves; D'Mello and Graesser 2010)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A publication.

    Attributes:
        key: how rules call it.
        authors: family names.
        year: of publication.
        title: of the publication.
        found: what it found, in a sentence of ours.
        doi: "" where it has none.
    """

    key: str
    authors: str
    year: int
    title: str
    found: str
    doi: str = ""

    @property
    def short(self) -> str:
        """Authors and year."""
        return f"{self.authors} {self.year}"


@dataclass(frozen=True, slots=True)
class Condition:
    """A measure within bounds, which are wider once the rule holds, so that a value at a bound does not flicker.

    Attributes:
        measure: what is asked about.
        min: the least it must be, None for no such bound.
        max: the most it may be.
        stay_min: the least it must be once the rule holds; not above ``min``.
        stay_max: the same for the most.
        or_no_evidence: why the answer is "no evidence" where this fails; "" where it is "no sign".
    """

    measure: Measure
    min: float | None = None
    max: float | None = None
    stay_min: float | None = None
    stay_max: float | None = None
    or_no_evidence: str = ""

    def holds(self, value: float, already: bool) -> bool:
        """Return whether a value is within the bounds; ``already``: the wider ones, because the rule holds."""
        low = self.stay_min if already and self.stay_min is not None else self.min
        high = self.stay_max if already and self.stay_max is not None else self.max
        return (low is None or value >= low) and (high is None or value <= high)

    def margin(self, value: float) -> float:
        """Return how far beyond its nearer bound a value lies: 0 at the bound, 1 at the far end of the scale or of the band."""
        middle = None if self.min is None or self.max is None else (self.min + self.max) / 2
        reaches = []
        if self.min is not None:
            reaches.append(_reach(value - self.min, (self.measure.high if middle is None else middle) - self.min))
        if self.max is not None:
            reaches.append(_reach(self.max - value, self.max - (self.measure.low if middle is None else middle)))
        return min(reaches)

    @property
    def text(self) -> str:
        """The condition as a person reads it: ``0.6 <= sad_share (stays from 0.5)``."""
        low = "" if self.min is None else f"{self.min:g} <= "
        high = "" if self.max is None else f" <= {self.max:g}"
        stays = [f"{word} {value:g}" for word, value in (("from", self.stay_min), ("up to", self.stay_max)) if value is not None]
        return f"{low}{self.measure.text}{high}" + (f" (stays {', '.join(stays)})" if stays else "")


def _reach(beyond: float, whole: float) -> float:
    """Return which part of the way from a bound to the far end was gone, 0 to 1."""
    if beyond < 0:
        return 0.0
    return min(1.0, beyond / whole) if whole > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Least:
    """What must have been seen in a window at the least; with less there is no evidence.

    Attributes:
        watched_s: seconds for which there were frames.
        face_s: seconds of face time.
        read_s: seconds of face time in which the face could be read.
        confidence: mean confidence of these readings, 0 to 1.
    """

    watched_s: float = 0.0
    face_s: float = 0.0
    read_s: float = 0.0
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Wish:
    """The intervention a rule asks for.

    Attributes:
        text: the suggestion, for people.
        after_s: the rule must have held so long before.
        cooldown_s: the rule then keeps silent so long.
    """

    text: str
    cooldown_s: float
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: its own, in small letters and hyphens.
        kind: one of ``KINDS``.
        text: what is said when it holds; of a state, what may be.
        about: one of ``SUBJECTS``.
        window_s: how far back it looks.
        conditions: all must hold.
        least: what must have been seen.
        hold_s: the conditions must have held so long without a break.
        confidence_max: the most its confidence can be, 0 to 1.
        evidence: what speaks for and against it, for people.
        literature: on whose findings it rests.
        intervention: what it asks for, if anything.
    """

    name: str
    kind: str
    text: str
    about: str
    window_s: float
    conditions: tuple[Condition, ...]
    least: Least
    hold_s: float = 0.0
    confidence_max: float = 1.0
    evidence: str = ""
    literature: tuple[Source, ...] = ()
    intervention: Wish | None = None

    @property
    def is_state(self) -> bool:
        """Whether it is about a state, which takes a permit."""
        return self.kind != OBSERVABLE

    @property
    def reads_expressions(self) -> bool:
        """Whether any of its conditions asks about expressions."""
        return any(condition.measure.needs_expressions for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a file.

    Attributes:
        name: the file, for people.
        rules: in the file's order.
        max_per_hour: so many interventions of all rules together in any hour.
        sources: all literature, by key.
    """

    name: str
    rules: tuple[Rule, ...]
    max_per_hour: int = 4
    sources: Mapping[str, Source] = field(default_factory=dict)

    def observables(self) -> RuleSet:
        """Return the same without the rules for states."""
        return replace(self, rules=tuple(rule for rule in self.rules if not rule.is_state))
