"""Differences in lighting and pose between classes and splits: shortcuts a model could learn."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.emotions import EMOTIONS

MEASURES: Final[dict[str, str]] = {
    "brightness": "mean grey level, 0 to 255",
    "contrast": "standard deviation of grey levels",
    "turn": "yaw: absolute offset of the nose between the eyes, 0 centred, 1 at an eye",
    "nod": "pitch: position of the nose between eyes and mouth, 0 as in the mean face",
    "tilt_deg": "roll: rotation of the line between the eyes, degrees",
}
NOTABLE_EFFECT: Final = 0.2
"""Smallest effect reported: a small effect by Cohen (1988)."""


def compare(dataset: FaceDataset, scores: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Return mean, standard deviation and effect size of each measure by class and by split.

    The effect is Cohen's d of the class or split against the rest: the difference of means over
    the pooled standard deviation. A class or split with fewer than two known values is None.
    """
    found: dict[str, Any] = {}
    for measure, meaning in MEASURES.items():
        if measure not in scores:
            continue
        values = np.abs(scores[measure]) if measure == "turn" else scores[measure]
        found[measure] = {
            "meaning": meaning,
            "class": {name: _part(values, dataset.labels == k) for k, name in enumerate(EMOTIONS)},
            "split": {name: _part(values, dataset.splits == k) for k, name in enumerate(SPLITS)},
        }
    return found


def notable(balance: dict[str, Any]) -> list[tuple[float, str, str, str]]:
    """Return (effect, measure, ``class`` or ``split``, its name) for effects of at least ``NOTABLE_EFFECT``, largest first."""
    found = [
        (part["effect"], measure, kind, name)
        for measure, facts in balance.items()
        for kind in ("class", "split")
        for name, part in facts[kind].items()
        if part is not None and abs(part["effect"]) >= NOTABLE_EFFECT
    ]
    return sorted(found, key=lambda row: -abs(row[0]))


def _part(values: NDArray[np.float32], here: NDArray[np.bool_]) -> dict[str, float] | None:
    """Return the statistics of one class or split; None if it has fewer than two known values."""
    known = np.isfinite(values)
    inside, outside = values[here & known].astype(np.float64), values[~here & known].astype(np.float64)
    if len(inside) < 2:
        return None
    effect = 0.0
    if len(outside):
        pooled = np.sqrt((inside.var() * len(inside) + outside.var() * len(outside)) / (len(inside) + len(outside)))
        effect = (inside.mean() - outside.mean()) / pooled if pooled > 0 else 0.0
    return {
        "n": len(inside),
        "mean": round(float(inside.mean()), 4),
        "std": round(float(inside.std()), 4),
        "effect": round(float(effect), 4),
    }
