"""Interventions: when they are due, and their content. Delivery is elsewhere.

Each rule has a cooldown, and all rules together have an hourly limit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from mien.states.answers import RuleAnswer
from mien.states.rules import Rule

EVENT_KIND: Final = "intervention"
"""Event kind of interventions."""
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Intervention:
    """One suggestion to the user.

    Attributes:
        t_s: time on the source's clock, in seconds.
        rule: name of the rule.
        kind: kind of the rule: ``observable``, or a state.
        track_id: track id of the face; "" for the picture.
        confidence: confidence of the result, 0 to 1.
        message: text of the suggestion.
        wording: text of the rule.
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
        """All fields except time and track as a JSON-compatible dict, for an event of ``EVENT_KIND``."""
        return {
            "rule": self.rule,
            "message": self.message,
            "kind": self.kind,
            "wording": self.wording,
            "confidence": round(self.confidence, 3),
        }


class Interventions:
    """Turns results of rules into interventions.

    Args:
        max_per_hour: largest number of interventions of all rules in any hour.

    Attributes:
        withheld: number of interventions suppressed by cooldown or limit; a rule that keeps holding counts once.
    """

    def __init__(self, max_per_hour: int) -> None:
        self._max_per_hour = max_per_hour
        self._last_s: dict[str, float] = {}
        self._sent_s: deque[float] = deque()
        self._done: set[tuple[str, str]] = set()
        self.withheld = 0

    def update(self, rule: Rule, answer: RuleAnswer, clock_s: float) -> Intervention | None:
        """Return the intervention due after a rule's newest result, or None.

        A rule causes at most one each time it starts to hold.

        Args:
            rule: the rule.
            answer: its result.
            clock_s: current time on a monotonic clock, in seconds.
        """
        subject = rule.name, answer.track_id
        settings = rule.intervention
        if settings is None or not answer.holds:
            self._done.discard(subject)
            return None
        if subject in self._done or answer.lasted_s < settings.after_s:
            return None
        self._done.add(subject)
        while self._sent_s and clock_s - self._sent_s[0] >= _HOUR_S:
            self._sent_s.popleft()
        last_s = self._last_s.get(rule.name)
        if (last_s is not None and clock_s - last_s < settings.cooldown_s) or len(self._sent_s) >= self._max_per_hour:
            self.withheld += 1
            return None
        self._last_s[rule.name] = clock_s
        self._sent_s.append(clock_s)
        return Intervention(answer.t_s, rule.name, rule.kind, answer.track_id, answer.confidence, settings.text, answer.text)

    def forget(self, track_id: str) -> None:
        """Delete the state of a face."""
        self._done = {subject for subject in self._done if subject[1] != track_id}
