"""The whole retraining workflow on real images: drift, request, new faces, fine-tuning, gates, promotion, rollback.

    python benchmarks/retraining.py --data fer2013.zip [--model mien-xs] [--faces 1500] [--epochs 2] [--replay 0] …

A new camera (dark, blurred, noisy) is simulated on some Training images, which are removed from the
old data. Half of them form the monitored stream; all of them, labelled, are the new data. Every step is
the command that a user would run, followed by its output. The last line is JSON. The model was trained
on the originals of these photographs, so the gain is larger than it would be on new ones.
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
from mien.data.votes import OTHER_ANSWERS, Votes, read_votes
from mien.emotions import EMOTIONS, FER2013_CODES


def through_a_worse_camera(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return (N, 48, 48) uint8 images as from a dark, blurred, noisy camera."""
    random = np.random.default_rng(seed)
    spoilt = []
    for image in images:
        soft = cv2.GaussianBlur(image, (0, 0), 1.8).astype(np.float32)
        dark = 255 * (soft / 255) ** 1.8 * 0.5
        spoilt.append(np.clip(dark + random.normal(0, 8, image.shape), 0, 255))
    return np.rint(np.stack(spoilt)).astype(np.uint8)


def write_csv(data: FaceDataset, path: Path) -> None:
    """Write a data set in FER2013's original CSV format."""
    codes = [FER2013_CODES.index(name) for name in EMOTIONS]
    with path.open("w") as handle:
        handle.write("emotion,pixels,Usage\n")
        for image, label, split in zip(data.images, data.labels, data.splits, strict=True):
            handle.write(f"{codes[label]},{' '.join(map(str, image.ravel()))},{SPLITS[split]}\n")


def write_votes(votes: Votes, data: FaceDataset, path: Path) -> None:
    """Write votes for a data set in FER+'s original format: in the order of the CSV, without names."""
    with path.open("w") as handle:
        handle.write(",".join(("Usage", *EMOTIONS, *OTHER_ANSWERS)) + "\n")
        for split, counts in zip(data.splits, votes.counts, strict=True):
            handle.write(",".join((SPLITS[split], *(f"{count:g}" for count in counts))) + "\n")


def write_folders(images: NDArray[np.uint8], labels: NDArray[np.int64], folder: Path) -> None:
    """Write images into class folders."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / EMOTIONS[label]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number:05}.png"), image)


def mien(where: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run a command as a user would, print it, and return its output."""
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
    parser.add_argument("--votes", type=Path, help="FER+ votes: label the new faces and score the candidate's people head")
    parser.add_argument("--model", default="mien-xs")
    parser.add_argument("--faces", type=int, default=1500, help="number of images of the new camera")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--replay", type=int, default=0)
    parser.add_argument(
        "--test", type=int, default=0, help="number of PublicTest images for the gates, and of PrivateTest images (0: all)"
    )
    parser.add_argument("--old", type=int, default=0, help="number of Training images to keep (0: all)")
    arguments = parser.parse_args()
    old = read_dataset(arguments.data).dataset
    random = np.random.default_rng(0)
    labels = read_votes(arguments.votes, old).majority if arguments.votes else old.labels
    taken = random.permutation(np.flatnonzero(old.training & (labels >= 0)))[: arguments.faces]
    rest = old.take(np.setdiff1d(np.arange(len(old)), taken))
    for split, count in (("Training", arguments.old), ("PublicTest", arguments.test), ("PrivateTest", arguments.test)):
        if count:
            places = np.flatnonzero(rest.splits == SPLITS.index(split))
            rest = rest.take(np.setdiff1d(np.arange(len(rest)), random.permutation(places)[count:]))
    camera = through_a_worse_camera(old.images[taken], 1)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        write_csv(rest, where / "old.csv")
        by_votes: tuple[str, ...] = ()
        if arguments.votes:
            write_votes(read_votes(arguments.votes, rest), rest, where / "votes.csv")
            by_votes = ("--votes", "votes.csv")
        write_folders(camera, labels[taken], where / "new_faces")
        stream = where / "stream"
        stream.mkdir()
        for number, image in enumerate(camera[: len(camera) // 2]):
            cv2.imwrite(str(stream / f"{number:05}.png"), image)
        mien(where, "monitor", "images", "stream", "--crop", "--model", arguments.model, "--out", "drift", codes=(0, 10))
        request = where / "drift" / "retrain_request.json"
        if not request.is_file():
            sys.exit("no drift was detected")
        said = mien(
            where,
            *("retrain", "--request", str(request.relative_to(where)), "--new-data", "new_faces", "--model", arguments.model),
            *("--data", "old.csv", *by_votes, "--epochs", str(arguments.epochs)),
            *("--replay", str(arguments.replay), "--no-reference", "--out", "candidate"),
            codes=(0, 11),
        )
        outcome = json.loads(said.splitlines()[-1])
        if outcome["passed"]:
            mien(where, "models", "promote", "candidate")
            mien(where, "models", "path", arguments.model)
            mien(where, "models", "rollback", arguments.model)
            mien(where, "models", "history")
            mien(where, "privacy", "log", "verify")
        else:
            mien(where, "models", "promote", "candidate", codes=(2,))
            mien(where, "models", "history")
        print(json.dumps({"faces": arguments.faces, "model": arguments.model, **outcome}))


if __name__ == "__main__":
    main()
