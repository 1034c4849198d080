"""Quality gate: faces that are too small, blurred or dark are not read, with a reason.

At each limit, the default model agrees with the majority of ten raters as often as a single rater
does (83%), on FER2013's PublicTest faces degraded to that level (``benchmarks/legibility.py``; 90% on
the original faces). Below it, a prediction is less reliable than a person's and looks like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.records import HeadPose

MIN_SIDE_PX: Final = 16.0
"""Minimum side of a crop in frame pixels; smaller faces are "too small"."""
MIN_SHARPNESS: Final = -1.9
"""Minimum sharpness (see :func:`picture_measures`); crops below it are "blurred"."""
MIN_BRIGHTNESS: Final = 25.0
"""Minimum mean grey level; crops below it are "too dark"."""
MIN_CONTRAST: Final = 9.0
"""Minimum standard deviation of grey levels; crops below it are "too flat"."""
MAX_TURN_DEG: Final = 50.0
"""Maximum yaw and pitch in degrees; beyond them a face is "turned away"."""
_SLACK: Final = 0.15
"""Hysteresis: a face that was read before may exceed the limits by this share, so that its reading does not flicker."""


def picture_measures(crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return measures of (N, H, W) uint8 grey crops, each (N,) float32.

    ``brightness`` and ``contrast``: mean and standard deviation in grey levels.
    ``sharpness``: log10 of the variance of the Laplacian (Pech-Pacheco et al. 2000) divided by
    the variance of the crop, so that low contrast is not mistaken for blur.
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


def unread_reasons(
    crops: NDArray[np.uint8], sides_px: Sequence[float], poses: Sequence[HeadPose | None], was_read: Sequence[bool]
) -> list[str]:
    """Return for each of N faces the reason why it fails the quality gate, "" if it passes.

    Args:
        crops: (N, 1, 48, 48) uint8, aligned.
        sides_px: (N,) side of each crop in frame pixels.
        poses: (N,) head poses, None where unknown.
        was_read: (N,) whether each face was read in the previous frame; its limits are then 15% wider.
    """
    if len(crops) == 0:
        return []
    measures = picture_measures(crops[:, 0])
    reasons: list[str] = []
    for i, (side_px, pose, before) in enumerate(zip(sides_px, poses, was_read, strict=True)):
        slack = _SLACK if before else 0.0
        brightness = measures["brightness"][i]
        if side_px < MIN_SIDE_PX * (1 - slack):
            reasons.append("too small")
        elif brightness < MIN_BRIGHTNESS * (1 - slack):
            reasons.append("too dark")
        elif measures["contrast"][i] < MIN_CONTRAST * (1 - slack):
            reasons.append("too flat")
        elif pose is not None and max(abs(pose.yaw_deg), abs(pose.pitch_deg)) > MAX_TURN_DEG * (1 + slack):
            reasons.append("turned away")
        elif measures["sharpness"][i] < MIN_SHARPNESS * (1 + slack):
            reasons.append("blurred")
        else:
            reasons.append("")
    return reasons
