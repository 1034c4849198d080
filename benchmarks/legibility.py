"""Limits of the quality gate: accuracy as a function of the measures available in live sessions.

    python benchmarks/legibility.py --data fer2013.zip --votes ferplus_votes.csv [--images 800] [--model mien-s]

PublicTest faces are made smaller, blurred, darkened and flattened in steps; each row gives the
median of the measure and the model's accuracy. With --votes, the limits in ``mien/vision/legibility.py``
are where agreement with people falls below that of a single rater, 83%. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.fer2013 import has_fer2013_labels
from mien.data.reader import read_dataset
from mien.data.votes import read_votes
from mien.evaluation.corruptions import CORRUPTIONS
from mien.evaluation.truths import TRUTHS, labelled, truths_about
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.legibility import picture_measures
from mien.vision.predictor import Predictor

Faces = NDArray[np.uint8]
STEPS: dict[str, tuple[str, tuple[float, ...]]] = {
    "downsampling": ("", (48, 24, 18, 16, 14, 12, 10, 8, 6)),
    "blur": ("sharpness", (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5)),
    "low_light": ("brightness", (1, 0.4, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02)),
    "contrast": ("contrast", (1, 0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)),
}
"""Corruption, the measure that detects it, and the strengths."""


def spoilt(faces: Faces, apply: Callable[..., NDArray[np.generic]], strength: float) -> Faces:
    random = np.random.default_rng(0)
    none = np.zeros((5, 2), np.float32)
    rows = [np.asarray(apply(face, strength, none, random), np.float32) for face in faces]
    return np.clip(np.rint(np.stack(rows)), 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--votes", type=Path, help="FER+ votes: score against the raters' majority")
    parser.add_argument("--model", default=DEFAULT_BUNDLE)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    predictor = Predictor(bundle_path(arguments.model))
    data = read_dataset(arguments.data).dataset
    test = data.split("PublicTest")
    votes = read_votes(arguments.votes, test) if arguments.votes else None
    truth = truths_about(test, votes, predictor.card.heads, has_fer2013_labels(data))[0]
    if truth.head != predictor.card.heads[0]:
        raise SystemExit("this bundle has a people head, which is scored against votes. Pass --votes")
    test = labelled(test, truth)
    print(f"against {TRUTHS[truth.name]}")
    chosen = np.linspace(0, len(test) - 1, arguments.images).astype(np.int64)
    images, labels = test.images[chosen], test.labels[chosen]
    found: dict[str, list[dict[str, float]]] = {}
    for name, (measure, strengths) in STEPS.items():
        print(f"\n{name}: {CORRUPTIONS[name].meaning}\n{'strength':>9} {'measure':>9} {'5%':>7} {'95%':>7} {'accuracy':>9}")
        found[name] = []
        for strength in strengths:
            faces = spoilt(images, CORRUPTIONS[name].apply, strength)
            values = picture_measures(faces)[measure] if measure else np.full(len(faces), strength)
            low, middle, high = (float(v) for v in np.percentile(values, (5, 50, 95)))
            accuracy = float((predictor.predict(faces[:, None]).probabilities.argmax(1) == labels).mean())
            print(f"{strength:9g} {middle:9.2f} {low:7.2f} {high:7.2f} {accuracy:9.1%}", flush=True)
            found[name].append({"strength": strength, "measure": round(middle, 3), "accuracy": round(accuracy, 4)})
    print(json.dumps({"images": arguments.images, "model": arguments.model, "steps": found}))


if __name__ == "__main__":
    main()
