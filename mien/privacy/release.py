"""Released results: what the policy allows to leave the pipeline, without images.

Code that stores, sends or aggregates takes a ``ReleasedResult``, which only ``release`` creates.
Fields are listed explicitly, so a new field of ``FaceReading`` is not released until it is added
here. There are no fields for landmarks, crops and embeddings.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import Final

from mien.privacy.level import Level
from mien.privacy.policy import Policy
from mien.records import Box, FaceReading, FrameResult, HeadPose


class _Seal:
    """A token that only this module has."""


_SEAL: Final = _Seal()


@dataclass(frozen=True, slots=True)
class ReleasedExpression:
    """The predicted expression of a face.

    Attributes:
        label: the displayed class.
        confidence: smoothed probability of ``label``, 0 to 1.
        uncertain: whether the confidence is below the class's threshold.
        raw: 7 probabilities of this frame, in the order of ``EMOTIONS``.
        smoothed: 7 probabilities smoothed over time.
    """

    label: str
    confidence: float
    uncertain: bool
    raw: tuple[float, ...]
    smoothed: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedFace:
    """One face, as far as the policy permits.

    Attributes:
        track_id: a random name that ends with the session.
        score: the detector's confidence, 0 to 1.
        side_px: the shorter side of the face's box in pixels.
        facing: whether the face faces the screen; None if unknown.
        unread: reason why no expression was predicted, or "".
        expression: the predicted expression; None if there is none or it is not permitted.
        box: position of the face; None if only observables are permitted.
        pose: head pose; None if unknown or only observables are permitted.
    """

    track_id: str
    score: float
    side_px: int
    facing: bool | None
    unread: str
    expression: ReleasedExpression | None = None
    box: Box | None = None
    pose: HeadPose | None = None


@dataclass(frozen=True, slots=True)
class ReleasedResult:
    """All faces of one frame, as far as the policy permits.

    Attributes:
        index: the frame's index.
        t_s: the frame's time in seconds.
        interval_s: the time that the frame represents, in seconds.
        size: the frame's width and height in pixels.
        level: level of the policy.
        faces: from left to right.

    Raises:
        TypeError: not created by ``release``.
    """

    index: int
    t_s: float
    interval_s: float
    size: tuple[int, int]
    level: Level
    faces: tuple[ReleasedFace, ...]
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("a ReleasedResult is created by mien.privacy.release.release")


def release(policy: Policy, result: FrameResult) -> ReleasedResult:
    """Return the part of ``result`` that ``policy`` permits.

    Raises:
        NotPermittedError: the policy permits nothing.
    """
    policy.require(Level.OBSERVABLES)
    full = policy.level is Level.FULL
    width, height = result.size
    return ReleasedResult(
        index=int(result.index),
        t_s=float(result.t_s),
        interval_s=float(result.interval_s),
        size=(int(width), int(height)),
        level=policy.level,
        faces=tuple(_full(face) if full else _observables(face) for face in result.faces),
        seal=_SEAL,
    )


def _observables(face: FaceReading) -> ReleasedFace:
    box = face.detection.box
    return ReleasedFace(
        track_id=str(face.track_id),
        score=float(face.detection.score),
        side_px=round(min(float(box.w), float(box.h))),
        facing=None if face.facing is None else bool(face.facing),
        unread=str(face.unread),
    )


def _full(face: FaceReading) -> ReleasedFace:
    seen, box, pose = _observables(face), face.detection.box, face.pose
    return ReleasedFace(
        track_id=seen.track_id,
        score=seen.score,
        side_px=seen.side_px,
        facing=seen.facing,
        unread=seen.unread,
        expression=None
        if face.unread
        else ReleasedExpression(
            label=str(face.label),
            confidence=float(face.confidence),
            uncertain=bool(face.uncertain),
            raw=tuple(float(p) for p in face.raw),
            smoothed=tuple(float(p) for p in face.smoothed),
        ),
        box=Box(float(box.x), float(box.y), float(box.w), float(box.h)),
        pose=None if pose is None else HeadPose(float(pose.yaw_deg), float(pose.pitch_deg), float(pose.roll_deg)),
    )
