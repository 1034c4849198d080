"""A run's history: one row an epoch, and the same as a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

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
