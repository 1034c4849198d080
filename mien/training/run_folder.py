"""What stands beside a run's checkpoints: history, curves, run.json, and TensorBoard's log."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from mien.files import write_json
from mien.history import EpochRow, draw_curves, history_columns, write_history

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TensorBoard's own imports are not up to date
    from torch.utils.tensorboard import SummaryWriter

EVERY_STEPS: Final = 20
"""Steps between two points of the loss in TensorBoard."""


class RunFolder:
    """The records of one run, brought up to date after every epoch.

    Args:
        folder: the run's folder.
        logs: where TensorBoard's log goes, in a folder of the run's name.
        facts: plain values for run.json, the settings among them.
        first_step: step the run begins or goes on at; what the log has behind it is dropped.
        history: epochs done before, where the run goes on.
    """

    def __init__(self, folder: Path, logs: Path, facts: Mapping[str, Any], first_step: int, history: Sequence[EpochRow]) -> None:
        self._folder, self._facts = folder, dict(facts)
        self._write_json(history)
        self._board = SummaryWriter(logs / folder.name, purge_step=first_step)

    def on_step(self, step: int, loss: float) -> None:
        """Note the mean loss of the epoch so far at ``step``, counted from the run's start."""
        if step % EVERY_STEPS == 0:
            self._board.add_scalar("loss/training_step", loss, step)

    def on_epoch(self, step: int, history: Sequence[EpochRow]) -> None:
        """Write everything anew after an epoch."""
        write_history(self._folder / "history.csv", history)
        draw_curves(self._folder / "curves.png", history_columns([asdict(row) for row in history]))
        self._write_json(history)
        row = history[-1]
        for name, value in (
            ("loss/training", row.train_loss),
            ("loss/PublicTest", row.val_loss),
            ("accuracy/training", row.train_accuracy),
            ("accuracy/PublicTest", row.val_accuracy),
            ("macro_f1/PublicTest", row.val_macro_f1),
            ("learning_rate", row.lr),
        ):
            self._board.add_scalar(name, value, step)
        self._board.flush()

    def close(self) -> None:
        """Finish the log."""
        self._board.close()

    def _write_json(self, history: Sequence[EpochRow]) -> None:
        write_json(self._folder / "run.json", {**self._facts, "history": [asdict(row) for row in history]})
