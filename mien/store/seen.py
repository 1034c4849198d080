"""What is kept of a frame: who was there, what was shown, who faced the screen. No picture, no place, no probability.

Frame results are turned into this in one place, so what adds up sessions and what reads them
back from a file need to know nothing else of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mien.records import FrameResult, HeadPose

FACING_YAW_DEG: Final = 35.0
FACING_PITCH_DEG: Final = 28.0
"""A head turned no further than this, sideways and up or down, faces the screen."""


@dataclass(frozen=True, slots=True)
class SeenFace:
    """One face in one frame.

    Attributes:
        track_id: its random name.
        label: the expression shown, "" where none was read.
        uncertain: whether the label is a guess.
        unread: why nothing was read, in a word or two; "" where something was.
        facing: whether it faces the screen; None where nobody can tell.
    """

    track_id: str
    label: str
    uncertain: bool = False
    unread: str = ""
    facing: bool | None = None


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """All faces of one frame.

    Attributes:
        t_s: the frame's time in seconds.
        interval_s: how much time it stands for.
        faces: who was there.
    """

    t_s: float
    interval_s: float
    faces: tuple[SeenFace, ...]


def seen(result: FrameResult) -> SeenFrame:
    """Return what is kept of a frame."""
    faces = tuple(
        SeenFace(face.track_id, face.label, face.uncertain, face.unread, faces_screen(face.pose)) for face in result.faces
    )
    return SeenFrame(result.t_s, result.interval_s, faces)


def faces_screen(pose: HeadPose | None) -> bool | None:
    """Return whether a head points at the screen; None where its pose is not known."""
    if pose is None:
        return None
    return abs(pose.yaw_deg) <= FACING_YAW_DEG and abs(pose.pitch_deg) <= FACING_PITCH_DEG
