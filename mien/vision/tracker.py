"""Giving each face a name that lasts from frame to frame, and no longer than the session.

Names are random and say nothing of the person: who leaves and comes back is someone new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from mien.records import Box, Detection


@dataclass(slots=True)
class _Track:
    track_id: str
    box: Box
    seen_s: float


class Tracker:
    """Matches detections to tracks by overlap, best pairs first over the whole frame.

    Args:
        random: source of the names; seed it for recorded sources, so that a replay gives
            the same bytes.
        min_iou: least overlap of a match, 0 to 1.
        forget_s: a track unseen for this long is over, in seconds.
    """

    def __init__(self, random: Random, min_iou: float = 0.2, forget_s: float = 1.0) -> None:
        self._random = random
        self._min_iou = min_iou
        self._forget_s = forget_s
        self._tracks: list[_Track] = []
        self._used: set[str] = set()

    def update(self, t_s: float, detections: Sequence[Detection]) -> tuple[str, ...]:
        """Return one track name a detection, in the order of the detections.

        Args:
            t_s: time of the frame in seconds; never runs back.
            detections: the frame's faces.
        """
        self._tracks = [track for track in self._tracks if t_s - track.seen_s <= self._forget_s]
        pairs = sorted(
            (
                (-track.box.iou(detection.box), i, j)
                for i, track in enumerate(self._tracks)
                for j, detection in enumerate(detections)
            ),
        )
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for negative_iou, i, j in pairs:
            if -negative_iou >= self._min_iou and i not in taken and j not in matched:
                matched[j] = self._tracks[i]
                taken.add(i)
        for j, detection in enumerate(detections):
            if j in matched:
                matched[j].box, matched[j].seen_s = detection.box, t_s
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
