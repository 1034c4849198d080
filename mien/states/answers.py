"""Results of rules: holds, no sign, or no evidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """Verdict of a rule.

    Attributes:
        HOLDS: the conditions of the rule hold; a state is a possibility only.
        NO_SIGN: the conditions do not hold, with enough evidence; a state is not ruled out.
        NO_EVIDENCE: there is too little evidence.
    """

    HOLDS = "holds"
    NO_SIGN = "no sign"
    NO_EVIDENCE = "no evidence"


NOT_READ: Final = "the policy permits no expressions, so states are not evaluated"
NO_FACE: Final = "no face in view"


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """Result of one rule at one time.

    Attributes:
        t_s: time on the source's clock, in seconds.
        rule: name of the rule.
        kind: ``observable``, or the state.
        track_id: track id of the face; "" for the picture or without a face.
        verdict: the verdict.
        text: text of the rule if it holds, otherwise "".
        confidence: 0 to the rule's maximum, 0 if the rule does not hold; how clearly the conditions hold and how much
            evidence there is. Not a probability of a state.
        reason: reason for no sign or no evidence, "" if the rule holds.
        lasted_s: time for which the rule has held, in seconds.
    """

    t_s: float
    rule: str
    kind: str
    track_id: str
    verdict: Verdict
    text: str = ""
    confidence: float = 0.0
    reason: str = ""
    lasted_s: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the rule holds."""
        return self.verdict is Verdict.HOLDS

    @property
    def words(self) -> str:
        """The result as text for users."""
        return f"{self.text} ({self.confidence:.0%})" if self.holds else f"{self.verdict}: {self.reason}"
