"""A training run's history: one row per epoch, as CSV, as columns of a model card, and as a chart."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from mien.charts import chart
from mien.files import atomic_path


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """Results of one epoch; losses in nats, accuracies 0 to 1; None for a missing head.

    Attributes:
        epoch: from 1.
        lr: learning rate at the end of the epoch.
        train_loss: loss of both heads on augmented training images.
        train_accuracy: accuracy on them, against the class with the most votes, or the label without votes.
        val_loss: loss of the label head against the labels of PublicTest.
        val_accuracy: accuracy of the label head.
        val_macro_f1: macro-F1 of the label head.
        seconds: duration of the epoch.
        people_loss: cross-entropy of the people head against the votes on PublicTest.
        people_accuracy: accuracy of the people head against the majority of the votes.
        people_macro_f1: macro-F1 of the people head against that majority.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None = None
    val_accuracy: float | None = None
    val_macro_f1: float | None = None
    seconds: float = 0.0
    people_loss: float | None = None
    people_accuracy: float | None = None
    people_macro_f1: float | None = None

    def better_than(self, other: EpochRow) -> bool:
        """Return whether this epoch is better: by the loss against the votes if there are any, else by the label accuracy.

        If only the label head is trained, the loss against the votes is constant and the label accuracy decides.
        """
        if self.people_loss is not None and other.people_loss is not None and self.people_loss != other.people_loss:
            return self.people_loss < other.people_loss
        return (self.val_accuracy or 0.0) > (other.val_accuracy or 0.0)


def write_history(target: Path, history: Sequence[EpochRow]) -> None:
    """Write the history as CSV, one row per epoch."""
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(field.name for field in fields(EpochRow))
        writer.writerows(astuple(row) for row in history)


def history_columns(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return rows (plain values, keys as in ``EpochRow``) as rounded columns for a model card.

    Columns of a missing head are omitted.
    """
    present = [name for name in _ON_CARD if all(row.get(name) is not None for row in history)]
    return {name: [round(row[name], 5) for row in history] for name in present}


_ON_CARD: Final = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "people_loss",
    "people_accuracy",
)
_HEADS: Final = (("people", "#D55E00", "people head"), ("val", "#0072B2", "label head"))


def draw_curves(target: Path, columns: Mapping[str, Sequence[float]], title: str = "") -> None:
    """Draw loss and accuracy by epoch, and mark the epoch that was kept.

    Args:
        target: path of the image.
        columns: the history by column, as returned by ``history_columns``.
        title: title of the figure.
    """
    epochs = columns["epoch"]
    by_votes = "people_loss" in columns
    chosen = [-value for value in columns["people_loss"]] if by_votes else columns["val_accuracy"]
    kept = max(range(len(epochs)), key=lambda k: (chosen[k], -k))
    with chart(target, 10, 4) as figure:
        if title:
            figure.suptitle(title, fontsize=9, color="#5b6675")
        loss, accuracy = figure.subplots(1, 2)
        loss.plot(epochs, columns["train_loss"], color="#9AA5B1", label="Training (augmented)")
        loss.set(title="Loss", xlabel="epoch", ylabel="nats")
        accuracy.plot(epochs, [100 * v for v in columns["train_accuracy"]], color="#9AA5B1", label="Training (augmented)")
        for key, colour, name in _HEADS:
            if f"{key}_loss" in columns:
                values = [100 * value for value in columns[f"{key}_accuracy"]]
                loss.plot(epochs, columns[f"{key}_loss"], color=colour, label=f"PublicTest, {name}")
                accuracy.plot(epochs, values, color=colour, label=f"PublicTest, {name}: {values[kept]:.2f}% kept")
        # the epoch is named in the legend, because a label at the point can overlap the axis
        accuracy.axvline(epochs[kept], color="#5b6675", linewidth=1, linestyle="--", label=f"kept: epoch {epochs[kept]:g}")
        accuracy.set(title="Accuracy, each head against its own truth", xlabel="epoch", ylabel="%")
        for axes in (loss, accuracy):
            axes.locator_params(axis="x", integer=True)
            axes.legend(frameon=False, fontsize=8)
