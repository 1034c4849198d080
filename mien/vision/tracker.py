"""Face tracking within one session.

Track names are random and do not identify a person: a person who leaves and returns gets a new name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.records import LONGEST_INTERVAL_S, Box, Detection
from mien.vision.appearance import Appearance
from mien.vision.assignment import assign

_MOTION_S: Final = 0.15
"""Time constant of the velocity estimate, in seconds."""
_COASTING_S: Final = 0.5
"""Time constant with which the assumed velocity of an unseen face decays, in seconds."""
_LETTERS: Final = "bcdfghjkmnpqrstvwxz"
_NO_MATCH: Final = 10.0
"""Cost of a pair that must not be matched; other costs are between -1 and 1."""
_STEPS: Final = 1.5
"""If the frames of a source are more than a second apart, a track ends after this many frame intervals without a detection."""
_LIKENESS: Final = (0.8, 0.2, 0.5)
"""Minimum similarity of a face to its track: the first value, reduced by the second per second without a detection, but not
below the third. On the clips, the similarity of the same face after 0.08 s is 0.90 to 1, and after 0.5 s at least 0.8 in nine
of ten cases. Different people at the same place reach at most 0.71, and half of them less than 0.4."""


def name_source(seed: int | None) -> Random:
    """Return the random generator for track names.

    Args:
        seed: seed of a recording, whose names must be reproducible; None for a live source, whose names must be
            unpredictable.
    """
    return SystemRandom() if seed is None else Random(seed)  # noqa: S311  a recording's names must be reproducible


def random_name(random: Random) -> str:
    """Return a name of six consonants.

    Spreadsheets and pandas never convert such names to numbers or dates; they would do so for one in twelve names of
    hexadecimal digits (``080525``, ``12e345``).
    """
    return "".join(random.choice(_LETTERS) for _ in range(6))


@dataclass(slots=True)
class _Track:
    track_id: str
    box: Box
    seen_s: float
    appearance: Appearance | None = None
    speed: tuple[float, float] | None = None

    def expected(self, t_s: float) -> Box:
        """Return the predicted box at ``t_s`` from the decaying velocity."""
        vx, vy = self.speed or (0.0, 0.0)
        travel_s = _COASTING_S * (1 - math.exp(-max(0.0, t_s - self.seen_s) / _COASTING_S))
        return Box(self.box.x + vx * travel_s, self.box.y + vy * travel_s, self.box.w, self.box.h)

    def observe(self, box: Box, t_s: float, appearance: Appearance | None) -> None:
        """Update the track with a detection at ``t_s``."""
        elapsed_s = t_s - self.seen_s
        if elapsed_s > 0:
            new = tuple((a - b) / elapsed_s for a, b in zip(_centre(box), _centre(self.box), strict=True))
            keep = 0.0 if self.speed is None else math.exp(-elapsed_s / _MOTION_S)
            old = self.speed or (0.0, 0.0)
            self.speed = (keep * old[0] + (1 - keep) * new[0], keep * old[1] + (1 - keep) * new[1])
        self.box, self.seen_s, self.appearance = box, t_s, appearance


class Tracker:
    """Matches the faces of each frame to tracks with minimum total cost.

    The cost of a pair is the negative distance-IoU (DIoU, Zheng et al. 2020, arXiv:1911.08287)
    of the face and the track's predicted box. Faces that cross therefore keep their names, and
    a short turn away does not end a track. A face that does not look like its track is
    treated as another person, for example after a cut or when a tile of a video call has moved.

    Args:
        random: generator of the names; see ``name_source``.
        min_diou: minimum DIoU of a match, -1 to 1; at -0.2 a face is about its own width away
            from the prediction.
        forget_s: time without a detection after which a track ends, in seconds; longer if the
            frames of the source are further apart.
    """

    def __init__(self, random: Random, min_diou: float = -0.2, forget_s: float = 1.0) -> None:
        self._random = random
        self._min_diou = min_diou
        self._forget_s = forget_s
        self._tracks: list[_Track] = []
        self._used: set[str] = set()

    def update(
        self,
        t_s: float,
        detections: Sequence[Detection],
        image: NDArray[np.uint8] | None = None,
        step_s: float = 0.0,
    ) -> tuple[str, ...]:
        """Return one track name per detection, in the same order.

        Args:
            t_s: time of the frame in seconds; if it decreases, all tracks end.
            detections: faces of the frame.
            image: (H, W, 3) uint8 BGR, the frame; None to match by position only.
            step_s: usual time between frames of the source, in seconds.
        """
        forget_s = max(self._forget_s, _STEPS * step_s if step_s > LONGEST_INTERVAL_S else 0.0)
        self._tracks = [track for track in self._tracks if 0 <= t_s - track.seen_s <= forget_s]
        looks = [None if image is None else Appearance.of(image, detection.box) for detection in detections]
        expected = [track.expected(t_s) for track in self._tracks]
        cost = np.full((len(expected), len(detections)), _NO_MATCH)
        for i, box in enumerate(expected):
            for j, detection in enumerate(detections):
                diou = _distance_iou(box, detection.box)
                if diou >= self._min_diou and _looks_alike(self._tracks[i], looks[j], t_s, image):
                    cost[i, j] = -diou
        matched = {j: self._tracks[i] for i, j in assign(cost) if cost[i, j] < _NO_MATCH}
        for j, detection in enumerate(detections):
            if j in matched:
                matched[j].observe(detection.box, t_s, looks[j])
            else:
                matched[j] = _Track(self._new_name(), detection.box, t_s, looks[j])
                self._tracks.append(matched[j])
        return tuple(matched[j].track_id for j in range(len(detections)))

    def forget(self) -> None:
        """End all tracks."""
        self._tracks = []

    @property
    def active(self) -> frozenset[str]:
        """Names of the tracks that can still be matched."""
        return frozenset(track.track_id for track in self._tracks)

    def _new_name(self) -> str:
        """Return a name that has not been used in this session."""
        while True:
            name = random_name(self._random)
            if name not in self._used:
                self._used.add(name)
                return name


def _looks_alike(track: _Track, look: Appearance | None, t_s: float, image: NDArray[np.uint8] | None) -> bool:
    if track.appearance is None or look is None or image is None:
        return True
    highest, per_s, lowest = _LIKENESS
    return track.appearance.likeness(look, image) >= max(lowest, highest - per_s * (t_s - track.seen_s))


def _centre(box: Box) -> tuple[float, float]:
    return box.x + box.w / 2, box.y + box.h / 2


def _distance_iou(a: Box, b: Box) -> float:
    """Return the distance IoU (DIoU) of boxes, -1 to 1."""
    across = max(a.x + a.w, b.x + b.w) - min(a.x, b.x)
    down = max(a.y + a.h, b.y + b.h) - min(a.y, b.y)
    diagonal = across * across + down * down
    if diagonal <= 0:
        return 1.0
    (ax, ay), (bx, by) = _centre(a), _centre(b)
    return a.iou(b) - ((ax - bx) ** 2 + (ay - by) ** 2) / diagonal
