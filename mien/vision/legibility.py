"""Can this face be read? A face that is too small, blurred or dark is not, and it is said why.

A reading of such a face is a guess that looks like any other. The limits stand where the
default model is right on about half of FER2013's PublicTest faces spoilt to that degree,
from 69 % unspoilt (``benchmarks/legibility.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.records import HeadPose

SMALLEST_PX: Final = 20.0
"""Side of the crop in frame pixels below which a face is too small."""
LEAST_SHARPNESS: Final = -1.6
"""Sharpness (see :func:`picture_measures`) below which a crop is blurred."""
DARKEST: Final = 25.0
"""Mean grey level below which a crop is too dark."""
FLATTEST: Final = 9.0
"""Standard deviation of grey levels below which a crop is too flat to show a face."""
FURTHEST_DEG: Final = 50.0
"""Degrees of yaw or pitch beyond which a face is turned away."""
_SLACK: Final = 0.15
"""A face that is being read stays so up to this share beyond the limits: it would else blink."""


def picture_measures(crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return measures of (N, H, W) uint8 grey crops, each (N,) float32.

    ``brightness`` and ``contrast``: mean and standard deviation in grey levels.
    ``sharpness``: log10 of the variance of the Laplacian (Pech-Pacheco et al. 2000) over the
    variance of the crop, so that low contrast is not taken for blur.
    """
    grey = crops.astype(np.float32)
    variance = grey.var((1, 2))
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    return {
        "brightness": grey.mean((1, 2)),
        "contrast": np.sqrt(variance),
        "sharpness": np.log10((laplacian.var((1, 2)) + 1e-3) / (variance + 1e-3)),
    }


def why_unread(
    crops: NDArray[np.uint8], sides_px: Sequence[float], poses: Sequence[HeadPose | None], was_read: Sequence[bool]
) -> list[str]:
    """Return why each face cannot be read, "" where it can.

    Args:
        crops: (N, 1, 48, 48) uint8, aligned.
        sides_px: how many frame pixels the side of each crop covers.
        poses: where each head points, None where unknown.
        was_read: whether the face was read a moment ago; its limits are a little wider then.
    """
    if len(crops) == 0:
        return []
    measures = picture_measures(crops[:, 0])
    faults: list[str] = []
    for i, (side_px, pose, before) in enumerate(zip(sides_px, poses, was_read, strict=True)):
        slack = _SLACK if before else 0.0
        brightness = measures["brightness"][i]
        if side_px < SMALLEST_PX * (1 - slack):
            faults.append("too small")
        elif brightness < DARKEST * (1 - slack):
            faults.append("too dark")
        elif measures["contrast"][i] < FLATTEST * (1 - slack):
            faults.append("too flat")
        elif pose is not None and max(abs(pose.yaw_deg), abs(pose.pitch_deg)) > FURTHEST_DEG * (1 + slack):
            faults.append("turned away")
        elif measures["sharpness"][i] < LEAST_SHARPNESS * (1 + slack):
            faults.append("blurred")
        else:
            faults.append("")
    return faults
