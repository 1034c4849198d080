"""Near duplicates: photographs re-encoded, re-lit, shifted, re-scaled or mirrored.

Two steps. *Search*: every image becomes a 12x12 band-passed, normalised descriptor, and an index
(``mien.audit.similar``) finds the pairs whose descriptors are alike. A picture is the sum of a left-right
symmetric and an antisymmetric part; mirroring changes the sign of the second, so the same index answers
for mirror images. *Proof*: a pair that passes is compared at half the resolution, then at full resolution:
the zero-mean normalised correlation of the two high-passed images, the best over small shifts and scales.
High-passing takes the lighting away, in which strangers agree.

No more than the images, a descriptor and a half-size picture of each are in memory. Thresholds are measured
by ``benchmarks/near_duplicates.py``, time and memory by ``benchmarks/near_growth.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.audit.similar import EXACT_UP_TO, ExactSearch, SimilarityIndex, sample_size
from mien.limits import worker_count

SEARCH_SIDE: Final = 12
SEARCH_SIGMA_PX: Final = 8.0
"""Standard deviation of the blur that is subtracted from the descriptor, pixels."""
SEARCH_THRESHOLD: Final = 0.80
PROOF_SIGMA_PX: Final = 2.5
"""Standard deviation of the blur that is subtracted for the full comparison, pixels."""
PROOF_THRESHOLD: Final = 0.75
MAX_SHIFT_PX: Final = 4
SCALES: Final = (0.90, 0.95, 1.05, 1.10)
GLANCE_THRESHOLD: Final = 0.45
"""Pairs below this correlation at half resolution are rejected without the full comparison."""
RESCUE_THRESHOLD: Final = 0.50
"""Pairs between this and ``PROOF_THRESHOLD`` are compared at other scales as well."""
MIN_STD: Final = 6.0
"""Images with a lower standard deviation (grey levels) are blank and are not compared."""

_BLOCK: Final = 1024
_SCALE_MARGIN_PX: Final = 6


@dataclass(frozen=True, slots=True)
class NearPairs:
    """P pairs of images that show the same photograph, in order of positions.

    Attributes:
        first, second: (P,) int64 positions, first < second.
        score: (P,) float32, correlation at full resolution, ``PROOF_THRESHOLD`` to 1.
        mirrored: (P,) bool, the second is mirrored.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    score: NDArray[np.float32]
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)


def find_near_duplicates(
    images: NDArray[np.uint8], progress: Callable[[int, int], None] = lambda done, total: None, share: float = 1.0
) -> NearPairs:
    """Return the near-duplicate pairs among (N, 48, 48) uint8 images; beyond ``EXACT_UP_TO`` images, 99% of them or more.

    Exact copies should be removed first: they multiply the pairs.

    Args:
        images: the images to compare.
        progress: called with (images compared, total).
        share: of the images whose partners are looked for; below 1 to measure the time of a long search.

    Raises:
        DeviceError: there are more than ``EXACT_UP_TO`` images, and Faiss is not installed.
    """
    useful = np.flatnonzero(contrast(images) >= MIN_STD)
    count = len(useful)
    found: list[NearPairs] = []
    if not count:
        return _in_order(found)
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # many small calls: the thread pool parallelises them better
    try:
        index = _index_of(images, useful)
        halves = _Halves.of(images, useful)
        with ThreadPoolExecutor(worker_count()) as pool:
            for start in range(0, round(share * count), _BLOCK):
                block = search_vectors(images[useful[start : start + _BLOCK]])
                for first, second, mirrored in index.pairs(start, block, SEARCH_THRESHOLD):
                    turns = np.full(len(first), mirrored)
                    likely = halves.glance(first, second, mirrored, pool) >= GLANCE_THRESHOLD
                    first, second, turns = useful[first[likely]], useful[second[likely]], turns[likely]
                    parts = np.array_split(np.arange(len(first)), worker_count())
                    shares = [[column[part] for part in parts] for column in (first, second, turns)]
                    score = np.concatenate(list(pool.map(prove, repeat(images), *shares)))
                    keep = score >= PROOF_THRESHOLD
                    found.append(NearPairs(first[keep], second[keep], score[keep], turns[keep]))
                progress(min(start + _BLOCK, count), count)
    finally:
        cv2.setNumThreads(threads_before)
    return _in_order(found)


def _in_order(found: Sequence[NearPairs]) -> NearPairs:
    """Return several parts as one, in order of positions; of a pair that is alike both ways, plain and mirrored, the better."""
    empty = NearPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.bool_))
    parts = [empty, *found]
    first, second = np.concatenate([part.first for part in parts]), np.concatenate([part.second for part in parts])
    score, mirrored = np.concatenate([part.score for part in parts]), np.concatenate([part.mirrored for part in parts])
    order = np.lexsort((-score, second, first))
    same = (np.diff(first[order], prepend=-1) == 0) & (np.diff(second[order], prepend=-1) == 0)
    order = order[~same]
    return NearPairs(first[order], second[order], score[order], mirrored[order])


