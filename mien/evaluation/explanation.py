"""What a model looks at: activation maps on faces, and whether they lie on the parts that make an expression.

The network ends in a mean over space and a linear layer, so a class's logit is exactly the mean
of its map (Zhou et al. 2016, arXiv:1512.04150): nothing is estimated, no gradient is needed.
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
"""Parts of the mean face: left, top, width and height in pixels of the crop (landmarks plus what moves around them)."""
EXPRESSIVE: Final = ("brows and eyes", "mouth and chin")
_INFERNO: Final = cv2.COLORMAP_INFERNO


def evidence(maps: NDArray[np.float32], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (N, h, w): how much each place speaks for one class rather than for the mean of all.

    Softmax does not see what all classes share, so their mean is taken off.

    Args:
        maps: (N, 7, h, w) activation maps.
        chosen: (N,) the class to explain for each face.
    """
    return np.asarray(maps[np.arange(len(maps)), chosen] - maps.mean(1), np.float32)


def heat(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (48, 48) float32, 0 to 1: the evidence for a class (h, w), smoothly enlarged, against its strongest place."""
    large = cv2.resize(np.maximum(places, 0), (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large / max(float(large.max()), 1e-6), 0, 1), np.float32)


def lay_over(image: NDArray[np.uint8], warmth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 BGR: ``image`` (H, W, 3) with ``warmth`` (H, W), 0 to 1, as colour upon it."""
    colours = cv2.applyColorMap((255 * warmth).astype(np.uint8), _INFERNO).astype(np.float32)
    cover = (0.65 * warmth)[..., None]
    return np.asarray(image * (1 - cover) + colours * cover + 0.5, np.float32).astype(np.uint8)


def face_with_map(face: NDArray[np.uint8], places: NDArray[np.float32], zoom: int = 2) -> NDArray[np.uint8]:
    """Return the crop (48, 48) uint8 and, to its right, the same under its evidence (h, w), as BGR, enlarged."""
    size = (INPUT_SIZE * zoom, INPUT_SIZE * zoom)
    plain = cv2.cvtColor(cv2.resize(face, size, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    warm = np.clip(cv2.resize(heat(places), size, interpolation=cv2.INTER_LINEAR), 0, 1)
    return np.hstack([plain, lay_over(plain, np.asarray(warm, np.float32))])


def where_it_looks(
    maps: NDArray[np.float32], predicted: NDArray[np.int64], landmarks: NDArray[np.float32] | None = None
) -> dict[str, Any]:
    """Return where the evidence for the answers lies, by class and over all, as plain values.

    For each part of the face ``share`` is how much of the positive evidence lies there, and
    ``focus`` that share over the part's share of the area: 1 is what evenly spread evidence
    would give. ``elsewhere`` is the rest of the crop: hair, background, edges.

    Args:
        maps: (N, 7, h, w).
        predicted: (N,) answers.
        landmarks: (N, 5, 2) pixels of the crop, NaN where unknown: the parts move with the face.
    """
    offsets = np.zeros((len(maps), 2), np.float32)
    if landmarks is not None:
        known = np.isfinite(landmarks).all((1, 2))
        offsets[known] = landmarks[known].mean(1) - CANONICAL_LANDMARKS.mean(0)
    places = evidence(maps, predicted)
    shares = np.stack([_shares(heat(place), offset) for place, offset in zip(places, offsets, strict=True)])  # (N, parts)
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


def verdict(found: dict[str, Any]) -> str:
    """Return in a sentence or three whether the maps of ``where_it_looks`` may be read as naming parts of the face."""
    off, middle = found["off_the_face"], found["off_the_features"]
    lines = []
    if off:
        lines.append(f"For {', '.join(off)} the evidence lies off the face: those maps must not be trusted.")
    if middle:
        who = "every class" if len(middle) == len(found["classes"]) else ", ".join(middle)
        lines.append(
            f"For {who} the evidence is strongest in the middle of the face, on nose and cheeks, rather than on brows, eyes and "
            "mouth themselves. A place there sees brows, eyes and mouth at once, so such a map tells the face from what is "
            "around it, and does not tell which feature decided."
        )
    return " ".join(lines) or "For every class the evidence gathers on brows, eyes and mouth."


def _shares(warmth: NDArray[np.float32], offset: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the share of ``warmth`` in each part of the face, moved by ``offset``, and elsewhere."""
    total = max(float(warmth.sum()), 1e-6)
    dx, dy = (round(float(v)) for v in np.clip(offset, -8, 8))
    inside = []
    for x, y, w, h in REGIONS.values():
        left, top = max(0, x + dx), max(0, y + dy)
        inside.append(float(warmth[top : max(top, y + dy + h), left : max(left, x + dx + w)].sum()) / total)
    return np.array([*inside, max(0.0, 1 - sum(inside))])
