"""The two pictures of ``prepare``: how many images a class has, and what they look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.charts import chart
from mien.data.dataset import SPLITS, FaceDataset
from mien.emotions import COLOURS, EMOTIONS

_SAMPLES_A_CLASS = 8


def draw_class_distribution(target: Path, dataset: FaceDataset) -> None:
    """Write bars of the class counts, one panel a split that has images."""
    splits = [i for i in range(len(SPLITS)) if (dataset.splits == i).any()]
    with chart(target, 4.2 * len(splits), 4) as figure:
        for axes, code in zip(np.atleast_1d(figure.subplots(1, len(splits))), splits, strict=True):
            counts = np.bincount(dataset.labels[dataset.splits == code], minlength=len(EMOTIONS))
            axes.barh(EMOTIONS, counts, color=[COLOURS[name] for name in EMOTIONS])
            axes.invert_yaxis()
            axes.set_title(f"{SPLITS[code]}: {counts.sum():,}")
            axes.tick_params(length=0)
            axes.spines["bottom"].set_visible(False)
            axes.set_xticks([])
            for y, n in enumerate(counts):
                axes.text(n, y, f" {n:,}  {n / max(1, counts.sum()):.1%}", va="center", fontsize=9)
            axes.set_xlim(0, counts.max() * 1.45)


def draw_samples(target: Path, dataset: FaceDataset, seed: int = 0) -> None:
    """Write a sheet with a few random images of each class."""
    random = np.random.default_rng(seed)
    with chart(target, _SAMPLES_A_CLASS * 1.05 + 0.9, len(EMOTIONS) * 1.1) as figure:
        grid = figure.subplots(len(EMOTIONS), _SAMPLES_A_CLASS)
        for label, name in enumerate(EMOTIONS):
            members = np.flatnonzero(dataset.labels == label)
            chosen = random.permutation(members)[:_SAMPLES_A_CLASS]
            for column in range(_SAMPLES_A_CLASS):
                axes = grid[label, column]
                axes.set(xticks=[], yticks=[])
                for spine in axes.spines.values():
                    spine.set_visible(False)
                if column < len(chosen):
                    axes.imshow(dataset.images[chosen[column]], cmap="gray", vmin=0, vmax=255)
            grid[label, 0].set_ylabel(name, rotation=0, ha="right", va="center")
