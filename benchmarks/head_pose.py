"""Accuracy of the head pose from five landmarks.

    python benchmarks/head_pose.py --data fer2013.zip --clips FOLDER [--faces 3000]

Prints the depth of the nose fitted to FER2013's turned faces; YuNet's noise on the clips
(a frame and slightly shifted and resized copies); the error for known rotations of a head with
that noise and with heads that differ by 5%; and on the clips the error of roll for known
rotations of the picture and of yaw for its mirror image. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.audit.faces import find_faces
from mien.data.reader import read_dataset
from mien.records import HeadPose
from mien.sources.factory import open_source
from mien.vision.detector import Detector
from mien.vision.detector_choice import open_detector
from mien.vision.pose import head_model, head_pose
from mien.vision.weights import find_yunet

CLIPS = ("sad_to_happy.mp4", "neutral_smile_neutral.mp4")
MIRRORED = [1, 0, 2, 4, 3]


def nose_depth(data: Path, faces: int) -> dict[str, float]:
    """Return the nose's depth in eye distances by its offset from the middle (in eye-to-mouth distances)."""
    weights = find_yunet()
    if weights is None:
        raise SystemExit("YuNet is missing. Run mien doctor --fetch")
    train = read_dataset(data).dataset.split("Training")
    found = find_faces(train.images[np.linspace(0, len(train) - 1, faces).astype(np.int64)], weights)
    points = found.landmarks[found.score > 0.7].astype(np.float64)
    eyes, mouth = points[:, :2].mean(1), points[:, 3:].mean(1)
    down = mouth - eyes
    height = np.linalg.norm(down, axis=1)
    across = np.stack([down[:, 1], -down[:, 0]], 1) / height[:, None]
    apart = np.abs(((points[:, 1] - points[:, 0]) * across).sum(1)) / height
    off = np.abs(((points[:, 2] - (eyes + mouth) / 2) * across).sum(1)) / height
    nod = ((points[:, 2] - eyes) * down).sum(1) / height**2
    level = np.abs(nod - np.median(nod)) < 0.08  # pitch moves the nose too
    frontal = float(np.median(apart[level & (off < 0.03)]))
    depths = {}
    for low in (0.1, 0.15, 0.2, 0.25, 0.3):
        chosen = level & (off >= low) & (off < low + 0.05)
        turn = math.acos(min(1.0, float(np.median(apart[chosen])) / frontal))
        depths[f"{low:.2f}"] = round(float(np.median(off[chosen])) / math.sin(turn) / frontal, 3)
    return depths


def moved(image: NDArray[np.uint8], turn_deg: float = 0.0, zoom: float = 1.0, shift: float = 0.0) -> tuple[Any, Any]:
    """Return the picture rotated about its centre, and the (2, 3) transform."""
    height, width = image.shape[:2]
    transform = cv2.getRotationMatrix2D((width / 2, height / 2), turn_deg, zoom)
    transform[:, 2] += shift
    return cv2.warpAffine(image, transform, (width, height), borderMode=cv2.BORDER_REPLICATE), transform


def only_face(detector: Detector, image: Any) -> Any:
    found = detector.detect(image)
    return found[0].landmarks.astype(np.float64) if len(found) == 1 and found[0].landmarks is not None else None


def on_clips(detector: Detector, clips: Path) -> dict[str, float]:
    """Return YuNet's noise in eye distances, and the median errors of roll and yaw in degrees."""
    noise, roll, yaw = [], [], []
    for clip in CLIPS:
        for frame in islice(open_source(str(clips / clip))[0].frames(), 0, None, 8):
            points = only_face(detector, frame.image)
            pose = None if points is None else head_pose(points)
            if points is None or pose is None:
                continue
            for zoom, shift in ((0.97, 1.3), (1.03, -2.1), (0.99, 3.7)):
                image, transform = moved(frame.image, 0, zoom, shift)
                seen = only_face(detector, image)
                if seen is not None:
                    back = (seen - transform[:, 2]) @ np.linalg.inv(transform[:, :2]).T
                    noise.append((back - points) / np.linalg.norm(points[1] - points[0]))
            for turn in (-20.0, -10.0, 10.0, 20.0):
                seen = only_face(detector, moved(frame.image, turn)[0])
                turned = None if seen is None else head_pose(seen)
                if turned is not None:
                    # rotating the picture rotates a frontal head by the same angle, in addition to its own pose
                    roll.append(abs(turned.roll_deg - pose.roll_deg + turn))
            seen = only_face(detector, frame.image[:, ::-1].copy())
            if seen is not None:
                back = np.column_stack([frame.image.shape[1] - 1 - seen[:, 0], seen[:, 1]])[MIRRORED]
                other = head_pose(np.column_stack([-back[:, 0], back[:, 1]])[MIRRORED])
                if other is not None:
                    yaw.append(abs(other.yaw_deg + pose.yaw_deg))
    return {
        "noise": round(float(np.std(np.array(noise))), 4),
        "roll_deg": round(float(np.median(roll)), 2),
        "mirror_yaw_deg": round(float(np.median(yaw)), 2),
    }


def turned_head(pose: HeadPose) -> NDArray[np.float64]:
    """Return (3, 3): yaw, after pitch, after roll."""
    yaw, pitch, roll = (math.radians(v) for v in (pose.yaw_deg, pose.pitch_deg, pose.roll_deg))
    turn_yaw = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    turn_pitch = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    turn_roll = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    return np.asarray(turn_yaw @ turn_pitch @ turn_roll)


def known_turns(noise: float, variation: float, count: int = 4000) -> dict[str, float]:
    """Return median and 95th percentile of the error in degrees for heads at 0.5 to 2 m."""
    random = np.random.default_rng(0)
    errors = []
    model = head_model()
    eyes = model[1, 0] - model[0, 0]
    for _ in range(count):
        pose = HeadPose(*random.uniform((-40, -25, -25), (40, 25, 25)))
        head = model + random.normal(0, variation * eyes, (5, 3))
        seen = head @ turned_head(pose).T
        distance = random.uniform(500, 2000) / 63 * eyes  # eyes are 63 mm apart
        points = seen[:, :2] * (distance / (distance - seen[:, 2:])) + random.normal(0, noise * eyes, (5, 2))
        found = head_pose(points)
        assert found is not None
        errors.append([abs(a - b) for a, b in ((found.yaw_deg, pose.yaw_deg), (found.pitch_deg, pose.pitch_deg),
                                               (found.roll_deg, pose.roll_deg))])  # fmt: skip
    table = np.array(errors)
    return {
        f"{name}_{word}": round(float(np.percentile(table[:, k], p)), 2)
        for k, name in enumerate(("yaw", "pitch", "roll"))
        for word, p in (("median", 50), ("p95", 95))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=3000)
    arguments = parser.parse_args()
    depths = nose_depth(arguments.data, arguments.faces)
    print(f"depth of the nose in eye distances, by its offset from the middle: {depths}")
    real = on_clips(open_detector(), arguments.clips)
    print(f"YuNet's noise: {real['noise']:.3f} eye distances; rotated pictures: roll error {real['roll_deg']} degrees;"
          f" mirrored pictures: yaw error {real['mirror_yaw_deg']}")  # fmt: skip
    results = {}
    for name, noise, variation in (("noise alone", real["noise"], 0.0), ("heads differ by 5%", real["noise"], 0.05)):
        results[name] = known_turns(noise, variation)
        print(f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in results[name].items()))
    print(json.dumps({"nose_depth": depths, **real, "known_turns": results}))


if __name__ == "__main__":
    main()
