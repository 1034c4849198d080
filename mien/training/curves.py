"""A run's history as a table and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from mien.charts import chart
from mien.files import atomic_path
from mien.training.loop import EpochRow


def write_history(target: Path, history: Sequence[EpochRow]) -> None:
    """Write one CSV row an epoch."""
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(field.name for field in fields(EpochRow))
        writer.writerows(astuple(row) for row in history)


def draw_curves(target: Path, history: Sequence[EpochRow]) -> None:
    """Draw loss and accuracy by epoch, with the epoch that was kept."""
    epochs = [row.epoch for row in history]
    best = max(history, key=lambda row: (row.val_accuracy, -row.epoch))
    with chart(target, 10, 4) as figure:
        loss, accuracy = figure.subplots(1, 2)
        loss.plot(epochs, [row.train_loss for row in history], color="#9AA5B1", label="Training (augmented, smoothed labels)")
        loss.plot(epochs, [row.val_loss for row in history], color="#0072B2", label="PublicTest")
        loss.set(title="Loss", xlabel="epoch", ylabel="nats")
        accuracy.plot(epochs, [100 * row.train_accuracy for row in history], color="#9AA5B1", label="Training (augmented)")
        accuracy.plot(epochs, [100 * row.val_accuracy for row in history], color="#0072B2", label="PublicTest")
        accuracy.plot([best.epoch], [100 * best.val_accuracy], "o", color="#D55E00")
        accuracy.annotate(
            f"kept: epoch {best.epoch}, {100 * best.val_accuracy:.2f} %",
            (best.epoch, 100 * best.val_accuracy),
            textcoords="offset points",
            xytext=(-8, -16),
            ha="right",
            color="#D55E00",
        )
        accuracy.set(title="Accuracy", xlabel="epoch", ylabel="%")
        for axes in (loss, accuracy):
            axes.locator_params(axis="x", integer=True)
            axes.legend(frameon=False, fontsize=8)
