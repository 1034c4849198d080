"""Matches tracks across the segments of a recording.

Neighbouring segments share one frame: the last frame of a segment is read again before the next one.
Faces whose boxes overlap in that frame are the same face.
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
"""Cost of an impossible pair; all other costs are between -1 and 0."""


class Stitcher:
    """Assigns recording-wide track names to the faces of consecutive segments.

    Args:
        random: random generator for a new name if two segments use the same one by chance; seeded, so that
            results are reproducible.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._used: set[str] = set()
        self._last: FrameResult | None = None

    def segment(self, results: Iterable[FrameResult], first: int) -> Iterator[FrameResult]:
        """Yield the frames of the next segment with recording-wide track names.

        Args:
            results: its frames, preceded by the last frame of the previous segment.
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
        """Return the names of the previous segment by those of the next one, for faces in the shared frame."""
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

    def _new(self, name: str) -> str:
        """Return ``name``, or a random one if it is already used in this recording."""
        while name in self._used:
            name = random_name(self._random)
        self._used.add(name)
        return name
