"""Near duplicates: the same photograph again, re-encoded, re-lit, shifted, re-scaled or mirrored.

Two steps. *Search*: every image becomes a 12x12 band-passed, normalised descriptor, and all
pairs are compared in blocks by matrix products. A picture is the sum of a left-right
symmetric and an antisymmetric part; mirroring changes the sign of the second, so the products
of the parts, added and subtracted, give the correlation with the image and with its mirror
image for the price of one. *Proof*: a pair that passes is compared at full resolution:
the zero-mean normalised correlation of the two high-passed images, the best over small
shifts and scales. High-passing takes the lighting away, in which strangers agree.

Time grows with the square of the number of images, memory only in proportion to it.
Thresholds are measured by ``benchmarks/near_duplicates.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.cores import worker_count

SEARCH_SIDE: Final = 12
SEARCH_SIGMA_PX: Final = 8.0
"""The descriptor leaves out what is coarser than this blur."""
SEARCH_THRESHOLD: Final = 0.80
PROOF_SIGMA_PX: Final = 2.5
"""The proof compares what is finer than this blur."""
PROOF_THRESHOLD: Final = 0.75
MAX_SHIFT_PX: Final = 4
SCALES: Final = (0.90, 0.95, 1.05, 1.10)
GLANCE_THRESHOLD: Final = 0.45
"""Pairs below this at half the resolution are strangers: a quick look before the slow one."""
RESCUE_THRESHOLD: Final = 0.50
"""Pairs between this and the proof are tried at other scales as well."""
MIN_STD: Final = 6.0
"""Images with less contrast (grey levels) are blank and look like everything; they take no part."""

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


def find_near_duplicates(images: NDArray[np.uint8], progress: Callable[[int, int], None] = lambda done, total: None) -> NearPairs:
    """Return all near-duplicate pairs among (N, 48, 48) uint8 images.

    Give each exact copy once only: copies of a copied image multiply the pairs.

    Args:
        images: what to search.
        progress: called with (comparisons done, in all).
    """
    useful = np.flatnonzero(contrast(images) >= MIN_STD)
    even, odd = _symmetric_parts(descriptors(images[useful]))
    details = high_passed(images[useful])
    halves = halved(details)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]] = []
    total = len(useful) * (len(useful) + 1) // 2
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # many tiny calls: the pool shares them out better
    try:
        with ThreadPoolExecutor(worker_count()) as pool:
            done = 0
            for start, first, second, mirrored in _candidates(even, odd):
                parts = np.array_split(np.arange(len(first)), worker_count())
                shares = ([column[part] for part in parts] for column in (first, second, mirrored))
                scores = pool.map(prove, repeat(details), repeat(halves), *shares)
                score = np.concatenate(list(scores))
                keep = score >= PROOF_THRESHOLD
                found.append((useful[first[keep]], useful[second[keep]], score[keep], mirrored[keep]))
                rows = min(_BLOCK, len(useful) - start)
                done += rows * (len(useful) - start) - rows * (rows - 1) // 2
                progress(done, total)
    finally:
        cv2.setNumThreads(threads_before)
    if not found:
        return NearPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.bool_))
    firsts, seconds, scores_, mirrors = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((seconds, firsts))
    return NearPairs(firsts[order], seconds[order], scores_[order], mirrors[order])


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
    """Return (N, 48, 48) uint8 images less their blur, 128 for no difference.

    Kept in a byte a pixel, so that a million images stay in memory.
    """
    blur = _blur_matrix(images.shape[1], PROOF_SIGMA_PX)
    found = np.empty_like(images)
    for start in range(0, len(images), _BLOCK):
        part = images[start : start + _BLOCK]
        found[start : start + _BLOCK] = np.clip(np.rint(part - _both_ways(blur, part) + 128), 0, 255).astype(np.uint8)
    return found


def _candidates(
    even: NDArray[np.float32], odd: NDArray[np.float32]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield (start, first, second, mirrored) for each row of blocks: pairs that pass the search."""
    for start in range(0, len(even), _BLOCK):
        firsts, seconds, mirrors = [], [], []
        for other in range(start, len(even), _BLOCK):
            likeness = even[start : start + _BLOCK] @ even[other : other + _BLOCK].T
            turned = odd[start : start + _BLOCK] @ odd[other : other + _BLOCK].T
            likeness += np.abs(turned)
            hit = np.flatnonzero(likeness.ravel() > SEARCH_THRESHOLD)
            a, b = np.divmod(hit, likeness.shape[1])
            upper = a + start < b + other
            firsts.append(a[upper] + start)
            seconds.append(b[upper] + other)
            mirrors.append(turned.ravel()[hit[upper]] < 0)
        yield start, np.concatenate(firsts), np.concatenate(seconds), np.concatenate(mirrors)


def _symmetric_parts(found: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the left-right symmetric and antisymmetric parts of descriptors, each (N, 72)."""
    left, right = found[:, :, : SEARCH_SIDE // 2], found[:, :, : SEARCH_SIDE // 2 - 1 : -1]
    root = np.float32(np.sqrt(0.5))
    flat = (len(found), SEARCH_SIDE**2 // 2)
    return ((left + right) * root).reshape(flat), ((left - right) * root).reshape(flat)


def prove(
    details: NDArray[np.uint8],
    halves: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    mirrored: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the likeness of each pair, -1 to 1: at full resolution where half of it does not tell strangers."""
    scores = np.empty(len(first), np.float32)
    side = details.shape[1]
    inner = slice(MAX_SHIFT_PX, side - MAX_SHIFT_PX)
    half_inner = slice(MAX_SHIFT_PX // 2, (side - MAX_SHIFT_PX) // 2)
    deeper = slice(_SCALE_MARGIN_PX, side - _SCALE_MARGIN_PX)
    middle = (side - 1) / 2
    for k, (a, b, turned) in enumerate(zip(first, second, mirrored, strict=True)):
        half = halves[b][:, ::-1].copy() if turned else halves[b]
        best = _best_match(half, halves[a][half_inner, half_inner])
        if best < GLANCE_THRESHOLD:
            scores[k] = best
            continue
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
    if template.min() == template.max():  # OpenCV calls that a perfect match
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
