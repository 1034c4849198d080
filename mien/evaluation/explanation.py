"""Class-activation maps, and the regions of the face that hold the evidence.

The network ends in global average pooling and a linear layer, so the logit of a class is exactly the
mean of its map (Zhou et al. 2016, arXiv:1512.04150). No gradients are needed.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.preprocess import CANONICAL_LANDMARKS, INPUT_SIZE

REGIONS: Final[dict[str, tuple[int, int, int, int]]] = {
    "brows and eyes": (6, 9, 36, 14),
    "nose and cheeks": (6, 23, 36, 7),
    "mouth and chin": (11, 30, 26, 14),
}
"""Regions of the mean face: left, top, width and height in pixels of the crop."""
EXPRESSIVE: Final = ("brows and eyes", "mouth and chin")
_INFERNO: Final = cv2.COLORMAP_INFERNO


def evidence(maps: NDArray[np.float32], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (N, h, w): float32 evidence for one class relative to the mean over classes.

    Softmax is invariant to what all classes share, so their mean is subtracted.

    Args:
        maps: (N, 7, h, w) activation maps.
        chosen: (N,) the class to explain for each face.
    """
    return np.asarray(maps[np.arange(len(maps)), chosen] - maps.mean(1), np.float32)


def heatmap(evidence_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (48, 48) float32, 0 to 1: the positive evidence (h, w), upsampled and divided by its maximum."""
    large = cv2.resize(np.maximum(evidence_map, 0), (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large / max(float(large.max()), 1e-6), 0, 1), np.float32)


def overlay(image: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 BGR: ``image`` (H, W, 3) uint8 BGR, overlaid with a colour map of ``values`` (H, W), 0 to 1."""
    colours = cv2.applyColorMap((255 * values).astype(np.uint8), _INFERNO).astype(np.float32)
    opacity = (0.65 * values**1.5)[..., None]  # weak evidence is nearly transparent, so the crop has no visible edge in a photo
    return np.asarray(image * (1 - opacity) + colours * opacity + 0.5, np.float32).astype(np.uint8)


def face_with_map(face: NDArray[np.uint8], evidence_map: NDArray[np.float32], zoom: int = 2) -> NDArray[np.uint8]:
    """Return uint8 BGR: the crop (48, 48) uint8 and, to its right, the same overlaid with its evidence (h, w), enlarged."""
    size = (INPUT_SIZE * zoom, INPUT_SIZE * zoom)
    plain = cv2.cvtColor(cv2.resize(face, size, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    values = np.clip(cv2.resize(heatmap(evidence_map), size, interpolation=cv2.INTER_LINEAR), 0, 1)
    return np.hstack([plain, overlay(plain, np.asarray(values, np.float32))])


def evidence_by_region(
    maps: NDArray[np.float32], predicted: NDArray[np.int64], landmarks: NDArray[np.float32] | None = None
) -> dict[str, Any]:
    """Return the evidence for the predictions by region, by class and over all, as a JSON-compatible dict.

    For each region of the face ``share`` is its share of the positive evidence, and ``focus`` that share
    divided by the region's share of the area: 1 for evenly distributed evidence. ``elsewhere`` is the
    rest of the crop: hair, background, edges.

    Args:
        maps: (N, 7, h, w) activation maps.
        predicted: (N,) predicted classes.
        landmarks: (N, 5, 2) pixels of the crop, NaN if unknown; the regions move with them.
    """
    offsets = np.zeros((len(maps), 2), np.float32)
    if landmarks is not None:
        known = np.isfinite(landmarks).all((1, 2))
        offsets[known] = landmarks[known].mean(1) - CANONICAL_LANDMARKS.mean(0)
    evidence_maps = evidence(maps, predicted)
    shares = np.stack(
        [_shares(heatmap(each), offset) for each, offset in zip(evidence_maps, offsets, strict=True)]
    )  # (N, regions)
    names = (*REGIONS, "elsewhere")
    areas = np.array([w * h for _, _, w, h in REGIONS.values()], np.float64) / INPUT_SIZE**2
    areas = np.append(areas, 1 - areas.sum())

    def summary(rows: NDArray[np.float64]) -> dict[str, Any]:
        mean = rows.mean(0)
        parts = {names[k]: {"share": float(mean[k]), "focus": float(mean[k] / areas[k])} for k in range(len(names))}
        expressive = [names.index(name) for name in EXPRESSIVE]
        return {"n": len(rows), "parts": parts, "expressive_focus": float(mean[expressive].sum() / areas[expressive].sum())}

    by_class = {name: summary(shares[predicted == k]) for k, name in enumerate(EMOTIONS) if (predicted == k).any()}
    return {
        "all": summary(shares),
        "classes": by_class,
        "off_the_face": [name for name, row in by_class.items() if row["parts"]["elsewhere"]["focus"] >= 1],
        "off_the_features": [
            name for name, row in by_class.items() if row["expressive_focus"] < row["parts"]["nose and cheeks"]["focus"]
        ],
    }


def interpretation(found: dict[str, Any]) -> str:
    """Return whether the maps localise features of the face, from the result of ``evidence_by_region``, as text."""
    off, middle = found["off_the_face"], found["off_the_features"]
    lines = []
    if off:
        lines.append(f"For {', '.join(off)} the evidence lies outside the face: do not trust these maps.")
    if middle:
        who = "every class" if len(middle) == len(found["classes"]) else ", ".join(middle)
        lines.append(
            f"For {who} the evidence is strongest in the middle of the face, on nose and cheeks, rather than on brows, eyes and "
            "mouth. Receptive fields there include brows, eyes and mouth, so such a map separates the face from its "
            "surroundings but does not show which feature was decisive."
        )
    return " ".join(lines) or "For every class the evidence concentrates on brows, eyes and mouth."


def _shares(values: NDArray[np.float32], offset: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the share of ``values`` (48, 48) in each region, moved by ``offset`` pixels, and elsewhere."""
    total = max(float(values.sum()), 1e-6)
    dx, dy = (round(float(v)) for v in np.clip(offset, -8, 8))
    inside = []
    for x, y, w, h in REGIONS.values():
        left, top = max(0, x + dx), max(0, y + dy)
        inside.append(float(values[top : max(top, y + dy + h), left : max(left, x + dx + w)].sum()) / total)
    return np.array([*inside, max(0.0, 1 - sum(inside))])
