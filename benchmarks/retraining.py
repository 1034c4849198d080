"""The whole loop on real images: drift, request, new faces, fine-tuning, gates, promotion, and the way back.

    python benchmarks/retraining.py --data fer2013.zip [--model mien-xs] [--faces 1500] [--epochs 2] [--replay 0] …

A new camera is made of some Training images, which are taken out of the old data first: dark,
soft and noisy. Half of them are the stream that is monitored; all of them, labelled, are the
new data. Every step is the command a user would type; its output follows it. Ends in one JSON line.
The model has seen these photographs in a better light, so what it gains here is more than it would be on strangers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.reader import read_dataset
from mien.emotions import EMOTIONS, FER2013_CODES


def through_a_worse_camera(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return (N, 48, 48) uint8 images as a dark, soft, noisy camera takes them."""
    random = np.random.default_rng(seed)
    spoilt = []
    for image in images:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
        dark = 255 * (soft / 255) ** 1.5 * 0.6
        spoilt.append(np.clip(dark + random.normal(0, 5, image.shape), 0, 255))
    return np.rint(np.stack(spoilt)).astype(np.uint8)


def write_csv(data: FaceDataset, path: Path) -> None:
    """Write a data set in FER2013's original form."""
    codes = [FER2013_CODES.index(name) for name in EMOTIONS]
    with path.open("w") as handle:
        handle.write("emotion,pixels,Usage\n")
        for image, label, split in zip(data.images, data.labels, data.splits, strict=True):
            handle.write(f"{codes[label]},{' '.join(map(str, image.ravel()))},{SPLITS[split]}\n")


def write_folders(images: NDArray[np.uint8], labels: NDArray[np.int64], folder: Path) -> None:
    """Write images into class folders."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / EMOTIONS[label]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number:05}.png"), image)


def mien(where: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run a command as a user would, show it, and return what it said."""
    print(f"$ mien {' '.join(arguments)}", flush=True)
    started = time.monotonic()
    environment = {**os.environ, "XDG_DATA_HOME": str(where / "home")}
    ran = subprocess.run(
        [sys.executable, "-m", "mien", *arguments], cwd=where, env=environment, capture_output=True, text=True, check=False
    )
    print(ran.stdout + (ran.stderr if ran.returncode not in codes else ""))
    print(f"[{ran.returncode}, {time.monotonic() - started:.0f} s]\n", flush=True)
    if ran.returncode not in codes:
        sys.exit(f"ended with {ran.returncode}")
    return ran.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="mien-xs")
    parser.add_argument("--faces", type=int, default=1500, help="images of the new camera")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--replay", type=int, default=0)
    parser.add_argument("--test", type=int, default=0, help="judge on so many images of PublicTest (0: all)")
    parser.add_argument("--old", type=int, default=0, help="keep so many images of Training (0: all)")
    arguments = parser.parse_args()
    old = read_dataset(arguments.data).dataset
    random = np.random.default_rng(0)
    taken = random.permutation(np.flatnonzero(old.training))[: arguments.faces]
    rest = old.take(np.setdiff1d(np.arange(len(old)), taken))
    for split, count in (("Training", arguments.old), ("PublicTest", arguments.test)):
        if count:
            places = np.flatnonzero(rest.splits == SPLITS.index(split))
            rest = rest.take(np.setdiff1d(np.arange(len(rest)), random.permutation(places)[count:]))
    camera = through_a_worse_camera(old.images[taken], 1)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        write_csv(rest, where / "old.csv")
        write_folders(camera, old.labels[taken], where / "new_faces")
        stream = where / "stream"
        stream.mkdir()
        for number, image in enumerate(camera[: len(camera) // 2]):
            cv2.imwrite(str(stream / f"{number:05}.png"), image)
        mien(where, "monitor", "images", "stream", "--crop", "--model", arguments.model, "--out", "drift", codes=(0, 10))
        request = where / "drift" / "retrain_request.json"
        if not request.is_file():
            sys.exit("no drift was noticed")
        said = mien(
            where,
            *("retrain", "--request", str(request.relative_to(where)), "--new-data", "new_faces", "--from", arguments.model),
            *("--data", "old.csv", "--epochs", str(arguments.epochs), "--replay", str(arguments.replay), "--out", "candidate"),
            codes=(0, 11),
        )
        outcome = json.loads(said.splitlines()[-1])
        if outcome["passed"]:
            mien(where, "models", "promote", "candidate")
            mien(where, "models", "path", arguments.model)
            mien(where, "models", "rollback", arguments.model)
            mien(where, "models", "history")
            mien(where, "audit", "verify")
        print(json.dumps({"faces": arguments.faces, "model": arguments.model, **outcome}))


if __name__ == "__main__":
    main()
