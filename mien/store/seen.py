"""What is kept of a frame: who was there, what was shown, who faced the screen. No picture, no place, no probability.

Frame results are turned into this in one place, so what adds up sessions and what reads them
back from a file need to know nothing else of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from mien.privacy.release import ReleasedFace, ReleasedResult


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


def seen(result: ReleasedResult) -> SeenFrame:
    """Return what is kept of a frame."""
    return SeenFrame(result.t_s, result.interval_s, tuple(_face(face) for face in result.faces))


def _face(face: ReleasedFace) -> SeenFace:
    shown = face.expression
    if shown is None:
        return SeenFace(face.track_id, "", unread=face.unread, facing=face.facing)
    return SeenFace(face.track_id, shown.label, shown.uncertain, facing=face.facing)
