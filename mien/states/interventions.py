"""Interventions: whether one is due, and what it says. Carrying it anywhere is not done here.

A suggestion that comes too often is worse than none, so each rule keeps silent for a while after
one, and all rules together have a limit by the hour.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from mien.states.answers import Answer
from mien.states.rules import Rule

EVENT_KIND: Final = "intervention"
"""The kind of the event that an intervention becomes."""
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Intervention:
    """One suggestion, ready to be shown, kept as an event, or sent.

    Attributes:
        t_s: when, in seconds on the source's clock.
        rule: the rule that asked for it.
        kind: the rule's kind: ``observable``, or a state.
        track_id: whose face it is about; "" for the picture.
        confidence: the answer's, 0 to 1.
        message: the suggestion.
        wording: what the rule says: what was seen, or what may be.
    """

    t_s: float
    rule: str
    kind: str
    track_id: str
    confidence: float
    message: str
    wording: str

    @property
    def details(self) -> dict[str, Any]:
        """All but time and track as plain values, for an event of ``EVENT_KIND``."""
        return {
            "rule": self.rule,
            "message": self.message,
            "kind": self.kind,
            "wording": self.wording,
            "confidence": round(self.confidence, 3),
        }


class Interventions:
    """Decides which answers become interventions.

    Args:
        max_per_hour: so many of all rules together in any hour.

    Attributes:
        withheld: times one was due and did not come, because of the rule's cooldown or the limit; a rule that goes on
            holding counts once.
    """

    def __init__(self, max_per_hour: int) -> None:
        self._max_per_hour = max_per_hour
        self._last_s: dict[str, float] = {}
        self._sent_s: deque[float] = deque()
        self._done: set[tuple[str, str]] = set()
        self.withheld = 0

    def update(self, rule: Rule, answer: Answer, clock_s: float) -> Intervention | None:
        """Return the intervention that a rule's newest answer makes due, None where there is none.

        Each time the rule begins to hold makes at most one.

        Args:
            rule: the rule.
            answer: its answer.
            clock_s: now, on a clock that never runs back.
        """
        subject = rule.name, answer.track_id
        wish = rule.intervention
        if wish is None or not answer.holds:
            self._done.discard(subject)
            return None
        if subject in self._done or answer.lasted_s < wish.after_s:
            return None
        self._done.add(subject)
        while self._sent_s and clock_s - self._sent_s[0] >= _HOUR_S:
            self._sent_s.popleft()
        last_s = self._last_s.get(rule.name)
        if (last_s is not None and clock_s - last_s < wish.cooldown_s) or len(self._sent_s) >= self._max_per_hour:
            self.withheld += 1
            return None
        self._last_s[rule.name] = clock_s
        self._sent_s.append(clock_s)
        return Intervention(answer.t_s, rule.name, rule.kind, answer.track_id, answer.confidence, wish.text, answer.text)

    def forget(self, track_id: str) -> None:
        """Forget a face that is gone."""
        self._done = {subject for subject in self._done if subject[1] != track_id}
