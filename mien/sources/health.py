"""How a source fares: what goes wrong with it is noticed and counted here, and put into words.

A live source is watched from two sides at once, by the thread that reads it and by the view that
shows it, so every change is made under a lock.
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
"""Without a frame for this long, a live source is stalled."""
_BLACK_S: Final = 1.0  # a camera that starts may be dark for a moment; a covered one stays black
_BLACK_MEAN: Final = 4.0  # grey levels: sensor noise behind a shutter stays below
_BLACK_SPREAD: Final = 2.0
_STRIDE: Final = 8  # every eighth pixel each way tells as much


class HealthMonitor:
    """The health of one source, from its frames and its losses.

    Args:
        clock: seconds now on the clock that frames are stamped with; None for a recording,
            which cannot be late, and may be black for as long as its maker liked.
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
        """Take in the next (H, W, 3) uint8 frame, which came at ``t_s`` seconds."""
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
        """Note that the source was given up; its next frame will be one after a reopening."""
        with self._lock:
            if not self._lost:
                self._lost = True
                self._counts = replace(self._counts, losses=self._counts.losses + 1)

    @property
    def health(self) -> SourceHealth:
        """How it fares now; the time of a gap counts while the gap lasts."""
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
    """Tell whether a (H, W, 3) uint8 picture shows nothing: near 0 everywhere, and even."""
    seen = image[::_STRIDE, ::_STRIDE]
    return float(seen.mean()) < _BLACK_MEAN and float(seen.std()) < _BLACK_SPREAD


def health_message(name: str, health: SourceHealth) -> str:
    """Return what a person should know of a source's state now, "" where all is well.

    Args:
        name: the source, for people.
        health: how it fares.

    >>> health_message("camera 0", SourceHealth("lost", since_s=4.2))
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
    """Says when a source is lost or black, and when that is over; stalls come and go too often to be news.

    Args:
        name: the source, for people.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._before = SourceHealth()

    def update(self, health: SourceHealth) -> str:
        """Return a sentence if something has changed since the last call, else ""."""
        before, self._before = self._before, health
        well = ("ok", "stalled")
        if health.state == before.state or (health.state in well and before.state in well):
            return ""
        return (
            f"{self._name} is back after {before.since_s:.0f} s" if health.state in well else health_message(self._name, health)
        )
