"""Totals of rule results for the session summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mien.states.answers import RuleAnswer, Verdict
from mien.states.interventions import Intervention
from mien.states.rules import RuleSet

MAX_INTERVENTIONS: Final = 1000
"""Number of newest interventions kept; older ones are only counted."""


@dataclass(slots=True)
class _RuleTime:
    """Seconds of one rule, over all faces."""

    seconds: dict[Verdict, float] = field(default_factory=lambda: dict.fromkeys(Verdict, 0.0))
    confidence_s: float = 0.0
    highest: float = 0.0
    times: int = 0
    holding: frozenset[str] = frozenset()


class StateTally:
    """Accumulates results per face, weighted by duration.

    Args:
        rules: the rules to count.
    """

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._times = {rule.name: _RuleTime() for rule in rules.rules}
        self._interventions: list[Intervention] = []
        self._count = 0

    def update(self, answers: Sequence[RuleAnswer], seconds: float) -> None:
        """Count results, one per rule and face, for a duration in seconds."""
        for answer in answers:
            time = self._times[answer.rule]
            time.seconds[answer.verdict] += seconds
            if answer.holds:
                time.confidence_s += seconds * answer.confidence
                time.highest = max(time.highest, answer.confidence)
        for name, time in self._times.items():
            holding = frozenset(answer.track_id for answer in answers if answer.rule == name and answer.holds)
            time.times += len(holding - time.holding)
            time.holding = holding

    def add(self, intervention: Intervention) -> None:
        """Count an intervention."""
        self._count += 1
        self._interventions = [*self._interventions, intervention][-MAX_INTERVENTIONS:]

    def facts(self, withheld: int) -> dict[str, Any]:
        """Return all totals as a JSON-compatible dict.

        Args:
            withheld: number of suppressed interventions.
        """
        rules = {}
        for rule in self._rules.rules:
            time = self._times[rule.name]
            held_s = time.seconds[Verdict.HOLDS]
            rules[rule.name] = {
                "kind": rule.kind,
                "text": rule.text,
                "holds_s": round(held_s, 3),
                "no_sign_s": round(time.seconds[Verdict.NO_SIGN], 3),
                "no_evidence_s": round(time.seconds[Verdict.NO_EVIDENCE], 3),
                "times": time.times,
                "confidence_mean": round(time.confidence_s / held_s, 4) if held_s > 0 else None,
                "confidence_highest": round(time.highest, 4) if time.times else None,
            }
        interventions = [{"t_s": round(each.t_s, 3), "track_id": each.track_id, **each.details} for each in self._interventions]
        return {
            "file": self._rules.name,
            "rules": rules,
            "interventions": interventions,
            "interventions_count": self._count,
            "withheld": withheld,
        }
