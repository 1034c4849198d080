"""Evaluation of rules on a stream, twice a second, per picture or per face.

Internal time is monotonic: it stands still when the source's clock steps back, and conditions restart
after a gap of more than a second. The state of a face is deleted after some seconds out of view.
"""

from __future__ import annotations

import math
from typing import Any, Final

from mien.privacy.policy import ExpressionPermit
from mien.privacy.release import ReleasedResult
from mien.records import LONGEST_INTERVAL_S, FrameResult
from mien.states.answers import NO_FACE, NOT_READ, RuleAnswer, Verdict
from mien.states.interventions import Intervention, Interventions
from mien.states.judge import RuleEvaluator
from mien.states.rules import PICTURE, Rule, RuleSet
from mien.states.seen import Row, SignalExtractor, absent
from mien.states.tally import StateTally
from mien.states.windows import Windows, slice_at

FORGET_AFTER_S: Final = 5.0
"""Seconds out of view after which the state of a face is deleted."""
MAX_FACES: Final = 16
"""Largest number of faces evaluated at a time; further faces are ignored."""


class _Subject:
    """The picture or one face, with its windows and rule evaluators."""

    def __init__(self, rules: tuple[Rule, ...], track_id: str, clock_s: float) -> None:
        self.windows = Windows(max((rule.window_s for rule in rules), default=0.0))
        self.evaluators = [RuleEvaluator(rule, track_id) for rule in rules]
        self.seen_s = clock_s

    def answers(self, number: int, t_s: float, clock_s: float) -> list[RuleAnswer]:
        sums = {
            rule_s: self.windows.sums(number, rule_s) for rule_s in {evaluator.rule.window_s for evaluator in self.evaluators}
        }
        return [evaluator.update(sums[evaluator.rule.window_s], t_s, clock_s) for evaluator in self.evaluators]


class StateEngine:
    """Evaluates all rules and returns the interventions that are due.

    Args:
        rules: the rules to evaluate.
        permit: permit to use expressions. Without it rules about states are not evaluated and have the verdict
            ``NO_EVIDENCE``.
    """

    def __init__(self, rules: RuleSet, permit: ExpressionPermit | None) -> None:
        self.rules = rules
        evaluated = tuple(rule for rule in rules.rules if permit is not None or not rule.is_state)
        self._of_picture = tuple(rule for rule in evaluated if rule.about == PICTURE)
        self._of_face = tuple(rule for rule in evaluated if rule.about != PICTURE)
        self._not_evaluated = tuple(rule for rule in rules.rules if rule not in evaluated)
        self._signals = SignalExtractor(permit)
        self._picture = _Subject(self._of_picture, "", 0.0)
        self._faces: dict[str, _Subject] = {}
        self._interventions = Interventions(rules.max_per_hour)
        self._tally = StateTally(rules)
        self._offset_s: float | None = None
        self._clock_s = self._evaluated_s = 0.0
        self._slice = -1
        self._results: list[RuleAnswer] = []

    def update(self, result: FrameResult | ReleasedResult) -> list[Intervention]:
        """Process the next frame and return the interventions that are due, usually none.

        Raises:
            ValueError: the frame's time is not finite.
        """
        if not math.isfinite(result.t_s):
            raise ValueError(f"a frame's time is {result.t_s}")
        before_s = self._clock_s
        if self._offset_s is None:
            self._offset_s = result.t_s
        if result.t_s - self._offset_s < before_s:
            self._offset_s = result.t_s - before_s
        self._clock_s = result.t_s - self._offset_s
        if self._clock_s - before_s > LONGEST_INTERVAL_S:
            for subject in (self._picture, *self._faces.values()):
                for evaluator in subject.evaluators:
                    evaluator.interrupt()
        number = slice_at(self._clock_s)
        self._add(result, number)
        if number == self._slice:
            return []
        self._slice = number
        return self._evaluate(number, result.t_s)

    @property
    def now(self) -> list[RuleAnswer]:
        """The newest result of each rule, and face for rules about faces, in the order of the rules; empty at first.

        Results refer to the time of the last frame.
        """
        return list(self._results)

    def facts(self) -> dict[str, Any]:
        """Return the states section of the session summary as a JSON-compatible dict: seconds by rule and verdict, confidence,
        interventions."""
        return self._tally.facts(self._interventions.withheld)

    def _add(self, result: FrameResult | ReleasedResult, number: int) -> None:
        """Add a frame to the windows of the picture and of each face, in view or briefly out of view."""
        picture, rows = self._signals.update(result, self._clock_s)
        self._picture.windows.add(number, picture)
        if not self._of_face:
            return
        for track_id in rows:
            if track_id not in self._faces and len(self._faces) < MAX_FACES:
                self._faces[track_id] = _Subject(self._of_face, track_id, self._clock_s)
        away: Row = absent(float(picture[0]))
        for track_id, subject in list(self._faces.items()):
            if track_id in rows:
                subject.seen_s = self._clock_s
            elif self._clock_s - subject.seen_s > FORGET_AFTER_S:
                del self._faces[track_id]
                self._interventions.forget(track_id)
                continue
            subject.windows.add(number, rows.get(track_id, away))

    def _evaluate(self, number: int, t_s: float) -> list[Intervention]:
        """Evaluate every rule and return the interventions that are due."""
        # the last results are valid until now, up to the longest interval
        self._tally.update(self._results, min(self._clock_s - self._evaluated_s, LONGEST_INTERVAL_S))
        self._evaluated_s = self._clock_s
        found = self._picture.answers(number, t_s, self._clock_s)
        for subject in self._faces.values():
            found += subject.answers(number, t_s, self._clock_s)
        if not self._faces:
            found += [RuleAnswer(t_s, rule.name, rule.kind, "", Verdict.NO_EVIDENCE, reason=NO_FACE) for rule in self._of_face]
        found += [RuleAnswer(t_s, rule.name, rule.kind, "", Verdict.NO_EVIDENCE, reason=NOT_READ) for rule in self._not_evaluated]
        order = {rule.name: at for at, rule in enumerate(self.rules.rules)}
        self._results = sorted(found, key=lambda answer: order[answer.rule])
        due = []
        for answer in self._results:
            intervention = self._interventions.update(self.rules.rules[order[answer.rule]], answer, self._clock_s)
            if intervention is not None:
                self._tally.add(intervention)
                due.append(intervention)
        return due
