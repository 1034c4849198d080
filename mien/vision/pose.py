"""Head pose from five landmarks.

The rigid head model is FER2013's mean face (``CANONICAL_LANDMARKS``), so the mean face looks
straight ahead by definition. Its depth is not visible in a picture and is estimated: under a
yaw angle, the distance of the eyes shrinks by the cosine and the nose moves by the sine. On
FER2013's clearly turned faces, both agree on a nose tip 0.44 to 0.47 eye distances in front of
eyes and mouth (``benchmarks/head_pose.py``, which also measures the error).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.preprocess import CANONICAL_LANDMARKS
from mien.records import LONGEST_INTERVAL_S, FrameResult, HeadPose

RETURN_FACTOR: Final = 0.8
"""Hysteresis: a head that was turned away faces the screen again below this share of the limits."""
NOSE_DEPTH: Final = 0.46
"""Distance of the nose tip in front of eyes and mouth, in eye distances."""


def head_model(nose_depth: float = NOSE_DEPTH) -> NDArray[np.float64]:
    """Return the rigid head model (5, 3) in crop pixels: x right, y down, z towards the camera, centred on its mean."""
    points = np.column_stack([CANONICAL_LANDMARKS.astype(np.float64), np.zeros(5)])
    points[2, 2] = nose_depth * (points[1, 0] - points[0, 0])
    return np.asarray(points - points.mean(0), np.float64)


_MODEL: Final = head_model()
_FIT: Final = _MODEL @ np.linalg.inv(_MODEL.T @ _MODEL)  # (5, 3): from landmarks to the affine camera


def head_pose(landmarks: NDArray[np.float32] | None) -> HeadPose | None:
    """Return the head pose in degrees, or None if the landmarks are missing or coincide.

    Scaled orthography (POS, DeMenthon and Davis 1995): the least-squares affine camera and the
    rotation nearest to it. Perspective is ignored: at half a metre it distorts a face by less
    than the error of the landmarks.

    In simulation, with YuNet's landmark noise and 5% variation between heads, the median error
    is 5 degrees of yaw, 5 of pitch and 2 of roll; the 95th percentile is 14, 14 and 6. On two
    clips, rotations of the picture are recovered as roll within 2 degrees, and mirroring changes
    the absolute yaw by 4. It was not tested against measured poses of people.

    Args:
        landmarks: (5, 2) pixels, in the order of :class:`mien.records.Detection`.
    """
    if landmarks is None:
        return None
    points = landmarks.astype(np.float64)
    camera = (points - points.mean(0)).T @ _FIT  # (2, 3)
    if not np.isfinite(camera).all():
        return None
    left, scales, right = np.linalg.svd(camera, full_matrices=False)
    if scales[1] < 1e-3 * max(scales[0], 1e-9) or scales[0] < 1e-6:
        return None
    across, down = left @ right
    towards = np.cross(across, down)
    forward_x, forward_y, forward_z = across[2], down[2], towards[2]
    yaw, pitch = math.atan2(forward_x, forward_z), math.asin(max(-1.0, min(1.0, -forward_y)))
    # the rotation that remains after yaw and pitch are undone is the roll
    yaw_turn = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    pitch_turn = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    rest = (yaw_turn @ pitch_turn).T @ np.stack([across, down, towards])
    return HeadPose(math.degrees(yaw), math.degrees(pitch), math.degrees(math.atan2(rest[1, 0], rest[0, 0])))


class FacingFilter:
    """Decides with hysteresis whether each face in a stream faces the screen.

    The limits of ``HeadPose.faces_screen`` are narrower for turning back than for turning away, so that a head at
    the limit does not alternate. All counts and displays use this decision. State is kept per track, for one
    second after a face was last seen.
    """

    def __init__(self) -> None:
        self._facing: dict[str, tuple[bool, float]] = {}

    def update(self, result: FrameResult) -> FrameResult:
        """Return the frame with ``facing`` set for each face whose pose is known."""
        self._facing = {name: last for name, last in self._facing.items() if result.t_s - last[1] <= LONGEST_INTERVAL_S}
        faces = []
        for face in result.faces:
            if face.pose is not None:
                was_facing, _ = self._facing.get(face.track_id, (True, 0.0))
                facing = face.pose.faces_screen(1.0 if was_facing else RETURN_FACTOR)
                self._facing[face.track_id] = facing, result.t_s
                face = face if face.facing is facing else replace(face, facing=facing)
            faces.append(face)
        return replace(result, faces=tuple(faces))
