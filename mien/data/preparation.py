"""Counts, class weights and the report of ``mien prepare``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.data.dataset import FaceDataset
from mien.data.fer2013 import FER2013_HASH
from mien.emotions import EMOTIONS


def class_weights(counts: dict[str, int]) -> dict[str, float]:
    """Return weights that give every class the same total: n / (classes * count), 0 for an empty class.

    This is the inverse-frequency weighting of King and Zeng (2001), as scikit-learn's
    ``class_weight="balanced"``.

    >>> class_weights({"happy": 30, "sad": 10})
    {'happy': 0.6666666666666666, 'sad': 2.0}
    """
    total = sum(counts.values())
    return {name: total / (len(counts) * n) if n else 0.0 for name, n in counts.items()}


def effective_number_weights(counts: dict[str, int], beta: float = 0.999) -> dict[str, float]:
    """Return weights by the effective number of samples (Cui et al. 2019, arXiv:1901.05555), mean 1; 0 for an empty class.

    The n-th image of a class adds less than the first: the effective number is
    (1 - beta^n) / (1 - beta), and the weight is inversely proportional to it. The weights of
    large classes are less extreme than with the inverse frequency.

    Args:
        counts: images by class.
        beta: 0 (all weights equal) to below 1 (inverse frequency).

    >>> weights = effective_number_weights({"happy": 3000, "disgust": 300})
    >>> round(weights["disgust"] / weights["happy"], 2)
    3.66
    """
    raw = {name: (1 - beta) / (1 - beta**n) if n else 0.0 for name, n in counts.items()}
    filled = [weight for weight in raw.values() if weight]
    mean = sum(filled) / len(filled) if filled else 1.0
    return {name: weight / mean for name, weight in raw.items()}


def findings(dataset: FaceDataset, unreadable: Sequence[str], dataset_hash: str) -> dict[str, Any]:
    """Return all counts as plain values; ``test`` is PublicTest and PrivateTest together."""
    training = dataset.take(dataset.training)
    test = dataset.take(~dataset.training)
    return {
        "images": {"total": len(dataset), "train": len(training), "test": len(test), "unreadable": list(unreadable)},
        "splits": dataset.split_counts(),
        "classes": {
            "total": dataset.class_counts(),
            "train": training.class_counts(),
            "test": test.class_counts(),
        },
        "class_weights": class_weights(training.class_counts()),
        "class_weights_effective_number": effective_number_weights(training.class_counts()),
        "dataset_hash": dataset_hash,
        "image_size": list(dataset.images.shape[1:]),
        "pixel_mean": round(float(dataset.images.mean(dtype=np.float64)), 4) if len(dataset) else None,
    }


def report_text(found: dict[str, Any], source: str) -> str:
    """Return the data preparation report for a terminal or a text file."""
    images, classes, weights = found["images"], found["classes"], found["class_weights"]
    tests = ", ".join(f"{name} {n:,}" for name, n in found["splits"].items() if name != "Training")
    lines = [
        ("FER2013 " if found["dataset_hash"] == FER2013_HASH else "") + "DATA PREPARATION REPORT",
        "=" * 60,
        f"Source:           {source}",
        f"Training images:  {images['train']:,}",
        f"Test images:      {images['test']:,}   ({tests})",
        f"Total images:     {images['total']:,}",
        f"Image size:       {found['image_size'][0]} x {found['image_size'][1]} grey",
        f"Content hash:     {found['dataset_hash']}",
        "",
        f"{'class':<10} {'train':>7} {'share':>7} {'test':>7} {'total':>7} {'weight':>8}",
    ]
    for name in EMOTIONS:
        share = classes["train"][name] / max(1, images["train"])
        lines.append(
            f"{name:<10} {classes['train'][name]:7,} {share:7.1%} {classes['test'][name]:7,} "
            f"{classes['total'][name]:7,} {weights[name]:8.3f}"
        )
    filled = [n for n in classes["train"].values() if n]
    if filled:
        lines.append(f"\nImbalance: the largest class has {max(filled) / min(filled):.1f} times the images of the smallest.")
    if images["unreadable"]:
        shown = ", ".join(images["unreadable"][:5]) + (" …" if len(images["unreadable"]) > 5 else "")
        lines.append(f"Skipped, unreadable: {len(images['unreadable'])} ({shown})")
    return "\n".join(lines)


def weights_text(weights: dict[str, float]) -> str:
    """Return ``class_weights.txt``: one ``index name weight`` line per class."""
    return "".join(f"{i} {name} {weights[name]:.6f}\n" for i, name in enumerate(EMOTIONS))
