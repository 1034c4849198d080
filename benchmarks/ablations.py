"""Ablations of the training recipe: one change at a time, three seeds, PublicTest only, scored against both truths.

    MIEN_MODELS=models python benchmarks/ablations.py --data fer2013.zip --votes ferplus_votes.csv --split-file clean_split.csv

A proxy: the tiny network with a short schedule (about three minutes per run on one core), because
the full recipe takes an hour. A gain in four epochs need not persist in forty, in particular for
regularisation. Finished runs are kept in ``--out`` and not repeated, so a stopped command can be
repeated to resume. PrivateTest is never read.
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
from numpy.typing import NDArray

from mien import metrics
from mien.audit.faces import find_faces
from mien.data.dataset import FaceDataset
from mien.data.reader import read_dataset
from mien.data.split_file import read_split_file
from mien.data.votes import read_votes
from mien.emotions import EMOTIONS
from mien.evaluation.corruptions import CORRUPTIONS, corrupt
from mien.files import write_json
from mien.preprocess import CANONICAL_LANDMARKS, similarity_from_landmarks, warp_face
from mien.training.checkpoint import load_checkpoint
from mien.training.export import choose_adjustment, logits_of
from mien.training.loop import RunVotes, Trainer
from mien.training.network import FaceNet, network_from
from mien.training.processes import pick_device
from mien.training.recipe import read_recipe, with_changes
from mien.training.targets import smoothed_labels
from mien.vision.weights import find_yunet
from mien.vision.yunet import YUNET_SCORE

BASE: Final = {"epochs": 4, "small_until": 0.5, "people_share": 0.65}
"""The proxy: the recipe ``tiny`` with both heads in four epochs, the first two on smaller images."""

CHANGES: Final[dict[str, dict[str, Any]]] = {
    "both heads": {},
    "labels only": {"people_share": 0.0},
    "votes only": {"people_share": 1.0},
    "both heads, camera augmentation": {"augment.camera": 0.25},
    "SGD for everything instead of Muon": {"optimiser": "sgd"},
    "full-size images from the start": {"small_until": 0.0},
    "stronger augmentation": {
        "augment.rotation_deg": 15.0,
        "augment.scale": 0.15,
        "augment.shift": 0.10,
        "augment.erase_probability": 0.4,
    },
    "CutMix on half of the batches": {"augment.cutmix": 0.5},
    "the audit's clean split": {},
    "half of Muon's learning rate": {"muon_lr": 0.01},
    "faces aligned to the same landmarks": {},
}
FIRST: Final = "both heads"
CLEAN_SPLIT: Final = "the audit's clean split"
REGISTERED: Final = "faces aligned to the same landmarks"
CORRUPTED: Final = 300
"""Number of PublicTest images for the corruption suite."""


@cache
def original(path: Path) -> FaceDataset:
    """Return the data as it is."""
    return read_dataset(path).dataset


@cache
def registered(path: Path) -> FaceDataset:
    """Return the data with every face aligned as in live sessions, Training and test splits alike.

    Faces that the detector does not find, or only with a low score, are unchanged.
    """
    dataset = original(path)
    weights = find_yunet()
    if weights is None:
        raise SystemExit("aligning faces needs YuNet. Run mien doctor --fetch, or set MIEN_MODELS to its folder")
    geometry = find_faces(dataset.images, weights)
    images = dataset.images.copy()
    for i in np.flatnonzero(geometry.score >= YUNET_SCORE):
        images[i] = warp_face(images[i], similarity_from_landmarks(geometry.landmarks[i]))
    return replace(dataset, images=images)


def run(path: Path, votes: Path, split_file: Path | None, name: str, seed: int, limit: int) -> dict[str, Any]:
    """Return the PublicTest scores of one run against both truths."""
    dataset = registered(path) if name == REGISTERED else original(path)
    settings = with_changes(read_recipe("tiny")[1], {**BASE, **CHANGES[name], "seed": seed, "limit": limit})
    if name == CLEAN_SPLIT and split_file is not None:
        dataset = read_split_file(split_file, dataset).apply(dataset)
    training, validation = dataset.split("Training"), dataset.split("PublicTest")
    seen, crowd = read_votes(votes, training), read_votes(votes, validation)
    training = training.take(seen.known)
    shares = seen.shares[seen.known]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        taught = RunVotes(shares, crowd) if settings.people_share else None
        rows = smoothed_labels(training, settings)
        trainer = Trainer(training, validation, settings, Path(folder), pick_device("auto"), {}, targets=rows, votes=taught)
        trainer.run(lambda epoch, step, steps, loss: None, lambda row, is_best: None)
        network = network_from(load_checkpoint(Path(folder) / "last.pt"))
    seconds = time.perf_counter() - started
    prior = shares[:, : len(EMOTIONS)].mean(0)
    logits = logits_of([network], validation.images)
    found: dict[str, Any] = {"seconds": seconds}
    if logits.labels is not None:
        found["labels"] = score(logits.labels, validation.labels)
    first = logits.people if logits.people is not None else logits.labels
    found["people"] = score(first[:, : len(EMOTIONS)], crowd.majority)
    if logits.people is not None:
        share = choose_adjustment(logits.people, crowd.majority, prior / prior.sum())
        adjusted = logits.people[:, : len(EMOTIONS)] - share * np.log(prior / prior.sum())
        found["people, logits adjusted"] = {**score(adjusted, crowd.majority), "share": share}
    found["spoilt"] = spoilt(network, validation, crowd.majority)
    return found


def score(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy and macro-F1 of logits (N, 7) where ``truth`` (N,) is not -1."""
    known = truth >= 0
    answers = logits[known].argmax(1)
    matrix = metrics.confusion_matrix(truth[known], answers, len(EMOTIONS))
    return {"accuracy": metrics.accuracy(truth[known], answers), "macro_f1": metrics.macro_f1(matrix)}


