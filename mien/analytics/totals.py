"""The plain counts of a session."""

from __future__ import annotations

from collections import Counter

from mien.records import FrameResult


class Totals:
    """Frames, frames with a face, the most faces at once, readings, guesses, why others were not read, and the time passed."""

    def __init__(self) -> None:
        self.frames = 0
        self.frames_with_face = 0
        self.faces_max = 0
        self.readings = 0
        self.uncertain = 0
        self.unread: Counter[str] = Counter()
        self._first_s: float | None = None
        self._last_s = 0.0

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
        self.frames += 1
        self.frames_with_face += bool(result.faces)
        self.faces_max = max(self.faces_max, len(result.faces))
        self.readings += sum(not face.unread for face in result.faces)
        self.unread.update(face.unread for face in result.faces if face.unread)
        self.uncertain += sum(face.uncertain for face in result.faces)
        if self._first_s is None:
            self._first_s = result.t_s
        self._last_s = result.t_s

    @property
    def elapsed_s(self) -> float:
        """Seconds from the first frame to the last, on the source's clock."""
        return self._last_s - self._first_s if self._first_s is not None else 0.0
