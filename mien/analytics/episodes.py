"""From which expression to which, and how long each lasts.

An episode is the time in which one face shows one label. Where a face is not read for less
than a moment the episode goes on; longer, and it has ended when it was last seen.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.records import FrameResult

LONGEST_GAP_S: Final = 0.5
"""An episode goes on over a gap up to this long, in seconds."""
KEPT: Final = 1000
"""The newest episodes are kept one by one; of older ones only counts and sums are."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One face, one label, from ``start_s`` to ``end_s`` on the source's clock."""

    track_id: str
    label: str
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end_s - self.start_s


class Episodes:
    """Transitions between labels and dwell times, over all faces."""

    def __init__(self) -> None:
        self._open: dict[str, Episode] = {}
        self._closed: deque[Episode] = deque(maxlen=KEPT)
        self._transitions = np.zeros((len(EMOTIONS), len(EMOTIONS)), np.int64)
        self._count = np.zeros(len(EMOTIONS), np.int64)
        self._seconds, self._longest_s = np.zeros(len(EMOTIONS)), np.zeros(len(EMOTIONS))

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
        for face in result.faces:
            if face.unread:
                continue
            end_s = result.t_s + result.interval_s
            before = self._open.get(face.track_id)
            if before is not None and result.t_s - before.end_s > LONGEST_GAP_S:
                self._close(before)
                before = None
            if before is not None and before.label == face.label:
                self._open[face.track_id] = Episode(face.track_id, face.label, before.start_s, end_s)
                continue
            if before is not None:
                self._transitions[EMOTIONS.index(before.label), EMOTIONS.index(face.label)] += 1
                # it lasted until the other began: frames of different length leave neither gap nor overlap
                self._close(Episode(before.track_id, before.label, before.start_s, min(before.end_s, result.t_s)))
            self._open[face.track_id] = Episode(face.track_id, face.label, result.t_s, end_s)
        for name in [name for name, episode in self._open.items() if result.t_s - episode.end_s > LONGEST_GAP_S]:
            self._close(self._open.pop(name))

    @property
    def transitions(self) -> NDArray[np.int64]:
        """(7, 7) counts: from the row's label to the column's, within a face, without a gap."""
        return self._transitions.copy()

    @property
    def episodes(self) -> list[Episode]:
        """The newest episodes and those that last, by their start; at most ``KEPT`` that have ended."""
        return sorted((*self._closed, *self._open.values()), key=lambda episode: (episode.start_s, episode.track_id))

    @property
    def dwell(self) -> dict[str, dict[str, float]]:
        """By label: ``count`` of episodes, their ``mean_s`` and ``longest_s``; labels that were never shown are left out."""
        count, seconds, longest = self._count.copy(), self._seconds.copy(), self._longest_s.copy()
        for episode in self._open.values():
            at = EMOTIONS.index(episode.label)
            count[at] += 1
            seconds[at] += episode.seconds
            longest[at] = max(longest[at], episode.seconds)
        return {
            name: {"count": int(count[k]), "mean_s": float(seconds[k] / count[k]), "longest_s": float(longest[k])}
            for k, name in enumerate(EMOTIONS)
            if count[k]
        }

    def _close(self, episode: Episode) -> None:
        at = EMOTIONS.index(episode.label)
        self._closed.append(episode)
        self._count[at] += 1
        self._seconds[at] += episode.seconds
        self._longest_s[at] = max(self._longest_s[at], episode.seconds)
