"""Rules as validated records: conditions, confidence and literature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mien.states.signals import Measure

OBSERVABLE: Final = "observable"
"""Kind of rules about observable behaviour."""
STATES: Final = ("confusion", "frustration", "boredom", "lost-attention")
"""Kinds of rules about possible learning states."""
KINDS: Final = (OBSERVABLE, *STATES)
FACE: Final = "face"
PICTURE: Final = "picture"
SUBJECTS: Final[Mapping[str, str]] = {FACE: "each face by itself", PICTURE: "the whole picture"}
MIN_WINDOW_S: Final = 1.0
MAX_WINDOW_S: Final = 600.0
"""Range of windows and minimum durations, in seconds."""
STATE_CEILING: Final = 0.59
"""Largest ``confidence_max`` of rules about states: the best agreement of trained judges on a learner's face (Cohen's kappa
for confusion, at times they chose themselves; D'Mello and Graesser 2010)."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A publication.

    Attributes:
        key: key in rules.
        authors: family names.
        year: of publication.
        title: of the publication.
        found: summary of its finding.
        doi: DOI, "" without one.
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
    """A measure within bounds, with hysteresis: wider bounds while the rule holds.

    Attributes:
        measure: the measure.
        min: lower bound, None for none.
        max: upper bound, None for none.
        stay_min: lower bound while the rule holds; at most ``min``.
        stay_max: upper bound while the rule holds; at least ``max``.
        or_no_evidence: reason, if a failed condition means no evidence; "" if it means no sign.
    """

    measure: Measure
    min: float | None = None
    max: float | None = None
    stay_min: float | None = None
    stay_max: float | None = None
    or_no_evidence: str = ""

    def holds(self, value: float, already: bool) -> bool:
        """Return whether a value is within the bounds; ``already`` uses those while the rule holds."""
        low = self.stay_min if already and self.stay_min is not None else self.min
        high = self.stay_max if already and self.stay_max is not None else self.max
        return (low is None or value >= low) and (high is None or value <= high)

    def margin(self, value: float) -> float:
        """Return the distance of a value from its nearer bound: 0 at the bound, 1 at the far end."""
        middle = None if self.min is None or self.max is None else (self.min + self.max) / 2
        reaches = []
        if self.min is not None:
            reaches.append(_reach(value - self.min, (self.measure.high if middle is None else middle) - self.min))
        if self.max is not None:
            reaches.append(_reach(self.max - value, self.max - (self.measure.low if middle is None else middle)))
        return min(reaches)

    @property
    def text(self) -> str:
        """The condition as text: ``0.6 <= sad_share (stays from 0.5)``."""
        low = "" if self.min is None else f"{self.min:g} <= "
        high = "" if self.max is None else f" <= {self.max:g}"
        stays = [f"{word} {value:g}" for word, value in (("from", self.stay_min), ("up to", self.stay_max)) if value is not None]
        return f"{low}{self.measure.text}{high}" + (f" (stays {', '.join(stays)})" if stays else "")


def _reach(distance: float, span: float) -> float:
    """Return the share of the way from a bound to the far end, 0 to 1."""
    if distance < 0:
        return 0.0
    return min(1.0, distance / span) if span > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Minimum evidence in a window.

    Attributes:
        watched_s: time with frames, in seconds.
        face_s: face time, in seconds.
        read_s: face time with readings, in seconds.
        confidence: mean confidence of the readings, 0 to 1.
    """

    watched_s: float = 0.0
    face_s: float = 0.0
    read_s: float = 0.0
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class InterventionRule:
    """Intervention settings of a rule.

    Attributes:
        text: text of the suggestion.
        after_s: time for which the rule must have held, in seconds.
        cooldown_s: shortest time between interventions of the rule, in seconds.
    """

    text: str
    cooldown_s: float
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: unique name, in lower-case letters, digits and hyphens.
        kind: one of ``KINDS``.
        text: text shown while the rule holds; for states, a possibility.
        about: one of ``SUBJECTS``.
        window_s: length of the window, in seconds.
        conditions: conditions, all of which must hold.
        least: minimum evidence.
        hold_s: time for which the conditions must hold without a break, in seconds.
        confidence_max: largest confidence, 0 to 1.
        evidence: discussion of the evidence.
        literature: publications the rule is based on.
        intervention: intervention settings, None for no intervention.
    """

    name: str
    kind: str
    text: str
    about: str
    window_s: float
    conditions: tuple[Condition, ...]
    least: Evidence
    hold_s: float = 0.0
    confidence_max: float = 1.0
    evidence: str = ""
    literature: tuple[Citation, ...] = ()
    intervention: InterventionRule | None = None

    @property
    def is_state(self) -> bool:
        """Whether the rule is about a state, which needs a permit."""
        return self.kind != OBSERVABLE

    @property
    def reads_expressions(self) -> bool:
        """Whether any condition uses expressions."""
        return any(condition.measure.needs_expressions for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a file.

    Attributes:
        name: display name of the file.
        rules: rules in the order of the file.
        max_per_hour: largest number of interventions of all rules in any hour.
        sources: literature by key.
    """

    name: str
    rules: tuple[Rule, ...]
    max_per_hour: int = 4
    sources: Mapping[str, Citation] = field(default_factory=dict)

    def observables(self) -> RuleSet:
        """Return the rule set without rules about states."""
        return replace(self, rules=tuple(rule for rule in self.rules if not rule.is_state))
