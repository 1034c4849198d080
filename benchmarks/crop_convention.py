"""Fit of the crop to FER2013's framing, and accuracy lost by detection and alignment.

1. Fit: mean position of detected faces in Training images. ``mien.preprocess`` has the
   means as ``CANONICAL_LANDMARKS``.
2. Cost: every PublicTest image is enlarged to 200x200, pasted on a grey 640x480 canvas,
   detected, aligned and predicted. The accuracy over the detected faces is compared with
   that of the same images given to the model directly.

    python benchmarks/crop_convention.py --data data/fer2013.zip --votes data/ferplus_votes.csv [--model mien-s] [--limit 0]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.fer2013 import has_fer2013_labels
from mien.data.reader import read_dataset
from mien.data.votes import read_votes
from mien.evaluation.truths import TRUTHS, labelled, truths_about
from mien.preprocess import CANONICAL_LANDMARKS, INPUT_SIZE
from mien.records import Detection
from mien.vision.aligner import align_faces
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.detector import Detector
from mien.vision.detector_choice import open_detector
from mien.vision.finder import FaceFinder
from mien.vision.own_detector import OwnDetector
from mien.vision.predictor import Predictor

SIDE, LEFT, TOP = 200, 220, 140


def on_canvas(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a (480, 640, 3) grey canvas with ``face`` (48, 48) enlarged in its middle."""
    canvas = np.full((480, 640, 3), 127, np.uint8)
    enlarged = cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    canvas[TOP : TOP + SIDE, LEFT : LEFT + SIDE] = enlarged[..., None]
    return canvas


def to_crop(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert canvas coordinates (…, 2) to the 48-pixel image, preserving pixel centres."""
    return (points - (LEFT, TOP) + 0.5) * INPUT_SIZE / SIDE - 0.5


def largest(detections: tuple[Detection, ...]) -> Detection | None:
    return max(detections, key=lambda d: d.box.w * d.box.h, default=None)


def fit(detector: Detector, images: NDArray[np.uint8]) -> dict[str, list[object]]:
    """Return mean landmarks in crop coordinates over the images with a face."""
    found = [d for d in (largest(detector.detect(on_canvas(image))) for image in images) if d]
    landmarks = [to_crop(d.landmarks.astype(np.float64)) for d in found if d.landmarks is not None]
    return {"landmarks": np.mean(landmarks, axis=0).round(2).tolist()}


def cost(detector: Detector, predictor: Predictor, data: FaceDataset) -> dict[str, float]:
    """Return detection rate, and accuracy with and without detection over the detected faces."""
    hits, direct_hits, detected = 0, 0, 0
    for image, label in zip(data.images, data.labels, strict=True):
        canvas = on_canvas(image)
        detection = largest(FaceFinder(detector).update(0.0, canvas))  # as live sessions do
        if detection is None:
            continue
        detected += 1
        pair = np.concatenate([align_faces(canvas, [detection]), image[None, None]])
        answers = predictor.predict(pair).probabilities.argmax(1)
        hits += int(answers[0] == label)
        direct_hits += int(answers[1] == label)
    return {
        "n": len(data),
        "detection_rate": detected / len(data),
        "accuracy_in_loop": hits / max(1, detected),
        "accuracy_direct": direct_hits / max(1, detected),
        "points_lost": 100 * (direct_hits - hits) / max(1, detected),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--votes", type=Path, help="FER+ votes: score against the raters' majority")
    parser.add_argument("--model", default=DEFAULT_BUNDLE)
    parser.add_argument("--limit", type=int, default=0, help="PublicTest images to use (0: all)")
    parser.add_argument("--fit-images", type=int, default=1500, help="Training images to fit on")
    arguments = parser.parse_args()
    data = read_dataset(arguments.data).dataset
    training = data.split("Training")
    sample = np.random.default_rng(0).permutation(len(training))[: arguments.fit_images]
    predictor = Predictor(bundle_path(arguments.model))
    test = data.split("PublicTest")
    votes = read_votes(arguments.votes, test) if arguments.votes else None
    truth = truths_about(test, votes, predictor.card.heads, has_fer2013_labels(data))[0]
    if truth.head != predictor.card.heads[0]:
        raise SystemExit("this bundle has a people head, which is scored against votes. Pass --votes")
    test = labelled(test, truth)
    test = test.take(np.arange(min(arguments.limit or len(test), len(test))))
    report: dict[str, object] = {"truth": truth.name}
    print(f"against {TRUTHS[truth.name]}, {len(test)} images")
    print(f"in use: landmarks {CANONICAL_LANDMARKS.tolist()}")
    print(f"{'detector':>8} {'detected':>9} {'direct':>8} {'in loop':>8} {'points lost':>12}")
    for detector in {d.name: d for d in (open_detector(), OwnDetector())}.values():
        numbers = cost(detector, predictor, test)
        fitted = fit(detector, training.images[sample])
        print(
            f"{detector.name:>8} {numbers['detection_rate']:9.1%} {numbers['accuracy_direct']:8.2%} "
            f"{numbers['accuracy_in_loop']:8.2%} {numbers['points_lost']:12.2f}   fitted: {fitted}"
        )
        report[detector.name] = {**numbers, "fitted": fitted}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
