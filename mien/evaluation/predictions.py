"""``predictions.csv``: the prediction for every image."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from mien.emotions import EMOTIONS
from mien.evaluation.evaluate import Evaluation
from mien.files import atomic_path


def write_predictions(target: Path, evaluation: Evaluation) -> None:
    """Write one row per image and head: name, head, truths, prediction, confidence, seven probabilities, and views.

    ``label`` is the label that came with the image, ``people`` the majority vote of the raters, empty without one.
    """
    data = evaluation.data
    majority = evaluation.votes.majority if evaluation.votes is not None else np.full(len(data), -1)
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("image", "head", "label", "people", "prediction", "confidence", *EMOTIONS, "views"))
        for head, probabilities in evaluation.predictions.probabilities.items():
            for i, name in enumerate(data.names):
                row, voted = probabilities[i], int(majority[i])
                views = ["all", *(view for view, mask in evaluation.masks.items() if mask[i])]
                truths = (EMOTIONS[data.labels[i]], EMOTIONS[voted] if voted >= 0 else "")
                values = (EMOTIONS[int(row.argmax())], f"{row.max():.6f}", *(f"{p:.6f}" for p in row))
                writer.writerow((name, head, *truths, *values, " ".join(views)))
