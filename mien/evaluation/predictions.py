"""``predictions.csv``: every image's answer, so that anybody can count again."""

from __future__ import annotations

import csv
from pathlib import Path

from mien.emotions import EMOTIONS
from mien.evaluation.evaluate import Evaluation
from mien.files import atomic_path


def write_predictions(target: Path, evaluation: Evaluation) -> None:
    """Write a row an image: name, label, prediction, confidence, seven probabilities, and its views."""
    data, scores = evaluation.data, evaluation.scores
    predicted = scores.probabilities.argmax(1)
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("image", "label", "prediction", "confidence", *EMOTIONS, "views"))
        for i, name in enumerate(data.names):
            row = scores.probabilities[i]
            views = ["official", *(view for view, mask in evaluation.masks.items() if mask[i])]
            answers = (f"{p:.6f}" for p in row)
            writer.writerow(
                (name, EMOTIONS[data.labels[i]], EMOTIONS[predicted[i]], f"{row.max():.6f}", *answers, " ".join(views))
            )
