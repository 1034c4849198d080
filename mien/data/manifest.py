"""Data manifest: content hash and the version of every step that changes pixels.

Checkpoints and bundles contain a manifest. Evaluation on data with another one gives a warning,
and ``manifest_differences`` names the step.
"""

from __future__ import annotations

from typing import Any, Final

from mien.data.dataset import FaceDataset
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION

READ_VERSION: Final = "2"
"""Must change whenever readers produce other pixels from the same files."""


def manifest(dataset: FaceDataset) -> dict[str, Any]:
    """Return the manifest of a data set as plain values.

    ``dataset_hash`` does not depend on order, file names or machine. The steps describe the
    processing of the pixels between file and network.
    """
    return {
        "dataset_hash": dataset.content_hash(),
        "steps": {
            "read": {"version": READ_VERSION, "grey": "OpenCV, ITU-R BT.601", "size_px": INPUT_SIZE, "resize": "area or linear"},
            "crop": {"version": PREPROCESS_VERSION, "size_px": INPUT_SIZE},
        },
    }


def manifest_differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return one line per difference between two manifests.

    Steps that are missing in the older manifest are not reported.

    >>> manifest_differences({"dataset_hash": "a", "steps": {}}, {"dataset_hash": "b"})
    ['data set: hash a here, b there']
    """
    lines = []
    if ours.get("dataset_hash") != theirs.get("dataset_hash"):
        lines.append(f"data set: hash {str(ours.get('dataset_hash'))[:12]} here, {str(theirs.get('dataset_hash'))[:12]} there")
    for step, settings in ours.get("steps", {}).items():
        other = theirs.get("steps", {}).get(step)
        if other is not None and other != settings:
            changed = [key for key in sorted({*settings, *other}) if settings.get(key) != other.get(key)]
            lines.append(
                f"step {step}: " + ", ".join(f"{key} {settings.get(key)!r} here, {other.get(key)!r} there" for key in changed)
            )
    return lines
