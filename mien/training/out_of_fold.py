"""The label model ``network``: out-of-fold predictions of networks, for the audit of labels.

Folds are trained one after another, each in its own folder, so that a stopped run can be resumed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.locks import LOCK_NAME, only_writer
from mien.training.loop import Trainer
from mien.training.processes import pick_device
from mien.training.settings import TrainSettings

LABEL_MODEL_SETTINGS: Final = TrainSettings(epochs=10)
"""The default network on a short schedule. A smaller one (a ninth of its size, 6 epochs) was no better than the ridge
classifier."""


def network_probabilities(
    dataset: FaceDataset,
    folds: NDArray[np.int64],
    progress: Callable[[int, int], None],
    *,
    folder: Path,
    settings: TrainSettings = LABEL_MODEL_SETTINGS,
) -> NDArray[np.float32]:
    """Return (N, 7) float32 class probabilities, each from a network that was not trained on the image's fold.

    Networks are trained on Training only; the network of a fold predicts the test images of that fold as well.

    Args:
        dataset: N images.
        folds: (N,) fold numbers from 0.
        progress: called with (steps done, steps in total).
        folder: folder of the checkpoints, removed at the end.
        settings: the recipe of each network.

    Raises:
        UsageError: a fold leaves too few images to train on, ``folder`` holds a run with different data, or another
            process is training in it.
        DeviceError: training diverged.
        KeyboardInterrupt: the run was stopped; its state is saved.
    """
    with only_writer(folder):
        found = _trained_and_predicted(dataset, folds, progress, folder, settings)
    (folder / LOCK_NAME).unlink(missing_ok=True)
    if not any(folder.iterdir()):  # keep files of other origin
        folder.rmdir()
    return found


def _trained_and_predicted(
    dataset: FaceDataset, folds: NDArray[np.int64], progress: Callable[[int, int], None], folder: Path, settings: TrainSettings
) -> NDArray[np.float32]:
    found = np.full((len(dataset), len(EMOTIONS)), np.nan, np.float32)
    training = dataset.training
    count = int(folds.max()) + 1
    facts = {"dataset_hash": dataset.content_hash(), "folds": hashlib.sha256(folds.tobytes()).hexdigest()}
    for fold in range(count):
        judged = folds == fold
        trainer = Trainer(
            dataset.take(~judged & training),
            dataset.take(judged),
            replace(settings, seed=settings.seed + fold),
            folder / f"fold-{fold}",
            pick_device(),
            facts,
        )
        if (folder / f"fold-{fold}" / "last.pt").exists():
            trainer.resume()

        def on_step(epoch: int, step: int, steps: int, loss: float, fold: int = fold) -> None:
            an_epoch = settings.epochs * steps
            progress(fold * an_epoch + (epoch - 1) * steps + step, count * an_epoch)

        trainer.run(on_step, lambda row, is_best: None)
        found[judged] = trainer.predict_validation()[1]
    for fold in range(count):
        shutil.rmtree(folder / f"fold-{fold}")
    return found
