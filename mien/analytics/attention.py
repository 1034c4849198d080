"""Is somebody there, and does a head point at the screen?

A head that points at the screen is all that can be seen; whether its owner attends cannot.
The limits of ``HeadPose.faces_screen`` are narrower for coming back than for turning away, so
that a head at the limit does not blink.
"""

from __future__ import annotations

import math
from typing import Final

from mien.records import FrameResult

BACK: Final = 0.8
"""A head that was away is back below this share of the limits."""


class Attention:
    """Time with a face, and time in which heads point at the screen, each face for itself."""

    def __init__(self) -> None:
        self.facing_now: bool | None = None
        self._facing: dict[str, bool] = {}
        self._seconds = self._with_face_s = self._posed_s = self._facing_s = 0.0

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
        self._seconds += result.interval_s
        self._with_face_s += result.interval_s * bool(result.faces)
        facing: dict[str, bool] = {}
        for face in result.faces:
            if face.pose is not None:
                facing[face.track_id] = face.pose.faces_screen(1.0 if self._facing.get(face.track_id, True) else BACK)
                self._posed_s += result.interval_s
                self._facing_s += result.interval_s * facing[face.track_id]
        self._facing = facing
        self.facing_now = any(facing.values()) if facing else None

    @property
    def presence_share(self) -> float:
        """Share of the time in which a face was there; 0 before any time has passed."""
        return self._with_face_s / self._seconds if self._seconds > 0 else 0.0

    @property
    def facing_share(self) -> float:
        """Share of the face time with a known pose in which the head pointed at the screen; NaN before there is any."""
        return self._facing_s / self._posed_s if self._posed_s > 0 else math.nan
