"""Image quality: one score per fault, with thresholds chosen by inspection.

Scores are computed from pixels only; ``faces`` has the checks that need a detector. The thresholds mark
the tail of FER2013's distribution in which the fault is visible (``audit.html`` shows images on both
sides of each).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.vision.legibility import picture_measures

QUALITY_VERSION: Final = "1"

_FLAT_LEVELS: Final = 8
_STROKE_LEVELS: Final = 12.0
_TEXT_ROWS: Final = 5
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Check:
    """One fault: its score and threshold.

    Attributes:
        name: name in reports and split files.
        score: name of the score.
        threshold: images beyond it are flagged.
        above: whether scores above the threshold are flagged (else below).
        severe: whether the image is useless for training.
        meaning: one line of description.
    """

    name: str
    score: str
    threshold: float
    above: bool
    severe: bool
    meaning: str

    def flags(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return (N,) bool: which images are flagged; NaN is never flagged."""
        return scores > self.threshold if self.above else scores < self.threshold


CHECKS: Final[tuple[Check, ...]] = (
    Check("blank", "flatness", 0.75, True, True, "nearly one grey level: an empty or placeholder image"),
    Check("blurred", "sharpness", -0.66, False, False, "no fine detail: log10 of Laplacian variance over variance"),
    Check("dark", "brightness", 45.0, False, False, "mean grey level of an underexposed face (0 to 255)"),
    Check("bright", "brightness", 210.0, True, False, "mean grey level of an overexposed face (0 to 255)"),
    Check("low_contrast", "contrast", 25.0, False, False, "standard deviation of grey levels"),
    Check("text", "text", 0.24, True, False, "watermark or caption: share of thin vertical strokes in the densest band of rows"),
)
"""Checks that need pixels only."""


def pixel_scores(
    images: NDArray[np.uint8], progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, NDArray[np.float32]]:
    """Return the scores of (N, 48, 48) uint8 images, each (N,) float32.

    Keys: those of :func:`mien.vision.legibility.picture_measures`, ``flatness`` (largest
    share of pixels in a band of eight grey levels), ``text`` (see :func:`text_scores`).
    """
    names = ("brightness", "contrast", "sharpness", "flatness", "text")
    found = {name: np.empty(len(images), np.float32) for name in names}
    for start in range(0, len(images), _BLOCK):
        part = images[start : start + _BLOCK]
        here = slice(start, start + len(part))
        for name, values in picture_measures(part).items():
            found[name][here] = values
        found["flatness"][here] = _flatness(part)
        found["text"][here] = text_scores(part.astype(np.float32))
        progress(start + len(part), len(images))
    return found


def text_scores(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N,) float32 scores of text in the densest band of rows, 0 to 1, for (N, H, W) grey levels.

    Letters are thin vertical strokes: the horizontal gradient is strong and changes sign within two
    pixels, many times in the same few rows. The median row is subtracted, so that hair and noise, which
    fill the image, score low.
    """
    steps = grey[:, :, 1:] - grey[:, :, :-1]
    one, next_one = steps[:, :, :-1], steps[:, :, 1:]
    strokes = (one * next_one < 0) & (np.abs(one) > _STROKE_LEVELS) & (np.abs(next_one) > _STROKE_LEVELS)
    rows = strokes.mean(2, dtype=np.float32)  # (N, H)
    bands = np.lib.stride_tricks.sliding_window_view(rows, _TEXT_ROWS, axis=1).mean(2)
    return np.asarray(np.maximum(0, bands.max(1) - np.median(rows, axis=1)), np.float32)


def _flatness(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (N,) the largest share of pixels in a band of eight neighbouring grey levels."""
    n = len(images)
    levels = images.reshape(n, -1).astype(np.int64) + 256 * np.arange(n)[:, None]
    counts = np.bincount(levels.ravel(), minlength=256 * n).reshape(n, 256).cumsum(1)
    counts[:, _FLAT_LEVELS:] = counts[:, _FLAT_LEVELS:] - counts[:, :-_FLAT_LEVELS]
    return np.asarray(counts.max(1) / levels.shape[1], np.float32)


def flag_all(scores: dict[str, NDArray[np.float32]], checks: tuple[Check, ...] = CHECKS) -> dict[str, NDArray[np.bool_]]:
    """Return (N,) bool by check name, True where the check fails."""
    return {check.name: check.flags(scores[check.score]) for check in checks}


def summarise(
    flags: dict[str, NDArray[np.bool_]], scores: dict[str, NDArray[np.float32]], checks: tuple[Check, ...]
) -> dict[str, Any]:
    """Return count, share, threshold and the score's distribution for each check, and the share of images that fail any check."""
    n = len(next(iter(flags.values())))
    failed = np.logical_or.reduce(list(flags.values()))
    return {
        "version": QUALITY_VERSION,
        "low_quality": {"images": int(failed.sum()), "share": float(failed.sum()) / max(1, n)},
        "checks": {
            check.name: {
                "images": int(flags[check.name].sum()),
                "share": float(flags[check.name].sum()) / max(1, n),
                "rule": f"{check.score} {'above' if check.above else 'below'} {check.threshold:g}",
                "meaning": check.meaning,
                "percentiles": _percentiles(scores[check.score]),
            }
            for check in checks
        },
    }


def _percentiles(scores: NDArray[np.float32]) -> dict[str, float]:
    """Return seven percentiles of the known scores."""
    known = scores[np.isfinite(scores)]
    if not len(known):
        return {}
    points = (0, 1, 5, 50, 95, 99, 100)
    return {f"p{p}": round(float(v), 4) for p, v in zip(points, np.percentile(known, points), strict=True)}
