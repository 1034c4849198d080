"""Grouping of correlated faces from video into independent samples.

A *block* is one face for the time in which it counts only once; a *chunk* is ``CHUNK_BLOCKS`` blocks. The
faces of a block are averaged; the average of similar faces varies no more than a random one of them,
so limits for independent faces hold for blocks. State is a buffer of one chunk. Times come with the
data: no clock is read.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.monitoring.features import FeatureMap
from mien.monitoring.observation import FaceBatch, FaceObservation, Scope

CHUNK_BLOCKS: Final = 50
WINDOW_CHUNKS: Final = 4
"""Chunks per window: two hundred blocks."""
GAP_S: Final = 3600.0
"""A stream restarts after a gap longer than this, in seconds."""
_BACKWARDS_S: Final = 1.0  # smaller corrections of the clock are tolerated
_APART_S: Final = 1.0
_PER_BLOCK: Final = 8

_Block = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """``CHUNK_BLOCKS`` blocks as one vector.

    Attributes:
        from_s: time of the first face, seconds.
        to_s: time of the last face, seconds.
        mean: (W,) float64 mean features with equal weight per block.
        confidence: (50,) float64 mean confidence of each block, in order of arrival; NaN without predictions.
        entropy: (50,) float64 mean entropy of the predictions of each block, in nats.
        contiguous: whether the chunk follows the previous one without a break.
        faces: the faces themselves, only while a reference is made; otherwise None.
    """

    from_s: float
    to_s: float
    mean: NDArray[np.float64]
    confidence: NDArray[np.float64]
    entropy: NDArray[np.float64]
    contiguous: bool
    faces: FaceBatch | None = None


class Chunks:
    """Collects observations into chunks.

    Args:
        features: the feature map.
        repeat_s: seconds after which the same track counts as a new block. None: only after it has left the
            window, so that all faces of a window are *different*; for references of many people, each
            seen once.
        keep: whether to return the faces with each chunk.
        scope: the part of an observation that must be finite.
    """

    def __init__(self, features: FeatureMap, repeat_s: float | None = None, keep: bool = False, scope: Scope = "all") -> None:
        self._sight: Scope = scope
        self._features = features
        self._keep = keep
        self._repeat_s = repeat_s
        self._faces: list[FaceObservation] = []
        self._places: list[int] = []
        self._blocks: dict[_Block, tuple[int, int, float]] = {}  # index in the chunk, number of faces, time of the last one
        self._before: deque[frozenset[_Block]] = deque(maxlen=WINDOW_CHUNKS - 1)
        self._last_s: float | None = None
        self._contiguous = False
        self._unread = 0
        self._breaks = 0

    @property
    def waiting(self) -> int:
        """Number of blocks in the incomplete chunk."""
        return len(self._blocks)

    @property
    def unread(self) -> int:
        """Number of observations ignored because of NaN or infinite values."""
        return self._unread

    @property
    def breaks(self) -> int:
        """Number of backward jumps and gaps of over ``GAP_S``; the incomplete chunk is dropped at each."""
        return self._breaks

    def update(self, face: FaceObservation) -> Chunk | None:
        """Process a face; return the chunk it completes, usually None."""
        if not math.isfinite(face.t_s):
            self._unread += 1
            return None
        if self._last_s is not None and not -_BACKWARDS_S <= face.t_s - self._last_s <= GAP_S:
            self._breaks += 1
            self._contiguous = False
            self._last_s = None
            self._before.clear()
            self._start()
        self._last_s = face.t_s if self._last_s is None else max(self._last_s, face.t_s)
        block = (face.track_id, 0 if self._repeat_s is None else int(face.t_s // self._repeat_s))
        if not self._may_count(block, face.t_s):
            return None
        if not self._is_complete(face):
            self._unread += 1
            return None
        place, count, _ = self._blocks.get(block, (len(self._blocks), 0, 0.0))
        self._blocks[block] = (place, count + 1, face.t_s)
        self._faces.append(face)
        self._places.append(place)
        return self._close() if len(self._blocks) == CHUNK_BLOCKS else None

    def _is_complete(self, face: FaceObservation) -> bool:
        """Return whether the values that the scope needs are finite."""
        if self._sight == "picture":
            return bool(np.isfinite(face.measures[:1]).all())
        needed = (face.probabilities,) if self._sight == "answers" else (face.probabilities, face.embedding)
        return all(bool(np.isfinite(values).all()) for values in needed)

    def _may_count(self, block: _Block, t_s: float) -> bool:
        """Return whether a block is new in this window or still accepts faces."""
        if any(block in earlier for earlier in self._before):
            return False
        _, count, last_s = self._blocks.get(block, (0, 0, t_s - _APART_S))
        return count < _PER_BLOCK and t_s - last_s >= _APART_S

    def _close(self) -> Chunk:
        """Return the complete chunk and start the next."""
        batch = FaceBatch.of(self._faces)
        places = np.array(self._places)
        share = 1 / np.bincount(places)[places] / CHUNK_BLOCKS  # equal weight per block
        columns = self._features.columns(batch)
        confidence, entropy = (np.bincount(places, share * CHUNK_BLOCKS * columns[:, at]).astype(np.float64) for at in (-2, -1))
        times = [face.t_s for face in self._faces]
        mean = share @ self._features(batch).astype(np.float64)
        kept = batch if self._keep else None
        chunk = Chunk(min(times), max(times), mean, confidence, entropy, self._contiguous, kept)
        self._before.append(frozenset(self._blocks))
        self._contiguous = True
        self._start()
        return chunk

    def _start(self) -> None:
        self._faces, self._places, self._blocks = [], [], {}
