"""Persistence rule: a detector must flag m of the last n windows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError


@dataclass(frozen=True, slots=True)
class PersistenceRule:
    """m of n windows.

    Attributes:
        m: number of flagged windows, 1 to n.
        n: number of consecutive windows.

    Raises:
        UsageError: m is not from 1 to n.
    """

    m: int = 3
    n: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.m <= self.n:
            raise UsageError(f"persistence {self.m} of {self.n} is invalid; m must be from 1 to n")


class PersistenceFilter:
    """Applies the rule to each detector.

    Args:
        rule: the persistence rule.
        detectors: number of detectors J.
    """

    def __init__(self, rule: PersistenceRule, detectors: int) -> None:
        self._rule = rule
        self._flags: deque[NDArray[np.bool_]] = deque(maxlen=rule.n)
        self._detectors = detectors

    def update(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return (J,) bool, which detectors flag this window and m of the last n, given the (J,) bool flags of this window."""
        self._flags.append(flags)
        return np.asarray((self.counts >= self._rule.m) & flags)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(J,) int64 flag counts in the last n windows."""
        return np.sum(self._flags, axis=0) if self._flags else np.zeros(self._detectors, np.int64)

    def reset(self) -> None:
        """Reset the history."""
        self._flags.clear()
