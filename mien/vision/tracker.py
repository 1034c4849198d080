"""Giving each face a name that lasts from frame to frame, and no longer than the session.

Names are random and say nothing of the person: who leaves and comes back is someone new.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np

from mien.records import Box, Detection
from mien.vision.assignment import assign

_MOTION_S: Final = 0.15
"""Time constant with which a face's speed is learnt."""
_COASTING_S: Final = 0.5
"""Time constant with which an unseen face is thought to come to rest."""
_FORBIDDEN: Final = 10.0
"""Cost of a pair that cannot be; true costs are between -1 and 1."""


@dataclass(slots=True)
class _Track:
    track_id: str
    box: Box
    seen_s: float
    speed: tuple[float, float] | None = None

    def expected(self, t_s: float) -> Box:
        """Return where the face should be at ``t_s``: it goes on as it went, and comes to rest."""
        vx, vy = self.speed or (0.0, 0.0)
        way_s = _COASTING_S * (1 - math.exp(-max(0.0, t_s - self.seen_s) / _COASTING_S))
        return Box(self.box.x + vx * way_s, self.box.y + vy * way_s, self.box.w, self.box.h)

    def saw(self, box: Box, t_s: float) -> None:
        """Take in where the face is at ``t_s``."""
        passed_s = t_s - self.seen_s
        if passed_s > 0:
            new = tuple((a - b) / passed_s for a, b in zip(_centre(box), _centre(self.box), strict=True))
            keep = 0.0 if self.speed is None else math.exp(-passed_s / _MOTION_S)
            old = self.speed or (0.0, 0.0)
            self.speed = (keep * old[0] + (1 - keep) * new[0], keep * old[1] + (1 - keep) * new[1])
        self.box, self.seen_s = box, t_s


class Tracker:
    """Matches the faces of a frame to the tracks so that all of them together fit best.

    A pair is as good as its distance-IoU (Zheng et al. 2020, arXiv:1911.08287) between the
    face and where its track should be by now, so faces that cross keep their names and a
    short turn away does not end a track.

    Args:
        random: source of the names; seed it for recorded sources, so that a replay gives
            the same bytes.
        min_likeness: least distance-IoU of a match, -1 to 1; -0.2 is a face that moved by its
            own width unforeseen.
        forget_s: a track unseen for this long is over, in seconds.
    """

    def __init__(self, random: Random, min_likeness: float = -0.2, forget_s: float = 1.0) -> None:
        self._random = random
        self._min_likeness = min_likeness
        self._forget_s = forget_s
        self._tracks: list[_Track] = []
        self._used: set[str] = set()

    def update(self, t_s: float, detections: Sequence[Detection]) -> tuple[str, ...]:
        """Return one track name a detection, in the order of the detections.

        Args:
            t_s: time of the frame in seconds; where it runs back, all tracks are over.
            detections: the frame's faces.
        """
        self._tracks = [track for track in self._tracks if 0 <= t_s - track.seen_s <= self._forget_s]
        expected = [track.expected(t_s) for track in self._tracks]
        cost = np.full((len(expected), len(detections)), _FORBIDDEN)
        for i, box in enumerate(expected):
            for j, detection in enumerate(detections):
                likeness = _distance_iou(box, detection.box)
                if likeness >= self._min_likeness:
                    cost[i, j] = -likeness
        matched = {j: self._tracks[i] for i, j in assign(cost) if cost[i, j] < _FORBIDDEN}
        for j, detection in enumerate(detections):
            if j in matched:
                matched[j].saw(detection.box, t_s)
            else:
                matched[j] = _Track(self._new_name(), detection.box, t_s)
                self._tracks.append(matched[j])
        return tuple(matched[j].track_id for j in range(len(detections)))

    @property
    def active(self) -> frozenset[str]:
        """Names of the tracks that may still be matched."""
        return frozenset(track.track_id for track in self._tracks)

    def _new_name(self) -> str:
        """Return six hexadecimal digits not used before in this session."""
        while True:
            name = f"{self._random.getrandbits(24):06x}"
            if name not in self._used:
                self._used.add(name)
                return name


def _centre(box: Box) -> tuple[float, float]:
    return box.x + box.w / 2, box.y + box.h / 2


def _distance_iou(a: Box, b: Box) -> float:
    """Return IoU less the squared distance of the centres, in diagonals of what encloses both; -1 to 1."""
    across = max(a.x + a.w, b.x + b.w) - min(a.x, b.x)
    down = max(a.y + a.h, b.y + b.h) - min(a.y, b.y)
    diagonal = across * across + down * down
    if diagonal <= 0:
        return 1.0
    (ax, ay), (bx, by) = _centre(a), _centre(b)
    return a.iou(b) - ((ax - bx) ** 2 + (ay - by) ** 2) / diagonal
