"""From faces on video, where each frame repeats the one before, to looks that count once.

A *block* is one face for as long as it cannot count again; a *chunk* is so many blocks. The
faces of a block are averaged, and an average of faces that are alike varies no more than one
of them drawn by chance: limits that hold for independent faces hold for blocks. State is a
buffer of one chunk. Times are data: nothing here reads a clock.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.monitoring.features import FeatureMap
from mien.monitoring.observation import FaceBatch, FaceObservation
from mien.monitoring.sight import Sight

CHUNK_BLOCKS: Final = 50
WINDOW_CHUNKS: Final = 4
"""A window is the last four chunks: two hundred blocks."""
GAP_S: Final = 3600.0
"""A stream that was silent this long begins anew."""
_BACKWARDS_S: Final = 1.0  # clocks are corrected by less than this now and then
_APART_S: Final = 1.0
_PER_BLOCK: Final = 8

_Block = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Fifty blocks as one vector.

    Attributes:
        from_s: time of the first face.
        to_s: time of the last face.
        mean: (W,) float64 mean features; every block counts alike.
        confidence: (50,) float64, the mean confidence of each block, in order of arrival; NaN where no model read.
        entropy: (50,) float64, the same of the answers' entropy, in nats.
        follows: whether the stream went on from the chunk before without a break.
        faces: the faces themselves, where they were asked for: while a reference is made, and never else.
    """

    from_s: float
    to_s: float
    mean: NDArray[np.float64]
    confidence: NDArray[np.float64]
    entropy: NDArray[np.float64]
    follows: bool
    faces: FaceBatch | None = None


class Chunks:
    """Collects observations into chunks.

    Args:
        features: from faces to features.
        repeat_s: after how many seconds the same track counts as a new look. None: only when it
            has left the window, so that a window holds that many *different* faces; right where
            the reference is of many people, each seen once.
        keep: hand the faces on with each chunk.
        sight: which part of an observation is expected to be numbers.
    """

    def __init__(self, features: FeatureMap, repeat_s: float | None = None, keep: bool = False, sight: Sight = "all") -> None:
        self._sight: Sight = sight
        self._features = features
        self._keep = keep
        self._repeat_s = repeat_s
        self._faces: list[FaceObservation] = []
        self._places: list[int] = []
        self._blocks: dict[_Block, tuple[int, int, float]] = {}  # place in the chunk, faces so far, time of the last one
        self._before: deque[frozenset[_Block]] = deque(maxlen=WINDOW_CHUNKS - 1)
        self._last_s: float | None = None
        self._follows = False
        self._unread = 0
        self._breaks = 0

    @property
    def waiting(self) -> int:
        """Blocks in the chunk that is being filled."""
        return len(self._blocks)

    @property
    def unread(self) -> int:
        """Observations left out because they were not numbers."""
        return self._unread

    @property
    def breaks(self) -> int:
        """How often time ran back or stood open for an hour; what was being filled is dropped then."""
        return self._breaks

    def update(self, face: FaceObservation) -> Chunk | None:
        """Take in a face; return the chunk that it fills, None as a rule."""
        if not math.isfinite(face.t_s):
            self._unread += 1
            return None
        if self._last_s is not None and not -_BACKWARDS_S <= face.t_s - self._last_s <= GAP_S:
            self._breaks += 1
            self._follows = False
            self._last_s = None
            self._before.clear()
            self._start()
        self._last_s = face.t_s if self._last_s is None else max(self._last_s, face.t_s)
        block = (face.track_id, 0 if self._repeat_s is None else int(face.t_s // self._repeat_s))
        if not self._may_count(block, face.t_s):
            return None
        if not self._is_whole(face):
            self._unread += 1
            return None
        place, count, _ = self._blocks.get(block, (len(self._blocks), 0, 0.0))
        self._blocks[block] = (place, count + 1, face.t_s)
        self._faces.append(face)
        self._places.append(place)
        return self._close() if len(self._blocks) == CHUNK_BLOCKS else None

    def _is_whole(self, face: FaceObservation) -> bool:
        """Tell whether what is expected of an observation is there, in numbers."""
        if self._sight == "picture":
            return bool(np.isfinite(face.measures[:1]).all())
        needed = (face.probabilities,) if self._sight == "answers" else (face.probabilities, face.embedding)
        return all(bool(np.isfinite(values).all()) for values in needed)

    def _may_count(self, block: _Block, t_s: float) -> bool:
        """Tell whether a block has not counted lately, and has not enough faces yet."""
        if any(block in earlier for earlier in self._before):
            return False
        _, count, last_s = self._blocks.get(block, (0, 0, t_s - _APART_S))
        return count < _PER_BLOCK and t_s - last_s >= _APART_S

    def _close(self) -> Chunk:
        """Return the full chunk and start another."""
        batch = FaceBatch.of(self._faces)
        places = np.array(self._places)
        share = 1 / np.bincount(places)[places] / CHUNK_BLOCKS  # every block counts alike
        columns = self._features.columns(batch)
        confidence, entropy = (np.bincount(places, share * CHUNK_BLOCKS * columns[:, at]).astype(np.float64) for at in (-2, -1))
        times = [face.t_s for face in self._faces]
        mean = share @ self._features(batch).astype(np.float64)
        kept = batch if self._keep else None
        chunk = Chunk(min(times), max(times), mean, confidence, entropy, self._follows, kept)
        self._before.append(frozenset(self._blocks))
        self._follows = True
        self._start()
        return chunk

    def _start(self) -> None:
        self._faces, self._places, self._blocks = [], [], {}
