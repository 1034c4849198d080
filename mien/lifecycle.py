"""A model's life, wired together: train, export, evaluate.

The only place where training and evaluation meet; the stages themselves are blind to one
another. PyTorch is loaded by the functions that train or export, so evaluating a bundle
needs none.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mien.data.dataset import FaceDataset
from mien.data.fer_folders import Progress
from mien.emotions import EMOTIONS
from mien.errors import UsageError, missing_extra
from mien.evaluation.confusion_chart import draw_confusion
from mien.evaluation.scores import score
from mien.files import write_json
from mien.modelcard import ModelCard
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION
from mien.vision.predictor import Predictor, bundle_path

if TYPE_CHECKING:
    from mien.training.loop import EpochRow, OnEpoch, OnStep
    from mien.training.settings import TrainSettings

BUNDLE_FILE: Final = "mien.onnx"
"""Name of the bundle a training run leaves in its folder."""

MAX_PARITY_GAP: Final = 1e-4
"""Largest difference allowed between PyTorch's probabilities and the exported graph's."""


def train_model(
    dataset: FaceDataset,
    settings: TrainSettings,
    folder: Path,
    *,
    command: str = "",
    device: str = "auto",
    resume: bool = False,
    on_start: Callable[[str, int], None] = lambda device, epoch: None,
    on_step: OnStep = lambda epoch, step, steps, loss: None,
    on_epoch: OnEpoch = lambda row, is_best: None,
) -> list[EpochRow]:
    """Train on Training, choose the best epoch on PublicTest, and return the history.

    Leaves ``last.pt``, ``best.pt``, ``history.csv``, ``curves.png``, ``run.json`` in
    ``folder``, up to date after every epoch; they survive a kill at any moment.

    Args:
        dataset: images of at least those two splits.
        settings: the recipe.
        folder: the run's folder.
        command: how the run was asked for, kept in checkpoints and on the card.
        device: auto, cpu or cuda.
        resume: continue the run in ``folder``; without it a folder that holds one is refused.
        on_start: called once with (device name, epochs already done).
        on_step: called after every step.
        on_epoch: called after every epoch.

    Raises:
        UsageError: the folder holds a run and ``resume`` is off, or the settings differ.
        DeviceError: PyTorch is missing, or the device is.
    """
    try:
        from mien.training.curves import draw_curves, write_history
        from mien.training.loop import Trainer, pick_device
    except ImportError as error:
        raise missing_extra(str(error.name), "train", "Training") from error
    if (folder / "last.pt").exists() and not resume:
        raise UsageError(f"{folder} already holds a run. Continue it with --resume, or choose another folder with --out")
    chosen = pick_device(device)
    facts = {
        "dataset_hash": dataset.content_hash(),
        "git_revision": git_revision(),
        "command": command,
    }
    trainer = Trainer(dataset.split("Training"), dataset.split("PublicTest"), settings, folder, chosen, facts)
    if resume:
        trainer.resume()
    on_start(str(chosen), len(trainer.history))

    def after_epoch(row: EpochRow, is_best: bool) -> None:
        write_history(folder / "history.csv", trainer.history)
        draw_curves(folder / "curves.png", trainer.history)
        write_json(
            folder / "run.json",
            {**facts, "device": str(chosen), "settings": settings.as_dict(), "history": [asdict(r) for r in trainer.history]},
        )
        on_epoch(row, is_best)

    return trainer.run(on_step, after_epoch)


def export_model(checkpoint: Path, dataset: FaceDataset, target: Path, name: str) -> ModelCard:
    """Turn a checkpoint into a bundle at ``target`` and return its card.

    The calibration temperature is fitted on PublicTest, and the card's PublicTest numbers
    are measured on the finished bundle.

    Raises:
        BundleError: the checkpoint is broken, or the graph does not answer as PyTorch does.
        DeviceError: PyTorch or the exporter is not installed.
    """
    try:
        from mien.training.checkpoint import load_checkpoint
        from mien.training.export import check_parity, fit_temperature, logits_of, network_from, write_bundle
        from mien.training.network import count_parameters
    except ImportError as error:
        raise missing_extra(str(error.name), "train", "Exporting") from error
    state = load_checkpoint(checkpoint)
    network = network_from(state)
    validation = dataset.split("PublicTest")
    logits = logits_of(network, validation.images)
    temperature = fit_temperature(logits, validation.labels)
    facts: dict[str, Any] = state["facts"]
    card = ModelCard(
        name=name,
        labels=EMOTIONS,
        input_size=INPUT_SIZE,
        preprocess_version=PREPROCESS_VERSION,
        dataset_hash=facts["dataset_hash"],
        git_revision=facts["git_revision"],
        command=facts["command"],
        parameters=count_parameters(network),
        temperature=temperature,
        metrics={},
        training={**state["settings"], "best_epoch": len(state["history"])},
    )
    write_bundle(network, temperature, card, target)
    scores = score(Predictor(target), validation)
    check_parity(logits / temperature, scores.probabilities, MAX_PARITY_GAP)
    numbers = scores.as_dict()
    del numbers["confusion_matrix"]
    measured = replace(card, metrics={"PublicTest": numbers})
    write_bundle(network, temperature, measured, target)
    write_json(target.with_suffix(".json"), asdict(measured))
    return measured


def evaluate_bundle(
    bundle: str, dataset: FaceDataset, split: str, out: Path, progress: Progress | None = None
) -> tuple[ModelCard, dict[str, Any]]:
    """Score a bundle on one split; write ``metrics.json`` and ``confusion_matrix.png`` to ``out``.

    Returns:
        the bundle's card, and every number of the evaluation.
    """
    predictor = Predictor(bundle_path(bundle))
    scores = score(predictor, dataset.split(split), progress)
    numbers = {"model": predictor.card.name, "split": split, "dataset_hash": dataset.content_hash(), **scores.as_dict()}
    write_json(out / "metrics.json", numbers)
    title = f"{predictor.card.name} on {split}: {100 * numbers['accuracy']:.1f} % of {numbers['n']}"
    draw_confusion(out / "confusion_matrix.png", scores.matrix, title)
    return predictor.card, numbers


def git_revision() -> str:
    """Return the revision of the code that runs, "+" behind it where it has changes; "" outside a clone."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5, check=True)
        dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "."], cwd=here, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.returncode else "")