def spoilt(network: FaceNet, data: FaceDataset, truth: NDArray[np.int64]) -> float:
    """Return the mean accuracy against ``truth`` over the corruption suite at its middle severity."""
    known = np.flatnonzero(truth >= 0)
    chosen = known[np.linspace(0, len(known) - 1, min(CORRUPTED, len(known))).astype(np.int64)]
    points = np.tile(CANONICAL_LANDMARKS, (len(chosen), 1, 1))
    hits = []
    for name in CORRUPTIONS:
        logits = logits_of([network], corrupt(data.images[chosen], name, 3, points, 0))
        answers = logits.people[:, : len(EMOTIONS)] if logits.people is not None else logits.labels
        hits.append((answers.argmax(1) == truth[chosen]).mean())
    return float(np.mean(hits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--split-file", type=Path, help="clean_split.csv, for the clean-split run")
    parser.add_argument("--only", nargs="+", choices=list(CHANGES), help="run only these changes")
    parser.add_argument("--limit", type=int, default=0, help="number of training images (0: all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=0, help="number of PyTorch threads (0: default)")
    parser.add_argument("--out", type=Path, default=Path("results/ablations.json"))
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    chosen = arguments.only or [name for name in CHANGES if name != CLEAN_SPLIT or arguments.split_file]
    done: dict[str, dict[str, Any]] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    for seed in arguments.seeds:
        for name in chosen:
            key = f"{name}, seed {seed}"
            if key not in done:
                done[key] = run(arguments.data, arguments.votes, arguments.split_file, name, seed, arguments.limit)
                write_json(arguments.out, done)
                print(f"{key}: {json.dumps(done[key])}", flush=True)
    table(done)


def table(done: dict[str, dict[str, Any]]) -> None:
    """Print one row per change and the JSON line: means over the seeds, and the range of the first column."""
    print("\n| change | people | range | macro-F1 | logits adjusted | macro-F1 | FER2013 labels | corrupted, people | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    summary = {}
    for name in CHANGES:
        runs = [row for key, row in done.items() if key.rsplit(",", 1)[0] == name]
        if not runs:
            continue

        def mean(part: str, key: str, runs: list[dict[str, Any]] = runs) -> float | None:
            values = [row[part][key] for row in runs if part in row]
            return statistics.mean(values) if values else None

        people = [row["people"]["accuracy"] for row in runs]
        summary[name] = {
            "runs": len(runs),
            "people": statistics.mean(people),
            "spread": max(people) - min(people),
            "people_f1": mean("people", "macro_f1"),
            "adjusted": mean("people, logits adjusted", "accuracy"),
            "adjusted_f1": mean("people, logits adjusted", "macro_f1"),
            "labels": mean("labels", "accuracy"),
            "spoilt": statistics.mean(row["spoilt"] for row in runs),
            "seconds": statistics.median(row["seconds"] for row in runs),
        }
        row = summary[name]
        shown = [
            f"{row['people']:.1%}", f"{100 * row['spread']:.1f}", f"{row['people_f1']:.3f}",
            "–" if row["adjusted"] is None else f"{row['adjusted']:.1%}",
            "–" if row["adjusted_f1"] is None else f"{row['adjusted_f1']:.3f}",
            "–" if row["labels"] is None else f"{row['labels']:.1%}",
            f"{row['spoilt']:.1%}", f"{row['seconds']:.0f}",
        ]  # fmt: skip
        print(f"| {name} | " + " | ".join(shown) + " |")
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
