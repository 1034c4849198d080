"""Repairs presentation times, so that they increase strictly.

Times in a container may be missing, out of order, or restart in the middle, as in concatenated
recordings. Later stages require increasing times.
"""

from __future__ import annotations


class TimestampRepair:
    """Repairs the times of one recording and counts the repairs.

    A single time that does not increase is replaced using the nominal interval. If the next one does
    not fit either, the clock has restarted, and the differences from there on are used.

    Args:
        step_s: nominal interval between two frames in seconds.

    Attributes:
        repaired: number of times that did not increase.
    """

    def __init__(self, step_s: float) -> None:
        self.repaired = 0
        self._step_s = step_s
        self._offset_s = 0.0
        self._stamp_s = 0.0
        self._last_s: float | None = None
        self._was_repaired = False

    def update(self, stamp_s: float) -> float:
        """Return the repaired time of the next frame, whose time in the file is ``stamp_s``.

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
            self._was_repaired = False
        else:
            self.repaired += 1
            t_s = self._last_s + self._step_s
            if self._was_repaired and stamp_s > before_s:
                t_s = self._last_s + stamp_s - before_s
                self._offset_s = t_s - stamp_s
            self._was_repaired = True
        self._last_s = t_s
        return t_s
