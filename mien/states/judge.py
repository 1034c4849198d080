"""One rule on one face, or on the picture: from the sums of a window to an answer.

First it is asked whether enough was seen, then whether the conditions hold and have held long
enough. Confidence is the rule's ceiling, times how much of the window was seen, times the mean
confidence of the readings where the rule asks about expressions, times 0.5 for conditions just
met up to 1 for conditions met as far as they can be; the condition met least counts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mien.states.answers import Answer, Verdict
from mien.states.rules import Rule
from mien.states.signals import AT


class Judge:
    """Answers for one rule; state is since when its conditions hold.

    Args:
        rule: the rule.
        track_id: whose face it is about; "" for the picture.
    """

    def __init__(self, rule: Rule, track_id: str = "") -> None:
        self.rule = rule
        self._track_id = track_id
        self._since_s: float | None = None

    def update(self, sums: NDArray[np.float64], t_s: float, clock_s: float) -> Answer:
        """Return the answer now.

        Args:
            sums: (C,) of the rule's window, see :mod:`mien.states.signals`.
            t_s: now, on the source's clock.
            clock_s: now, on a clock that never runs back.
        """
        rule, already = self.rule, self._since_s is not None
        since_s, self._since_s = self._since_s, None  # whatever is not a yes below begins anew
        too_little = self._too_little(sums)
        if too_little:
            return self._answer(t_s, Verdict.NO_EVIDENCE, too_little)
        values = [condition.measure.value(sums) for condition in rule.conditions]
        for condition, value in zip(rule.conditions, values, strict=True):
            if math.isnan(value):
                return self._answer(t_s, Verdict.NO_EVIDENCE, f"{condition.measure.text} is not known")
        failed = [
            (condition, value)
            for condition, value in zip(rule.conditions, values, strict=True)
            if not condition.holds(value, already)
        ]
        for condition, _ in failed:
            if condition.or_no_evidence:
                return self._answer(t_s, Verdict.NO_EVIDENCE, condition.or_no_evidence)
        if failed:
            condition, value = failed[0]
            return self._answer(t_s, Verdict.NO_SIGN, f"{condition.measure.text} is {value:.2f}; needed: {condition.text}")
        self._since_s = clock_s if since_s is None else since_s
        lasted_s = clock_s - self._since_s
        if lasted_s < rule.hold_s:
            return self._answer(t_s, Verdict.NO_SIGN, f"the conditions hold for {lasted_s:.1f} of {rule.hold_s:g} s")
        margin = min(condition.margin(value) for condition, value in zip(rule.conditions, values, strict=True))
        confidence = rule.confidence_max * self._seen(sums) * (0.5 + 0.5 * margin)
        return Answer(t_s, rule.name, rule.kind, self._track_id, Verdict.HOLDS, rule.text, confidence, "", lasted_s - rule.hold_s)

    def interrupt(self) -> None:
        """Note that for a moment nothing was seen: what held then may have ended."""
        self._since_s = None

    def _too_little(self, sums: NDArray[np.float64]) -> str:
        """Return why there is no evidence, "" where there is."""
        least = self.rule.least
        for column, seconds, what in (
            ("watched", least.watched_s, "watched"),
            ("face", least.face_s, "with a face in view"),
            ("read", least.read_s, "with a readable face"),
        ):
            if sums[AT[column]] < seconds:
                return f"only {sums[AT[column]]:.1f} of {seconds:g} s {what}"
        read_s = float(sums[AT["read"]])
        confidence = float(sums[AT["confidence"]]) / read_s if read_s > 0 else 0.0
        if confidence < least.confidence:
            return f"the readings' mean confidence is {confidence:.2f}, below {least.confidence:g}"
        return ""

    def _seen(self, sums: NDArray[np.float64]) -> float:
        """Return how much was seen, 0 to 1: of the window, and how surely where expressions count."""
        if not self.rule.reads_expressions:
            return min(1.0, float(sums[AT["watched"]]) / self.rule.window_s)
        read_s = float(sums[AT["read"]])
        # the sum of seconds times confidence is never more than the seconds
        return min(1.0, read_s / self.rule.window_s) * min(1.0, float(sums[AT["confidence"]]) / read_s)

    def _answer(self, t_s: float, verdict: Verdict, reason: str) -> Answer:
        return Answer(t_s, self.rule.name, self.rule.kind, self._track_id, verdict, reason=reason)
