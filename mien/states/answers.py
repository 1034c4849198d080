"""What a rule answers: it holds, there is no sign, or there is no evidence. The last is an answer too."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """The three answers.

    Attributes:
        HOLDS: what the rule describes was seen; a state only ever may be.
        NO_SIGN: it was not seen, though enough was; a state may be all the same.
        NO_EVIDENCE: too little was seen to say either.
    """

    HOLDS = "holds"
    NO_SIGN = "no sign"
    NO_EVIDENCE = "no evidence"


NOT_READ: Final = "expressions are not read under this policy, so no state is judged"
NOBODY: Final = "no face in view"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one rule at one moment.

    Attributes:
        t_s: when, in seconds on the source's clock.
        rule: the rule's name.
        kind: ``observable``, or the state.
        track_id: whose face it is about; "" for the picture, or where there is no face.
        verdict: the answer.
        text: what the rule says where it holds, "" elsewhere.
        confidence: 0 to 1, 0 where the rule does not hold; how well its conditions are met and how much was seen, never
            above the rule's ceiling. No probability that anybody is in a state.
        reason: why there is no sign or no evidence, "" where the rule holds.
        lasted_s: how long the rule has held, in seconds.
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
        """The answer as people see it."""
        return f"{self.text} ({self.confidence:.0%})" if self.holds else f"{self.verdict}: {self.reason}"
