"""A training run's history: one row an epoch, as a table, as columns on a card, and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from mien.charts import chart
from mien.files import atomic_path


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One line of the history; losses in nats, accuracies 0 to 1."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_macro_f1: float
    seconds: float


def write_history(target: Path, history: Sequence[EpochRow]) -> None:
    """Write one CSV row an epoch."""
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(field.name for field in fields(EpochRow))
        writer.writerows(astuple(row) for row in history)


def history_columns(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the rows (plain values, keys as in ``EpochRow``) as short columns, for a card."""
    return {name: [round(row[name], 5) for row in history] for name in _ON_CARD}


_ON_CARD: Final = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


def draw_curves(target: Path, columns: Mapping[str, Sequence[float]], title: str = "") -> None:
    """Draw loss and accuracy by epoch, with the epoch that was kept.

    Args:
        target: the picture.
        columns: the history by column, as ``history_columns`` gives it.
        title: said above the pictures.
    """
    epochs, accuracies = columns["epoch"], [100 * value for value in columns["val_accuracy"]]
    kept = max(range(len(epochs)), key=lambda k: (accuracies[k], -k))
    with chart(target, 10, 4) as figure:
        if title:
            figure.suptitle(title, fontsize=9, color="#5b6675")
        loss, accuracy = figure.subplots(1, 2)
        loss.plot(epochs, columns["train_loss"], color="#9AA5B1", label="Training (augmented, smoothed labels)")
        loss.plot(epochs, columns["val_loss"], color="#0072B2", label="PublicTest")
        loss.set(title="Loss", xlabel="epoch", ylabel="nats")
        accuracy.plot(epochs, [100 * v for v in columns["train_accuracy"]], color="#9AA5B1", label="Training (augmented)")
        accuracy.plot(epochs, accuracies, color="#0072B2", label="PublicTest")
        # said in the legend: beside the point it ran over the axis where curves lie low
        said = f"kept: epoch {epochs[kept]:g}, {accuracies[kept]:.2f} %"
        accuracy.plot([epochs[kept]], [accuracies[kept]], "o", color="#D55E00", label=said)
        accuracy.set(title="Accuracy", xlabel="epoch", ylabel="%")
        for axes in (loss, accuracy):
            axes.locator_params(axis="x", integer=True)
            axes.legend(frameon=False, fontsize=8)
