"""Presentation times that never run back.

Containers carry wrong times: none at all, one that is out of order, or a clock that restarts
in the middle, as in recordings that were glued together. Everything after a source
relies on times that grow.
"""

from __future__ import annotations


class TimestampRepair:
    """Repairs the times of one recording, and counts what it repaired.

    A single time that does not grow is replaced by the nominal step. When the next one does
    not fit either, the clock has been set back: from there on its differences count.

    Args:
        step_s: nominal time between two frames, in seconds.

    Attributes:
        repaired: times that did not grow.
    """

    def __init__(self, step_s: float) -> None:
        self.repaired = 0
        self._step_s = step_s
        self._offset_s = 0.0
        self._stamp_s = 0.0
        self._last_s: float | None = None
        self._doubted = False

    def update(self, stamp_s: float) -> float:
        """Return the time to use for a frame that the file says stands at ``stamp_s``.

        >>> stamps = TimestampRepair(0.04)
        >>> [round(stamps.update(s), 2) for s in (0.0, 0.04, 0.01, 0.12)]
        [0.0, 0.04, 0.08, 0.12]
        >>> [round(stamps.update(s), 2) for s in (0.0, 0.1, 0.3, 0.4)], stamps.repaired
        ([0.16, 0.26, 0.46, 0.56], 3)
        """
        before_s, self._stamp_s = self._stamp_s, stamp_s
        t_s = stamp_s + self._offset_s
        if self._last_s is None:
            t_s = max(0.0, t_s)
        elif t_s > self._last_s:
            self._doubted = False
        else:
            self.repaired += 1
            t_s = self._last_s + self._step_s
            if self._doubted and stamp_s > before_s:
                t_s = self._last_s + stamp_s - before_s
                self._offset_s = t_s - stamp_s
            self._doubted = True
        self._last_s = t_s
        return t_s
