"""One name for a face over all segments of a recording.

Neighbouring segments have one frame in common: the last of the one is read again before the
other begins. Who is in the same place of the same picture is the same face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random
from typing import Final

import numpy as np

from mien.records import FaceReading, FrameResult
from mien.vision.assignment import assign
from mien.vision.tracker import random_name

_MIN_IOU: Final = 0.3
_FORBIDDEN: Final = 10.0
"""Cost of a pair that cannot be; true costs are between -1 and 0."""


class Stitcher:
    """Gives the faces of one segment after the other their names.

    Args:
        random: source of the names that two segments came upon by chance; seeded, so that a
            recording put together again gives the same.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._used: set[str] = set()
        self._last: FrameResult | None = None

    def segment(self, results: Iterable[FrameResult], first: int) -> Iterator[FrameResult]:
        """Yield the frames of the next segment with the names that hold.

        Args:
            results: its frames, the last one of the segment before at the head.
            first: number of its first frame.
        """
        names: dict[str, str] = {}
        for result in results:
            if result.index < first:
                names = self._matched(result)
                continue
            for face in result.faces:
                if face.track_id not in names:
                    names[face.track_id] = self._new(face.track_id)
            faces = tuple(replace(face, track_id=names[face.track_id]) for face in result.faces)
            self._last = replace(result, faces=faces)
            yield self._last

    def _matched(self, seam: FrameResult) -> dict[str, str]:
        """Return what the faces of the common frame were called before, by what they are called now."""
        if self._last is None or self._last.index != seam.index:
            return {}
        before: tuple[FaceReading, ...] = self._last.faces
        cost = np.full((len(before), len(seam.faces)), _FORBIDDEN)
        for i, old in enumerate(before):
            for j, new in enumerate(seam.faces):
                iou = old.detection.box.iou(new.detection.box)
                if iou >= _MIN_IOU:
                    cost[i, j] = -iou
        return {seam.faces[j].track_id: before[i].track_id for i, j in assign(cost) if cost[i, j] < _FORBIDDEN}

    def _new(self, wish: str) -> str:
        """Return a name that nobody had in this recording."""
        while wish in self._used:
            wish = random_name(self._random)
        self._used.add(wish)
        return wish
