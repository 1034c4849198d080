"""Files of a training run other than checkpoints: history, curves, run.json and TensorBoard logs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from mien.errors import StorageError
from mien.files import write_json
from mien.history import EpochRow, draw_curves, history_columns, write_history

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations in TensorBoard's own imports
    from torch.utils.tensorboard import SummaryWriter

EVERY_STEPS: Final = 20
"""Interval of the loss in TensorBoard, in steps."""
CURVES_EVERY_S: Final = 5.0
"""Least time between two drawings of the curves, which may take longer than a short epoch."""


class RunFolder:
    """Writes the files of a training run after every epoch, the curves at most every five seconds and at the end.

    Args:
        folder: the run's folder.
        logs: parent folder of TensorBoard's log, which is named like the run's folder.
        facts: plain values for run.json, including the settings.
        first_step: step at which the run starts or resumes; later entries of an existing log are purged.
        history: epochs finished before a resume.
    """

    def __init__(self, folder: Path, logs: Path, facts: Mapping[str, Any], first_step: int, history: Sequence[EpochRow]) -> None:
        self._folder, self._facts = folder, dict(facts)
        self._undrawn: list[EpochRow] = []
        self._drawn_at = time.monotonic()
        self._write_json(history)
        self._board = SummaryWriter(logs / folder.name, purge_step=first_step)

    def on_step(self, step: int, loss: float) -> None:
        """Log the mean loss of the epoch so far at ``step``, counted from the start of the run."""
        if step % EVERY_STEPS == 0:
            self._board.add_scalar("loss/training_step", loss, step)

    def on_epoch(self, step: int, history: Sequence[EpochRow]) -> None:
        """Rewrite all files after an epoch.

        Raises:
            StorageError: the folder was removed during the run.
        """
        if not (self._folder / "run.json").is_file():
            raise StorageError(f"{self._folder} was removed during the run. Start again")
        write_history(self._folder / "history.csv", history)
        self._undrawn = list(history)
        if time.monotonic() >= self._drawn_at + CURVES_EVERY_S:
            self._draw_curves()
        self._write_json(history)
        row = history[-1]
        for name, value in (
            ("loss/training", row.train_loss),
            ("loss/PublicTest", row.val_loss),
            ("accuracy/training", row.train_accuracy),
            ("accuracy/PublicTest", row.val_accuracy),
            ("macro_f1/PublicTest", row.val_macro_f1),
            ("loss/PublicTest_people", row.people_loss),
            ("accuracy/PublicTest_people", row.people_accuracy),
            ("macro_f1/PublicTest_people", row.people_macro_f1),
            ("learning_rate", row.lr),
        ):
            if value is not None:
                self._board.add_scalar(name, value, step)
        self._board.flush()

    def close(self) -> None:
        """Draw the last curves and close the TensorBoard log."""
        self._board.close()
        if self._undrawn and self._folder.is_dir():
            self._draw_curves()

    def _draw_curves(self) -> None:
        draw_curves(self._folder / "curves.png", history_columns([asdict(row) for row in self._undrawn]))
        self._undrawn, self._drawn_at = [], time.monotonic()

    def _write_json(self, history: Sequence[EpochRow]) -> None:
        write_json(self._folder / "run.json", {**self._facts, "history": [asdict(row) for row in history]})
