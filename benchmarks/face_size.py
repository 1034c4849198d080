"""Stability of labels for small faces: the same faces near and far, through the steps of the live pipeline.

    MIEN_MODELS=models python benchmarks/face_size.py --data fer2013.zip [--model mien-s] [--images 600]

Each PublicTest face is enlarged to 150 pixels on a grey 640x480 picture, and the picture is reduced so that the face
has 40 to 60 pixels, as in a gallery of 25. Both are detected, aligned and predicted. The result is the share of faces found
in both whose most probable expression is the same. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.reader import read_dataset
from mien.records import Detection
from mien.vision.aligner import align_faces
from mien.vision.bundles import bundle_path
from mien.vision.detector import Detector
from mien.vision.detector_choice import open_detector
from mien.vision.predictor import Predictor

NEAR_PX = 150
FAR_PX = (40, 60)
HEIGHT, WIDTH, GREY = 480, 640, 127


def pasted(face: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a (480, 640, 3) grey picture with ``face`` in its middle, ``side`` pixels wide."""
    picture = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
    how = cv2.INTER_AREA if side < len(face) else cv2.INTER_CUBIC
    left, top = (WIDTH - side) // 2, (HEIGHT - side) // 2
    picture[top : top + side, left : left + side] = cv2.resize(face, (side, side), interpolation=how)[..., None]
    return picture


def crop_of(detector: Detector, picture: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return the (1, 1, 48, 48) crop of the largest face, or None if there is none."""
    found: tuple[Detection, ...] = detector.detect(picture)
    if not found:
        return None
    return align_faces(picture, [max(found, key=lambda d: d.box.w * d.box.h)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", nargs="+", default=["mien-s", "mien-xs"], help="names or paths of bundles")
    parser.add_argument("--images", type=int, default=600)
    arguments = parser.parse_args()
    test = read_dataset(arguments.data).dataset.split("PublicTest")
    order = np.random.default_rng(0).permutation(len(test))[: arguments.images]
    detector = open_detector()
    random = np.random.default_rng(1)
    near, far = [], []
    for face in test.images[order]:
        large = cv2.resize(face, (NEAR_PX, NEAR_PX), interpolation=cv2.INTER_CUBIC)
        crops = [crop_of(detector, pasted(large, side)) for side in (NEAR_PX, int(random.integers(*FAR_PX, endpoint=True)))]
        if crops[0] is not None and crops[1] is not None:
            near.append(crops[0])
            far.append(crops[1])
    report: dict[str, object] = {"detector": detector.name, "images": len(order), "found_in_both": len(near)}
    print(f"{detector.name}: {len(near)} of {len(order)} faces found at both sizes")
    for name in arguments.model:
        predictor = Predictor(bundle_path(name))
        answers = [predictor.predict(np.concatenate(crops)).probabilities.argmax(1) for crops in (near, far)]
        same = float((answers[0] == answers[1]).mean())
        report[Path(name).name] = {"same_label": same}
        print(f"{Path(name).name:>14}: the same label at {FAR_PX[0]} to {FAR_PX[1]} px as at {NEAR_PX} px for {same:.1%}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
