"""Monitors the health of a source: losses, stalls, black frames and resolution changes.

The thread that reads a live source and the thread of the view use the same monitor, so it is thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.records import SourceHealth

STALL_S: Final = 1.0
"""A live source without a frame for this many seconds is stalled."""
_BLACK_S: Final = 1.0  # a camera may be dark for a moment when it starts
_BLACK_MEAN: Final = 4.0  # grey levels; the sensor noise of a covered camera is below
_BLACK_SPREAD: Final = 2.0
_STRIDE: Final = 8  # pixels between samples; a finer grid gives the same result


class HealthMonitor:
    """Monitors the health of one source. Thread-safe.

    Args:
        clock: returns the current time in seconds on the clock of the frames; None for a recording,
            which cannot stall and may contain black scenes.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts = SourceHealth()
        self._size: tuple[int, ...] | None = None
        self._newest_s: float | None = None
        self._black_since_s: float | None = None
        self._lost = False

    def update(self, t_s: float, image: NDArray[np.uint8]) -> None:
        """Add the next frame, (H, W, 3) uint8, at ``t_s`` seconds."""
        with self._lock:
            counts = self._counts
            gap_s = t_s - self._newest_s if self._newest_s is not None else 0.0
            if self._lost:
                counts = replace(counts, reopenings=counts.reopenings + 1, lost_s=counts.lost_s + gap_s)
            elif self._clock is not None and gap_s > STALL_S:
                counts = replace(counts, stalls=counts.stalls + 1, lost_s=counts.lost_s + gap_s)
            if self._size is not None and image.shape != self._size:
                counts = replace(counts, resolution_changes=counts.resolution_changes + 1)
            if is_black(image):
                counts = replace(counts, black_frames=counts.black_frames + 1)
                self._black_since_s = t_s if self._black_since_s is None else self._black_since_s
            else:
                self._black_since_s = None
            self._counts, self._size, self._newest_s, self._lost = counts, image.shape, t_s, False

    def mark_lost(self) -> None:
        """Record that the connection was lost; the next frame counts as a reopening."""
        with self._lock:
            if not self._lost:
                self._lost = True
                self._counts = replace(self._counts, losses=self._counts.losses + 1)

    @property
    def health(self) -> SourceHealth:
        """Current health and counts; an ongoing gap is included in ``lost_s``."""
        with self._lock:
            if self._newest_s is None:
                return self._counts
            silent_s = max(0.0, self._clock() - self._newest_s) if self._clock is not None else 0.0
            if self._lost or silent_s > STALL_S:
                counts = replace(self._counts, since_s=silent_s, lost_s=self._counts.lost_s + silent_s)
                return replace(counts, state="lost") if self._lost else replace(counts, state="stalled")
            if self._clock is not None and self._black_since_s is not None and self._newest_s - self._black_since_s >= _BLACK_S:
                return replace(self._counts, state="black", since_s=self._newest_s - self._black_since_s)
            return self._counts


def is_black(image: NDArray[np.uint8]) -> bool:
    """Return whether a (H, W, 3) uint8 picture is black: dark and uniform."""
    seen = image[::_STRIDE, ::_STRIDE]
    return float(seen.mean()) < _BLACK_MEAN and float(seen.std()) < _BLACK_SPREAD


def health_message(name: str, health: SourceHealth) -> str:
    """Return a message on the source's state for the user; "" if it is fine.

    Args:
        name: display name of the source.
        health: its health.

    >>> health_message("camera 0", SourceHealth(state="lost", since_s=4.2))
    'camera 0: no signal for 4 s, reconnecting'
    """
    match health.state:
        case "stalled":
            return f"{name}: no picture for {health.since_s:.0f} s"
        case "lost":
            return f"{name}: no signal for {health.since_s:.0f} s, reconnecting"
        case "black":
            return f"{name} sends black pictures. Is the lens covered or the camera disabled?"
        case "ok":
            return ""


class HealthNotices:
    """Notices for the user when a source is lost or black, and when it recovers. Stalls are too frequent for a notice.

    Args:
        name: display name of the source.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._before = SourceHealth()

    def update(self, health: SourceHealth) -> str:
        """Return a notice if the state has changed since the last call, else ""."""
        before, self._before = self._before, health
        fine = ("ok", "stalled")
        if health.state == before.state or (health.state in fine and before.state in fine):
            return ""
        return (
            f"{self._name} is back after {before.since_s:.0f} s" if health.state in fine else health_message(self._name, health)
        )
