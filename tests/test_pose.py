"""Head pose against known turns: of a rigid head, of pictures, and in a mirror."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.preprocess import CANONICAL_LANDMARKS
from mien.records import HeadPose
from mien.sources.files import read_picture
from mien.vision.pose import head_model, head_pose
from mien.vision.yunet import YuNetDetector


def seen(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0, size: float = 3.0) -> np.ndarray:
    """Return (5, 2): the model, rolled, nodded, then turned, from far away."""
    a, b, c = (math.radians(v) for v in (yaw_deg, pitch_deg, roll_deg))
    roll = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    nod = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    turn = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    return size * (head_model() @ (turn @ nod @ roll).T)[:, :2] + (320, 240)


def test_the_mean_face_looks_straight_ahead() -> None:
    pose = head_pose(CANONICAL_LANDMARKS)
    assert pose is not None
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("turn", [(30, 0, 0), (-30, 0, 0), (0, 20, 0), (0, -20, 0), (0, 0, 25), (25, -15, 10), (-40, 20, -30)])
def test_known_turns_come_back(turn: tuple[float, float, float]) -> None:
    pose = head_pose(seen(*turn))
    assert pose is not None
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx(turn, abs=0.01)


def test_signs_are_those_of_the_picture() -> None:
    right, up = head_pose(seen(yaw_deg=20)), head_pose(seen(pitch_deg=20))
    assert right is not None
    assert up is not None
    assert right.yaw_deg > 0
    assert seen(yaw_deg=20)[2, 0] > 325  # the nose has moved to the right of the picture
    assert up.pitch_deg > 0
    assert seen(pitch_deg=20)[2, 1] < seen()[2, 1]  # and up
    turned = cv2.getRotationMatrix2D((320, 240), -15, 1)  # clockwise in OpenCV's convention
    clockwise = head_pose(seen() @ turned[:, :2].T + turned[:, 2])
    assert clockwise is not None
    assert clockwise.roll_deg == pytest.approx(15, abs=0.01)


@pytest.mark.parametrize("size", [0.2, 1.0, 40.0])
def test_size_and_place_do_not_matter(size: float) -> None:
    pose = head_pose(seen(20, 10, -5, size) - [1000, 300])
    assert pose is not None
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx((20, 10, -5), abs=0.01)


@pytest.mark.parametrize(
    "points",
    [np.zeros((5, 2)), np.full((5, 2), np.nan), np.tile([[3.0, 4.0]], (5, 1)), np.linspace(0, 9, 5)[:, None] * [[1, 1]], None],
)
def test_landmarks_that_fall_together_have_no_pose(points: np.ndarray | None) -> None:
    assert head_pose(points) is None


def test_real_faces_roll_with_the_picture_and_turn_in_the_mirror(yunet: Path, shared: Path) -> None:
    image = read_picture(shared / "media" / "five_faces.jpg")
    assert image is not None
    detector = YuNetDetector(yunet)

    def poses(picture: np.ndarray) -> list[HeadPose]:
        found = [head_pose(face.landmarks) for face in detector.detect(picture)]
        assert len(found) == 5
        return [pose for pose in found if pose is not None]

    plain, mirrored = poses(image), poses(image[:, ::-1].copy())[::-1]
    assert all(abs(pose.yaw_deg) < 35 and abs(pose.pitch_deg) < 35 for pose in plain)  # all five look at the camera, more or less
    assert np.median([abs(a.yaw_deg + b.yaw_deg) for a, b in zip(plain, mirrored, strict=True)]) < 6
    assert np.median([abs(a.roll_deg + b.roll_deg) for a, b in zip(plain, mirrored, strict=True)]) < 4