def _index_of(images: NDArray[np.uint8], useful: NDArray[np.int64]) -> ExactSearch | SimilarityIndex:
    """Return a search among the descriptors of the ``useful`` images, in that order."""
    index: ExactSearch | SimilarityIndex = ExactSearch(len(useful))
    if len(useful) > EXACT_UP_TO:
        chosen = np.sort(np.random.default_rng(0).permutation(len(useful))[: sample_size(len(useful))])
        index = SimilarityIndex(len(useful), search_vectors(images[useful[chosen]]))
    for start in range(0, len(useful), _BLOCK):
        index.add(search_vectors(images[useful[start : start + _BLOCK]]))
    return index


class _Halves:
    """High-passed images at half the resolution, for a quick look at pairs.

    The correlations of one image with another at all shifts are one product: the first image's middle, put at
    each shift into a matrix, times the second image.

    Args:
        pictures: (N, 24, 24) uint8.
    """

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._pictures = pictures
        side = pictures.shape[1]
        self._reach = MAX_SHIFT_PX // 2
        self._window = side - 2 * self._reach
        places = [(down, right) for down in range(2 * self._reach + 1) for right in range(2 * self._reach + 1)]
        inside = np.zeros((len(places), side, side), np.float32)
        for mask, (down, right) in zip(inside, places, strict=True):
            mask[down : down + self._window, right : right + self._window] = 1
        masks = inside.reshape(len(places), -1)
        self._columns = np.nonzero(masks)[1].reshape(len(places), -1)  # of each shift's window, row by row
        self._lengths = np.concatenate(
            [self._window_lengths(pictures[k : k + _BLOCK], masks) for k in range(0, len(pictures), _BLOCK)]
            or [np.empty((0, len(places)), np.float32)]
        )  # (N, shifts)

    def _window_lengths(self, pictures: NDArray[np.uint8], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, shifts): the length of each window's deviation from its mean."""
        flat = pictures.reshape(len(pictures), -1).astype(np.float32) - 128
        sums, squares = flat @ masks.T, (flat * flat) @ masks.T
        return np.asarray(np.sqrt(np.maximum(squares - sums * sums / self._window**2, 1e-6)), np.float32)

    @classmethod
    def of(cls, images: NDArray[np.uint8], useful: NDArray[np.int64]) -> _Halves:
        """Return the halves of the ``useful`` images."""
        side = images.shape[1] // 2
        pictures = np.empty((len(useful), side, side), np.uint8)
        for start in range(0, len(useful), _BLOCK):
            pictures[start : start + _BLOCK] = halved(high_passed(images[useful[start : start + _BLOCK]]))
        return cls(pictures)

    def glance(
        self, first: NDArray[np.int64], second: NDArray[np.int64], mirrored: bool, pool: ThreadPoolExecutor
    ) -> NDArray[np.float32]:
        """Return (P,) float32: the best correlation of each pair over small shifts, -1 to 1.

        Args:
            first, second: (P,) positions.
            mirrored: whether the second image is mirrored.
            pool: shares the work.
        """
        order = np.argsort(first, kind="stable")
        starts = np.flatnonzero(np.diff(first[order], prepend=-1))
        groups = np.split(order, starts[1:]) if len(order) else []
        scores = np.empty(len(first), np.float32)

        def look(part: Sequence[NDArray[np.int64]]) -> None:
            for group in part:
                scores[group] = self._against(int(first[group[0]]), second[group], mirrored)

        chunks = [groups[k :: worker_count()] for k in range(worker_count())]
        list(pool.map(look, chunks))
        return scores

    def _against(self, one: int, others: NDArray[np.int64], mirrored: bool) -> NDArray[np.float32]:
        """Return (P,) the best correlation of one image's middle with each of the others, over all shifts."""
        reach, window = self._reach, self._window
        picture = self._pictures[one][:, ::-1] if mirrored else self._pictures[one]
        middle = picture[reach : reach + window, reach : reach + window].astype(np.float32).ravel()
        middle -= middle.mean()
        length = np.sqrt(middle @ middle)
        if length == 0:
            return np.zeros(len(others), np.float32)
        placed = np.zeros((len(self._columns), self._pictures[0].size), np.float32)
        np.put_along_axis(placed, self._columns, (middle / length)[None], 1)
        partners = self._pictures[others].reshape(len(others), -1).astype(np.float32) - 128
        return np.asarray((partners @ placed.T / self._lengths[others]).max(1), np.float32)


