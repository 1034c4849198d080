"""What made the numbers comparable: the data's hash, and the version of every step that touches pixels.

Checkpoints and bundles carry a manifest; evaluating on data with another one is worth a
warning, and ``manifest_differences`` says which step it is.
"""

from __future__ import annotations

from typing import Any, Final

from mien.data.dataset import FaceDataset
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION

READ_VERSION: Final = "2"
"""Changes with any change of the pixels that readers make of the same files."""


def manifest(dataset: FaceDataset) -> dict[str, Any]:
    """Return the manifest of a data set as plain values.

    ``dataset_hash`` does not depend on order, file names or machine; the steps name what
    was done to every pixel between the file and the network.
    """
    return {
        "dataset_hash": dataset.content_hash(),
        "steps": {
            "read": {"version": READ_VERSION, "grey": "OpenCV, ITU-R BT.601", "size_px": INPUT_SIZE, "resize": "area or linear"},
            "crop": {"version": PREPROCESS_VERSION, "size_px": INPUT_SIZE},
        },
    }


def manifest_differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return one line for each thing in which two manifests differ; [] where they agree.

    Steps that the older manifest does not name are not held against it.

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
