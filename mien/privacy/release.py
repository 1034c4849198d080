"""What may leave the pipeline: a result without pictures, and without whatever the policy keeps back.

Everything that stores, sends or adds up takes a ``ReleasedResult``, which only ``release``
makes, from a policy. What it holds is named here field by field; a field that somebody adds
to ``FaceReading`` tomorrow is not released until it is named here too. Landmarks, crops and
embeddings have no field.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import Final

from mien.privacy.level import Level
from mien.privacy.policy import Policy
from mien.records import Box, FaceReading, FrameResult, HeadPose


class _Seal:
    """What only this module holds."""


_SEAL: Final = _Seal()


@dataclass(frozen=True, slots=True)
class ReleasedExpression:
    """What a face shows.

    Attributes:
        label: the class that is shown.
        confidence: its smoothed probability, 0 to 1.
        uncertain: whether it should be taken for a guess.
        raw: 7 probabilities of this frame alone, classes as in ``EMOTIONS``.
        smoothed: the same, smoothed over time.
    """

    label: str
    confidence: float
    uncertain: bool
    raw: tuple[float, ...]
    smoothed: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ReleasedFace:
    """One face, as far as it may be known.

    Attributes:
        track_id: a random name that ends with the session.
        score: the detector's confidence, 0 to 1.
        side_px: the shorter side of the face's box in pixels.
        facing: whether it faces the screen; None where nobody can tell.
        unread: why it was not read, in a word or two, or "".
        expression: what it shows; None where it was not read, or may not be.
        box: where it is; None where only observables are released.
        pose: where the head points; None as for ``box``, or where nobody can tell.
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
    """All faces of one frame, as far as the policy releases them.

    Attributes:
        index: the frame's index.
        t_s: the frame's time in seconds.
        interval_s: how much time the frame stands for, in seconds.
        size: the frame's width and height in pixels.
        level: what it was released under.
        faces: from left to right.

    Raises:
        TypeError: made by something else than ``release``.
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
            raise TypeError("a released result is made by mien.privacy.release.release, from a policy")


def release(policy: Policy, result: FrameResult) -> ReleasedResult:
    """Return what ``policy`` releases of ``result``.

    Raises:
        NotPermittedError: the policy releases nothing.
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
        facing=None if face.pose is None else face.pose.faces_screen(),
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