def contrast(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (N,) float32 standard deviations of (N, H, W) uint8 images, in grey levels."""
    return np.concatenate([part.astype(np.float32).std((1, 2)) for part in _parts(images)] or [np.empty(0, np.float32)])


def descriptors(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (N, 12, 12) float32 band-passed descriptors of unit length and zero mean."""
    side = images.shape[1]
    shrink = np.kron(np.eye(SEARCH_SIDE), np.full((1, side // SEARCH_SIDE), SEARCH_SIDE / side))  # (12, 48): mean of 4
    fine = shrink @ _blur_matrix(side, side / SEARCH_SIDE / 2)
    coarse = fine @ _blur_matrix(side, SEARCH_SIGMA_PX)
    parts = [_both_ways(fine, part) - _both_ways(coarse, part) for part in _parts(images)]
    found = np.concatenate(parts or [np.empty((0, SEARCH_SIDE, SEARCH_SIDE), np.float32)])
    found -= found.mean((1, 2), keepdims=True)
    found /= np.maximum(np.sqrt((found**2).sum((1, 2), keepdims=True)), np.float32(1e-6))
    return found


def high_passed(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (N, 48, 48) uint8 images minus their blur, 128 for no difference.

    One byte a pixel, so that a million images fit in memory.
    """
    blur = _blur_matrix(images.shape[1], PROOF_SIGMA_PX)
    found = np.empty_like(images)
    for start in range(0, len(images), _BLOCK):
        part = images[start : start + _BLOCK]
        found[start : start + _BLOCK] = np.clip(np.rint(part - _both_ways(blur, part) + 128), 0, 255).astype(np.uint8)
    return found


def search_vectors(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (N, 144) float32 unit vectors: the symmetric and the antisymmetric half of each descriptor."""
    return np.ascontiguousarray(np.concatenate(_symmetric_parts(descriptors(images)), 1))


def _symmetric_parts(found: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the left-right symmetric and antisymmetric parts of descriptors, each (N, 72)."""
    left, right = found[:, :, : SEARCH_SIDE // 2], found[:, :, : SEARCH_SIDE // 2 - 1 : -1]
    root = np.float32(np.sqrt(0.5))
    flat = (len(found), SEARCH_SIDE**2 // 2)
    return ((left + right) * root).reshape(flat), ((left - right) * root).reshape(flat)


def prove(
    images: NDArray[np.uint8], first: NDArray[np.int64], second: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the similarity of each pair of (N, 48, 48) uint8 images at full resolution, -1 to 1."""
    scores = np.empty(len(first), np.float32)
    side = images.shape[1]
    inner = slice(MAX_SHIFT_PX, side - MAX_SHIFT_PX)
    deeper = slice(_SCALE_MARGIN_PX, side - _SCALE_MARGIN_PX)
    middle = (side - 1) / 2
    used, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    details = high_passed(images[used])
    for k, (a, b, turned) in enumerate(zip(place[: len(first)], place[len(first) :], mirrored, strict=True)):
        one = details[a]
        other = details[b][:, ::-1].copy() if turned else details[b]
        best = _best_match(other, one[inner, inner])
        if RESCUE_THRESHOLD <= best < PROOF_THRESHOLD:
            for scale in SCALES:
                zoom = np.array([[scale, 0, middle * (1 - scale)], [0, scale, middle * (1 - scale)]])
                zoomed = cv2.warpAffine(one, zoom, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                best = max(best, _best_match(other, zoomed[deeper, deeper].astype(np.uint8, copy=False)))
        scores[k] = best
    return scores


def halved(details: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (N, 24, 24) uint8: means of 2x2 pixels."""
    found = np.empty((len(details), details.shape[1] // 2, details.shape[2] // 2), np.uint8)
    for start in range(0, len(details), _BLOCK):
        part = details[start : start + _BLOCK].astype(np.uint16)
        sums = part[:, ::2, ::2] + part[:, 1::2, ::2] + part[:, ::2, 1::2] + part[:, 1::2, 1::2]
        found[start : start + _BLOCK] = (sums + 2) // 4
    return found


def _best_match(image: NDArray[np.uint8], template: NDArray[np.uint8]) -> float:
    """Return the best zero-mean normalised correlation of ``template`` at any place in ``image``."""
    if template.min() == template.max():  # OpenCV would return a perfect match
        return 0.0
    return float(cv2.matchTemplate(image, template, cv2.TM_CCOEFF_NORMED).max())


def _blur_matrix(side: int, sigma_px: float) -> NDArray[np.float32]:
    """Return the (side, side) matrix that blurs a column by a Gaussian, mirrored at the ends."""
    taps = 2 * int(3 * sigma_px) + 1
    return cv2.sepFilter2D(np.eye(side, dtype=np.float32), cv2.CV_32F, np.ones(1), cv2.getGaussianKernel(taps, sigma_px)).astype(
        np.float32, copy=False
    )


def _both_ways(matrix: NDArray[np.floating], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return matrix @ image @ matrix.T for every image."""
    m = matrix.astype(np.float32, copy=False)
    return m @ images.astype(np.float32) @ m.T


def _parts(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield the images in blocks, so that their float copies stay small."""
    for start in range(0, len(images), _BLOCK):
        yield images[start : start + _BLOCK]
