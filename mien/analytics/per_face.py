"""What each face adds to a session, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.records import FrameResult

KEPT: Final = 64
"""So many faces are told apart; the time of later ones goes to ``others``."""
OTHERS: Final = "others"


@dataclass(slots=True)
class FaceTime:
    """Time of one face in seconds.

    Attributes:
        presence_s: in the picture.
        label_s: (7,) read, by label.
    """

    presence_s: float = 0.0
    label_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(EMOTIONS)))


class PerFace:
    """Presence, and face time by label, track by track, in the order in which they came."""

    def __init__(self) -> None:
        self._faces: dict[str, FaceTime] = {}

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
        for face in result.faces:
            name = face.track_id if face.track_id in self._faces or len(self._faces) < KEPT else OTHERS
            time = self._faces.setdefault(name, FaceTime())
            time.presence_s += result.interval_s
            if not face.unread:
                time.label_s[EMOTIONS.index(face.label)] += result.interval_s

    @property
    def faces(self) -> dict[str, FaceTime]:
        """Time by track; not to be changed."""
        return self._faces
