"""Pairs of similar descriptors: by comparing all up to ``EXACT_UP_TO``, by an inverted-file index (Faiss) beyond.

In the index every descriptor stands in the list of its nearest centroid, and a query looks into the lists of its
nearest centroids, so an image is compared with those near to it. ``benchmarks/near_growth.py`` measures time, memory
and what is missed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import missing_extra
from mien.limits import worker_count

EXACT_UP_TO: Final = 50_000
"""Descriptors that are compared all with all: FER2013 takes seconds."""
_BLOCK: Final = 1024
PROBES: Final = 16
"""Lists that a query looks into."""
_A_CENTROID: Final = 40
"""Descriptors that a centroid is learnt from."""
_ROUNDS: Final = 6
_SEED: Final = 1


Pairs = Iterator[tuple[NDArray[np.int64], NDArray[np.int64], bool]]
"""First and second positions, first < second, and whether the second image is mirrored."""


class ExactSearch:
    """Compares all unit vectors: the first half of each is symmetric, the second antisymmetric under mirroring.

    The products of the halves, added and subtracted, are those with the vector and with its mirror image.

    Args:
        count: how many vectors will be added.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._vectors = np.empty((0, 0), np.float32)
        self._added = 0

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add (B, D) vectors; the first one that is ever added has position 0."""
        if not self._added:
            self._vectors = np.empty((self._count, vectors.shape[1]), np.float32)
        self._vectors[self._added : self._added + len(vectors)] = vectors
        self._added += len(vectors)

    def pairs(self, start: int, vectors: NDArray[np.float32], least: float) -> Pairs:
        """Yield pairs whose product is above ``least``, in the better of both ways; see ``SimilarityIndex.pairs``."""
        middle = vectors.shape[1] // 2
        parts = []
        for other in range(start, self._count, _BLOCK):
            block = self._vectors[other : other + _BLOCK]
            even, odd = vectors[:, :middle] @ block[:, :middle].T, vectors[:, middle:] @ block[:, middle:].T
            query, found = np.nonzero(even + np.abs(odd) > least)
            later = query + start < found + other
            query, found = query[later], found[later]
            parts.append((query + start, found + other, odd[query, found] < 0))
        first, second, turned = (np.concatenate(column) for column in zip(*parts, strict=True))
        for mirrored in (False, True):
            yield first[turned == mirrored], second[turned == mirrored], mirrored


class SimilarityIndex:
    """An index of unit vectors of even length: the first half symmetric, the second antisymmetric under mirroring.

    Args:
        count: how many vectors will be added.
        sample: (S, D) float32, ``sample_size(count)`` of them drawn at random, from which centroids are learnt.

    Raises:
        DeviceError: Faiss is not installed.
    """

    def __init__(self, count: int, sample: NDArray[np.float32]) -> None:
        try:
            import faiss
        except ImportError as error:
            raise missing_extra("faiss-cpu", "audit", "Finding near duplicates") from error
        faiss.omp_set_num_threads(worker_count())
        width = sample.shape[1]
        self._mirror = np.repeat(np.array([1, -1], np.float32), width // 2)
        self._centroids = faiss.IndexFlatIP(width)
        self._index = faiss.IndexIVFFlat(self._centroids, width, _list_count(count), faiss.METRIC_INNER_PRODUCT)
        clustering = self._index.cp
        clustering.seed, clustering.niter = _SEED, _ROUNDS
        clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, _A_CENTROID
        self._index.train(sample)
        self._index.nprobe = min(PROBES, self._index.nlist)
        self._probed = {mirrored: np.empty((count, self._index.nprobe), np.int32) for mirrored in (False, True)}

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add (B, D) vectors; the first one that is ever added has position 0."""
        self._index.add(vectors)

    def pairs(self, start: int, vectors: NDArray[np.float32], least: float) -> Pairs:
        """Yield pairs of positions whose product is above ``least``.

        Called with all vectors, block by block in their order, each pair comes once, whichever of its members finds it.

        Args:
            start: position of the first of these vectors.
            vectors: (B, D), as they were added.
            least: the threshold.
        """
        from faiss.contrib.ivf_tools import range_search_preassigned

        here = slice(start, start + len(vectors))
        for mirrored, queries in ((False, vectors), (True, vectors * self._mirror)):
            probed = self._centroids.search(queries, self._index.nprobe)[1]
            self._probed[mirrored][here] = probed
            limits, _, found = range_search_preassigned(self._index, queries, least, probed)  # type: ignore[no-untyped-call]
            query = np.repeat(np.arange(start, start + len(vectors)), np.diff(limits.astype(np.int64)))
            first, second = np.minimum(query, found), np.maximum(query, found)
            own_list = self._probed[False][second, 0]  # the nearest centroid of a vector is the list it stands in
            found_before = (self._probed[mirrored][first] == own_list[:, None]).any(1)
            new = (query < found) | ((query > found) & ~found_before)
            yield first[new], second[new], mirrored


def sample_size(count: int) -> int:
    """Return how many of ``count`` vectors the centroids are learnt from."""
    return min(count, _A_CENTROID * _list_count(count))


def _list_count(count: int) -> int:
    """Return the number of lists that makes choosing lists as expensive as searching them."""
    return round(math.sqrt(PROBES * count))
