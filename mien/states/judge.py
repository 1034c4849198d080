"""Evaluation of one rule on one face or the picture, from window sums.

Evidence is checked first, then the conditions and their minimum duration. Confidence is the rule's
maximum, times the share of the window with evidence, times the mean confidence of the readings if the
rule uses expressions, times a factor from 0.5 (conditions just hold) to 1 (they hold by the largest
margin); the condition with the smallest margin counts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mien.states.answers import RuleAnswer, Verdict
from mien.states.rules import Rule
from mien.states.signals import AT


class RuleEvaluator:
    """Evaluates one rule. Remembers since when its conditions hold.

    Args:
        rule: the rule.
        track_id: track id of the face; "" for the picture.
    """

    def __init__(self, rule: Rule, track_id: str = "") -> None:
        self.rule = rule
        self._track_id = track_id
        self._since_s: float | None = None

    def update(self, sums: NDArray[np.float64], t_s: float, clock_s: float) -> RuleAnswer:
        """Return the current result.

        Args:
            sums: (C,) float64 sums over the rule's window, see :mod:`mien.states.signals`.
            t_s: current time on the source's clock, in seconds.
            clock_s: current time on a monotonic clock, in seconds.
        """
        rule, already = self.rule, self._since_s is not None
        since_s, self._since_s = self._since_s, None  # restarts unless all conditions hold below
        missing = self._missing_evidence(sums)
        if missing:
            return self._answer(t_s, Verdict.NO_EVIDENCE, missing)
        values = [condition.measure.value(sums) for condition in rule.conditions]
        for condition, value in zip(rule.conditions, values, strict=True):
            if math.isnan(value):
                return self._answer(t_s, Verdict.NO_EVIDENCE, f"{condition.measure.text} is unknown")
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
            return self._answer(t_s, Verdict.NO_SIGN, f"{condition.measure.text} is {value:.2f}; required: {condition.text}")
        self._since_s = clock_s if since_s is None else since_s
        lasted_s = clock_s - self._since_s
        if lasted_s < rule.hold_s:
            return self._answer(t_s, Verdict.NO_SIGN, f"the conditions hold for {lasted_s:.1f} of {rule.hold_s:g} s")
        margin = min(condition.margin(value) for condition, value in zip(rule.conditions, values, strict=True))
        confidence = rule.confidence_max * self._coverage(sums) * (0.5 + 0.5 * margin)
        return RuleAnswer(
            t_s, rule.name, rule.kind, self._track_id, Verdict.HOLDS, rule.text, confidence, "", lasted_s - rule.hold_s
        )

    def interrupt(self) -> None:
        """Record an interruption of the input; conditions must hold again from the start."""
        self._since_s = None

    def _missing_evidence(self, sums: NDArray[np.float64]) -> str:
        """Return the reason for missing evidence, "" if there is enough."""
        required = self.rule.least
        for column, seconds, what in (
            ("watched", required.watched_s, "watched"),
            ("face", required.face_s, "with a face in view"),
            ("read", required.read_s, "with a readable face"),
        ):
            if sums[AT[column]] < seconds:
                return f"only {sums[AT[column]]:.1f} of {seconds:g} s {what}"
        read_s = float(sums[AT["read"]])
        confidence = float(sums[AT["confidence"]]) / read_s if read_s > 0 else 0.0
        if confidence < required.confidence:
            return f"the readings' mean confidence is {confidence:.2f}, below {required.confidence:g}"
        return ""

    def _coverage(self, sums: NDArray[np.float64]) -> float:
        """Return the share of the window with evidence, 0 to 1, times the mean confidence for rules about expressions."""
        if not self.rule.reads_expressions:
            return min(1.0, float(sums[AT["watched"]]) / self.rule.window_s)
        read_s = float(sums[AT["read"]])
        # the mean confidence is at most 1, except for rounding
        return min(1.0, read_s / self.rule.window_s) * min(1.0, float(sums[AT["confidence"]]) / read_s)

    def _answer(self, t_s: float, verdict: Verdict, reason: str) -> RuleAnswer:
        return RuleAnswer(t_s, self.rule.name, self.rule.kind, self._track_id, verdict, reason=reason)
