"""Frames, faces and two small rules for tests of learning states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from factories import probabilities

from mien.privacy.deployment import Deployment
from mien.privacy.policy import decide, permit_expressions
from mien.records import Box, Detection, FaceReading, FrameResult, HeadPose
from mien.states.answers import RuleAnswer
from mien.states.engine import StateEngine
from mien.states.interventions import Intervention
from mien.states.rules import Rule, RuleSet
from mien.states.rules_file import parse_rules

POLICY = decide()
PERMIT = permit_expressions(POLICY)
SCHOOL = decide(
    Deployment("education-institution", "EU", "feedback-to-the-learner", operator="a", contact="b", legal_basis="consent")
)
RULES = """
[interventions]
max_per_hour = {per_hour}
[[rule]]
name = "away"
kind = "observable"
about = "picture"
text = "Head turned away"
window_s = 10
hold_s = {hold_s}
[rule.least]
watched_s = 6
face_s = 2
[[rule.condition]]
signal = "screen_share"
max = 0.3
stay_max = 0.5
[rule.intervention]
text = "Pause?"
after_s = {after_s}
cooldown_s = {cooldown_s}
[[rule]]
name = "gloom"
kind = "frustration"
about = "face"
text = "May be frustration"
window_s = 10
confidence_max = 0.25
evidence = "Weak."
literature = ["a"]
[rule.least]
watched_s = 4
read_s = 4
confidence = 0.5
[[rule.condition]]
signal = "angry_share + sad_share"
min = 0.6
stay_min = 0.4
[literature.a]
authors = "A"
year = 2000
title = "T"
found = "F."
"""


def rules(per_hour: int = 60, hold_s: float = 0, after_s: float = 0, cooldown_s: float = 10) -> RuleSet:
    return parse_rules(RULES.format(per_hour=per_hour, hold_s=hold_s, after_s=after_s, cooldown_s=cooldown_s), "x")


def face(
    name: str = "k3f9", label: str = "neutral", confidence: float = 0.9, yaw: float | None = 0.0, unread: str = ""
) -> FaceReading:
    row = np.full(7, np.nan, np.float32) if unread else probabilities(label, confidence)
    pose = None if yaw is None else HeadPose(yaw, 0, 0)
    return FaceReading(
        track_id=name,
        detection=Detection(Box(0, 0, 60, 60), 0.9, None),
        raw=row,
        smoothed=row,
        label="" if unread else label,
        uncertain_below=0.4,
        pose=pose,
        unread=unread,
    )


def frame(t_s: float, faces: Sequence[FaceReading] = (), interval_s: float = 0.1) -> FrameResult:
    return FrameResult(round(t_s * 10), t_s, (640, 480), tuple(faces), interval_s)


def stream(seconds: float, faces: Sequence[FaceReading], start_s: float = 0.0, fps: float = 10) -> list[FrameResult]:
    return [frame(start_s + k / fps, faces, 1 / fps) for k in range(round(seconds * fps))]


def feed(engine: StateEngine, results: Iterable[FrameResult]) -> list[Intervention]:
    return [due for result in results for due in engine.update(result)]


def answer(engine: StateEngine, rule: str) -> RuleAnswer:
    (found,) = [each for each in engine.now if each.rule == rule]
    return found


def away(hold_s: float = 0) -> Rule:
    return rules(hold_s=hold_s).rules[0]
