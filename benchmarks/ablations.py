"""What each part of the recipe is worth: one change at a time, three seeds, PublicTest only.

    MIEN_MODELS=models python benchmarks/ablations.py --data fer2013.zip --votes ferplus_votes.csv --split-file clean_split.csv

A proxy: the tiny network on a short schedule (about three minutes a run on one core), since
the full recipe takes an hour. What helps in four epochs need not help in forty, and
regularisation least of all: the table is a guide, not a proof. Runs that are done are kept in
``--out`` and not repeated, so the command goes on after a stop. PrivateTest is never read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from mien.audit.faces import find_faces
from mien.data.dataset import FaceDataset
from mien.data.reader import read_dataset
from mien.data.split_file import read_split_file
from mien.data.votes import read_votes
from mien.files import write_json
from mien.preprocess import similarity_from_landmarks, warp_face
from mien.training.loop import Trainer
from mien.training.processes import pick_device
from mien.training.recipe import read_recipe, with_changes
from mien.training.targets import label_rows
from mien.vision.detector import YUNET_SCORE
from mien.vision.weights import find_yunet

BASE: Final = {"epochs": 4, "small_until": 0.5}
"""The proxy: the recipe ``tiny`` in four epochs, the first two on smaller pictures."""

CHANGES: Final[dict[str, dict[str, Any]]] = {
    "the base": {},
    "SGD for everything instead of Muon": {"optimiser": "sgd"},
    "full-sized pictures from the start": {"small_until": 0.0},
    "stronger augmentation": {
        "augment.rotation_deg": 15.0,
        "augment.scale": 0.15,
        "augment.shift": 0.10,
        "augment.erase_probability": 0.4,
    },
    "cutmix on half of the batches": {"augment.cutmix": 0.5},
    "labels mixed with 20 % votes": {"votes_share": 0.2},
    "the audit's clean split": {},
    "Muon's rate halved": {"muon_lr": 0.01},
    "faces registered to the same landmarks": {},
}
CLEAN_SPLIT: Final = "the audit's clean split"
REGISTERED: Final = "faces registered to the same landmarks"


@cache
def original(path: Path) -> FaceDataset:
    """Return the data as it is."""
    return read_dataset(path).dataset


@cache
def registered(path: Path) -> FaceDataset:
    """Return the data with every face turned, scaled and moved as live does, Training and tests alike.

    Faces that the detector does not find, or hardly, stay as they are.
    """
    dataset = original(path)
    weights = find_yunet()
    if weights is None:
        raise SystemExit("registering faces needs YuNet: run mien fetch, or name its folder in MIEN_MODELS")
    geometry = find_faces(dataset.images, weights)
    images = dataset.images.copy()
    for i in np.flatnonzero(geometry.score >= YUNET_SCORE):
        images[i] = warp_face(images[i], similarity_from_landmarks(geometry.landmarks[i]))
    return replace(dataset, images=images)


def run(path: Path, votes: Path, split_file: Path, name: str, seed: int) -> dict[str, Any]:
    """Return PublicTest's numbers after one run."""
    dataset = registered(path) if name == REGISTERED else original(path)
    settings = with_changes(read_recipe("tiny")[1], {**BASE, **CHANGES[name], "seed": seed})
    if name == CLEAN_SPLIT:
        dataset = read_split_file(split_file, dataset).apply(dataset)
    training = dataset.split("Training")
    rows = label_rows(training, settings, read_votes(votes, training))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(training, dataset.split("PublicTest"), settings, Path(folder), pick_device("auto"), {}, rows)
        last = trainer.run(lambda epoch, step, steps, loss: None, lambda row, is_best: None)[-1]
    return {"accuracy": last.val_accuracy, "macro_f1": last.val_macro_f1, "seconds": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--split-file", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=0, help="PyTorch's threads (0: its own choice)")
    parser.add_argument("--out", type=Path, default=Path("results/ablations.json"))
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    done: dict[str, dict[str, Any]] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    for seed in arguments.seeds:
        for name in CHANGES:
            key = f"{name}, seed {seed}"
            if key not in done:
                done[key] = run(arguments.data, arguments.votes, arguments.split_file, name, seed)
                write_json(arguments.out, done)
                print(f"{key}: {done[key]['accuracy']:.2%} in {done[key]['seconds']:.0f} s", flush=True)
    table(done)


def table(done: dict[str, dict[str, Any]]) -> None:
    """Print one line a change and the JSON line."""

    def runs(name: str) -> list[dict[str, Any]]:
        return [row for key, row in done.items() if key.rsplit(",", 1)[0] == name]

    base = statistics.mean(row["accuracy"] for row in runs("the base"))
    print(
        f"\n| change | PublicTest, mean of {len(runs('the base'))} | spread (largest - smallest) | against the base | seconds |"
    )
    print("|---|---|---|---|---|")
    summary = {}
    for name in CHANGES:
        found = [row["accuracy"] for row in runs(name)]
        mean, spread = statistics.mean(found), max(found) - min(found)
        seconds = statistics.median(row["seconds"] for row in runs(name))
        summary[name] = {"accuracy": mean, "spread": spread, "gain": mean - base, "runs": len(found), "seconds": seconds}
        print(f"| {name} | {mean:.2%} | {100 * spread:.1f} | {100 * (mean - base):+.1f} | {seconds:.0f} |")
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
