"""When does something count as lasting? When the same detector saw it in m of the last n windows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError


@dataclass(frozen=True, slots=True)
class Persistence:
    """The rule: m of n.

    Attributes:
        m: so many windows must be flagged,
        n: of so many in a row.
    """

    m: int = 3
    n: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.m <= self.n:
            raise UsageError(f"persistence {self.m} of {self.n} cannot be: use m from 1 to n")


class Persistent:
    """Counts flags by detector.

    Args:
        rule: m of n.
        detectors: how many detectors there are.
    """

    def __init__(self, rule: Persistence, detectors: int) -> None:
        self._rule = rule
        self._flags: deque[NDArray[np.bool_]] = deque(maxlen=rule.n)
        self._detectors = detectors

    def update(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return (J,) bool, which detectors have flagged m of the last n windows and this one, given (J,) flags of this one."""
        self._flags.append(flags)
        return np.asarray((self.counts >= self._rule.m) & flags)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(J,) int64, flags of each detector among the last n windows."""
        return np.sum(self._flags, axis=0) if self._flags else np.zeros(self._detectors, np.int64)

    def reset(self) -> None:
        """Forget all windows."""
        self._flags.clear()
