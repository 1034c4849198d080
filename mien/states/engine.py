"""Rules on a stream: every rule asked twice a second, of the picture or of each face in it.

The source's clock is taken as it comes, but time only ever adds up: a clock that steps back
stands still here, and what lies behind a gap of more than a second begins anew. Nothing is kept
of a face that has been gone for some seconds.
"""

from __future__ import annotations

import math
from typing import Any, Final

from mien.privacy.permit import ExpressionPermit
from mien.privacy.release import ReleasedResult
from mien.records import LONGEST_INTERVAL_S, FrameResult
from mien.states.answers import NOBODY, NOT_READ, Answer, Verdict
from mien.states.interventions import Intervention, Interventions
from mien.states.judge import Judge
from mien.states.rules import PICTURE, Rule, RuleSet
from mien.states.seen import Row, Seeing, absent
from mien.states.tally import Tally
from mien.states.windows import Windows, slice_at

GONE_S: Final = 5.0
"""A face that is out of view for longer is gone, with all that was known of it, in seconds."""
KEPT: Final = 16
"""So many faces are judged at once; more are let be until one of them is gone."""


class _Subject:
    """The picture, or one face: its windows and its judges."""

    def __init__(self, rules: tuple[Rule, ...], track_id: str, clock_s: float) -> None:
        self.windows = Windows(max((rule.window_s for rule in rules), default=0.0))
        self.judges = [Judge(rule, track_id) for rule in rules]
        self.seen_s = clock_s

    def answers(self, number: int, t_s: float, clock_s: float) -> list[Answer]:
        sums = {rule_s: self.windows.sums(number, rule_s) for rule_s in {judge.rule.window_s for judge in self.judges}}
        return [judge.update(sums[judge.rule.window_s], t_s, clock_s) for judge in self.judges]


class StateEngine:
    """Answers of all rules, and the interventions they make due.

    Args:
        rules: what to ask.
        permit: leave to read expressions. Without it rules about states are never computed, whatever they ask about,
            and each answers that there is no evidence.
    """

    def __init__(self, rules: RuleSet, permit: ExpressionPermit | None) -> None:
        self.rules = rules
        asked = tuple(rule for rule in rules.rules if permit is not None or not rule.is_state)
        self._of_picture = tuple(rule for rule in asked if rule.about == PICTURE)
        self._of_face = tuple(rule for rule in asked if rule.about != PICTURE)
        self._unasked = tuple(rule for rule in rules.rules if rule not in asked)
        self._seeing = Seeing(permit)
        self._picture = _Subject(self._of_picture, "", 0.0)
        self._faces: dict[str, _Subject] = {}
        self._interventions = Interventions(rules.max_per_hour)
        self._tally = Tally(rules)
        self._offset_s: float | None = None
        self._clock_s = self._judged_s = 0.0
        self._slice = -1
        self._now: list[Answer] = []

    def update(self, result: FrameResult | ReleasedResult) -> list[Intervention]:
        """Take in the next frame; return the interventions it makes due, mostly none."""
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
                for judge in subject.judges:
                    judge.interrupt()
        number = slice_at(self._clock_s)
        self._add(result, number)
        if number == self._slice:
            return []
        self._slice = number
        return self._judge(number, result.t_s)

    @property
    def now(self) -> list[Answer]:
        """The newest answer of each rule, of each face where the rule is about faces; in the rules' order, empty before a frame.

        They are as old as the last frame: where nothing comes from the source any more, nothing is known of now.
        """
        return list(self._now)

    def facts(self) -> dict[str, Any]:
        """Return what the session's summary keeps: seconds by rule and answer, confidence, interventions; plain values."""
        return self._tally.facts(self._interventions.withheld)

    def _add(self, result: FrameResult | ReleasedResult, number: int) -> None:
        """Add a frame to the windows of the picture and of each face, present or out of view for a moment."""
        picture, rows = self._seeing.update(result, self._clock_s)
        self._picture.windows.add(number, picture)
        if not self._of_face:
            return
        for track_id in rows:
            if track_id not in self._faces and len(self._faces) < KEPT:
                self._faces[track_id] = _Subject(self._of_face, track_id, self._clock_s)
        away: Row = absent(float(picture[0]))
        for track_id, subject in list(self._faces.items()):
            if track_id in rows:
                subject.seen_s = self._clock_s
            elif self._clock_s - subject.seen_s > GONE_S:
                del self._faces[track_id]
                self._interventions.forget(track_id)
                continue
            subject.windows.add(number, rows.get(track_id, away))

    def _judge(self, number: int, t_s: float) -> list[Intervention]:
        """Ask every rule, and return the interventions that come of it."""
        # the last answers stood until now, but no longer than a frame can stand for
        self._tally.update(self._now, min(self._clock_s - self._judged_s, LONGEST_INTERVAL_S))
        self._judged_s = self._clock_s
        found = self._picture.answers(number, t_s, self._clock_s)
        for subject in self._faces.values():
            found += subject.answers(number, t_s, self._clock_s)
        if not self._faces:
            found += [Answer(t_s, rule.name, rule.kind, "", Verdict.NO_EVIDENCE, reason=NOBODY) for rule in self._of_face]
        found += [Answer(t_s, rule.name, rule.kind, "", Verdict.NO_EVIDENCE, reason=NOT_READ) for rule in self._unasked]
        place = {rule.name: at for at, rule in enumerate(self.rules.rules)}
        self._now = sorted(found, key=lambda answer: place[answer.rule])
        due = []
        for answer in self._now:
            intervention = self._interventions.update(self.rules.rules[place[answer.rule]], answer, self._clock_s)
            if intervention is not None:
                self._tally.add(intervention)
                due.append(intervention)
        return due
