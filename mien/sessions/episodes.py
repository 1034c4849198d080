"""Transitions between expressions, and how long each expression lasts.

An episode is the time in which one face shows one label. It continues over a short gap in the
readings. A longer gap ends it, and the next label is not counted as a transition.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.sessions.records import SeenFrame

LONGEST_GAP_S: Final = 0.5
"""An episode continues over a gap of up to this many seconds."""
KEPT: Final = 1000
"""This many of the newest episodes are kept individually; older ones only as counts and sums."""


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


@dataclass(frozen=True, slots=True)
class _Open:
    """An episode that may continue, with the last frame in which its face was read."""

    episode: Episode
    t_s: float
    interval_s: float

    def is_over(self, frame: SeenFrame) -> bool:
        """Return whether the gap before ``frame`` is too long.

        The shorter of the two intervals is the frame rate: the other one may include part of the gap.
        """
        return frame.t_s - self.t_s - min(self.interval_s, frame.interval_s) > LONGEST_GAP_S


class Episodes:
    """Transitions between labels and dwell times, over all faces."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._closed: deque[Episode] = deque(maxlen=KEPT)
        self._transitions = np.zeros((len(EMOTIONS), len(EMOTIONS)), np.int64)
        self._count = np.zeros(len(EMOTIONS), np.int64)
        self._seconds, self._longest_s = np.zeros(len(EMOTIONS)), np.zeros(len(EMOTIONS))

    def update(self, frame: SeenFrame) -> None:
        """Count the next frame."""
        for name in [name for name, last in self._open.items() if last.is_over(frame)]:
            self._close(self._open.pop(name).episode)
        for face in frame.faces:
            if face.unread:
                continue
            started = Episode(face.track_id, face.label, frame.t_s, frame.t_s + frame.interval_s)
            last = self._open.get(face.track_id)
            if last is not None and last.episode.label == face.label:
                started = replace(started, start_s=last.episode.start_s)
            elif last is not None:
                before = last.episode
                self._transitions[EMOTIONS.index(before.label), EMOTIONS.index(face.label)] += 1
                # it ends where the next one starts, without a gap or overlap between frames of different length
                self._close(replace(before, end_s=min(before.end_s, frame.t_s)))
            self._open[face.track_id] = _Open(started, frame.t_s, frame.interval_s)

    @property
    def transitions(self) -> NDArray[np.int64]:
        """(7, 7) counts: from the row's label to the column's, within a face, without a gap."""
        return self._transitions.copy()

    @property
    def episodes(self) -> list[Episode]:
        """The newest ``KEPT`` episodes that ended, and those that continue, by their start."""
        return sorted(
            (*self._closed, *(last.episode for last in self._open.values())),
            key=lambda episode: (episode.start_s, episode.track_id),
        )

    @property
    def dwell(self) -> dict[str, dict[str, float]]:
        """By label: ``count`` of episodes, their ``mean_s`` and ``longest_s``; labels that were never shown are left out."""
        count, seconds, longest = self._count.copy(), self._seconds.copy(), self._longest_s.copy()
        for episode in (last.episode for last in self._open.values()):
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
