"""The better label model: a small network, trained once for every fold it must not see.

Folds are trained one after another in a folder of their own, so that a run that was
stopped goes on where it was.
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
from mien.training.loop import Trainer
from mien.training.processes import pick_device
from mien.training.settings import TrainSettings

LABEL_MODEL_SETTINGS: Final = TrainSettings(epochs=10)
"""The default network on a short schedule; a smaller one (a ninth of it, 6 epochs) judged no better than the ridge classifier."""


def network_probabilities(
    dataset: FaceDataset,
    folds: NDArray[np.int64],
    progress: Callable[[int, int], None],
    *,
    folder: Path,
    settings: TrainSettings = LABEL_MODEL_SETTINGS,
) -> NDArray[np.float32]:
    """Return (N, 7) float32 class probabilities, each from a network that saw neither the image nor its fold.

    Networks learn from Training alone; test images are judged by the network of their fold.

    Args:
        dataset: the images.
        folds: (N,) fold numbers from 0.
        progress: called with (steps done, in all).
        folder: keeps checkpoints while the run goes on; removed at its end.
        settings: the recipe of each network.

    Raises:
        UsageError: a fold leaves too few images to train on, or ``folder`` holds a run on other data.
        DeviceError: the training diverged.
    """
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
        found[judged] = trainer.predict_validation()
    for fold in range(count):
        shutil.rmtree(folder / f"fold-{fold}")
    if not any(folder.iterdir()):  # what else stands there is not ours
        folder.rmdir()
    return found
