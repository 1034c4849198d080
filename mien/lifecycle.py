"""A model's life, wired together: train, export, evaluate.

The only place where training and evaluation meet; the stages themselves are blind to one
another. PyTorch is loaded by the functions that train or export, so evaluating a bundle
needs none.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mien.audit.labels import ridge_probabilities
from mien.data.dataset import SPLITS, FaceDataset
from mien.data.fer_folders import Progress
from mien.data.manifest import manifest, manifest_differences
from mien.data.split_file import read_split_file, split_file_hash
from mien.emotions import EMOTIONS
from mien.errors import UsageError, missing_extra
from mien.evaluation.confusion_chart import draw_confusion
from mien.evaluation.scores import score
from mien.files import write_json
from mien.modelcard import ModelCard
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION
from mien.vision.predictor import Predictor, bundle_path

if TYPE_CHECKING:
    from mien.audit.audit import LabelModel
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
    split_file: Path | None = None,
    device: str = "auto",
    resume: bool = False,
    on_start: Callable[[str, int, int], None] = lambda device, images, epoch: None,
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
        split_file: the audit's decisions on what to drop and what to weigh less; None for all images alike.
        device: auto, cpu or cuda.
        resume: continue the run in ``folder``; without it a folder that holds one is refused.
        on_start: called once with (device name, images to train on, epochs already done).
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
    contents = manifest(dataset)
    facts = {
        "dataset_hash": contents["dataset_hash"],
        "data_steps": contents["steps"],
        "split_file": split_file_hash(split_file) if split_file else "",
        "git_revision": git_revision(),
        "command": command,
    }
    if split_file:
        dataset = read_split_file(split_file, dataset).apply(dataset)
    trainer = Trainer(dataset.split("Training"), dataset.split("PublicTest"), settings, folder, chosen, facts)
    if resume:
        trainer.resume()
    on_start(str(chosen), trainer.images, len(trainer.history))

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
        training={**state["settings"], "best_epoch": len(state["history"]), "split_file": facts.get("split_file", "")},
        data_steps=facts.get("data_steps", {}),
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
    bundle: str,
    dataset: FaceDataset,
    split: str,
    out: Path,
    progress: Progress | None = None,
    split_file: Path | None = None,
) -> tuple[ModelCard, dict[str, Any]]:
    """Score a bundle on one split; write ``metrics.json`` and ``confusion_matrix.png`` to ``out``.

    Args:
        bundle: a path, or the name of one in the package.
        dataset: the whole data set.
        split: one of ``SPLITS``.
        out: folder for both files.
        progress: called with (faces done, in all).
        split_file: the audit's decisions; the images of a test split that it marks ``clean``
            are scored apart as well, under ``clean``.

    Returns:
        the bundle's card, and every number of the evaluation; ``manifest_differences`` says
        in what this data set is not the one the bundle was trained on.
    """
    predictor = Predictor(bundle_path(bundle))
    card = predictor.card
    decisions = read_split_file(split_file, dataset) if split_file else None
    scores = score(predictor, dataset.split(split), progress)
    contents = manifest(dataset)
    numbers = {
        "model": card.name,
        "split": split,
        "dataset_hash": contents["dataset_hash"],
        "manifest_differences": manifest_differences(contents, {"dataset_hash": card.dataset_hash, "steps": card.data_steps}),
        **scores.as_dict(),
    }
    if decisions is not None and split != SPLITS[0]:
        clean = decisions.clean[dataset.splits == SPLITS.index(split)]
        numbers["clean"] = scores.part(clean).as_dict() if clean.any() else None
    write_json(out / "metrics.json", numbers)
    title = f"{predictor.card.name} on {split}: {100 * numbers['accuracy']:.1f} % of {numbers['n']}"
    draw_confusion(out / "confusion_matrix.png", scores.matrix, title)
    return card, numbers


def choose_label_model(name: str, folder: Path) -> tuple[str, LabelModel] | None:
    """Return name and function of the model that judges labels in an audit, None for ``none``.

    Args:
        name: ridge, network or none.
        folder: where the network keeps its checkpoints while it trains.

    Raises:
        UsageError: another name.
        DeviceError: the network was asked for and PyTorch is not installed.
    """
    if name == "none":
        return None
    if name == "ridge":
        return "ridge classifier on gradient histograms", ridge_probabilities
    if name != "network":
        raise UsageError(f"unknown label model {name!r}; use ridge, network or none")
    try:
        from mien.training.out_of_fold import network_probabilities
    except ImportError as error:
        raise missing_extra(str(error.name), "train", "The label model 'network'") from error
    return "residual network", partial(network_probabilities, folder=folder)


def git_revision() -> str:
    """Return the revision of the code that runs, "+" behind it where it has changes; "" outside a clone."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5, check=True)
        dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "."], cwd=here, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.returncode else "")
