"""A run's history as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mien.charts import chart
from mien.training.history import EpochRow


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
            xytext=(-8, -48),
            ha="right",
            color="#D55E00",
        )
        accuracy.set(title="Accuracy", xlabel="epoch", ylabel="%")
        for axes in (loss, accuracy):
            axes.locator_params(axis="x", integer=True)
            axes.legend(frameon=False, fontsize=8)
