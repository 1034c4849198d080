"""A model's life, wired together: train and export.

The only place where training and evaluation meet; the stages themselves are blind to one
another. PyTorch is loaded by the functions that need it, so everything else runs without.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mien import metrics
from mien.audit.labels import ridge_probabilities
from mien.data.dataset import FaceDataset
from mien.data.manifest import manifest
from mien.data.split_file import read_split_file
from mien.data.votes import read_votes
from mien.errors import DataError, UsageError, missing_extra
from mien.evaluation.calibration import confidence_for_error
from mien.evaluation.scores import score
from mien.files import file_hash
from mien.modelcard import ModelCard
from mien.revision import git_revision
from mien.vision.bundles import bundle_path, write_record
from mien.vision.predictor import Predictor

if TYPE_CHECKING:
    from mien.audit.audit import LabelModel
    from mien.history import EpochRow
    from mien.training.loop import OnEpoch, OnStep
    from mien.training.settings import TrainSettings

CHECKPOINT_ENDINGS: Final = (".pt", ".pth")
BUNDLE_FILE: Final = "mien.onnx"
"""Name of the bundle a training run leaves in its folder."""


def train_model(
    dataset: FaceDataset,
    settings: TrainSettings,
    folder: Path,
    *,
    command: str = "",
    split_file: Path | None = None,
    votes: Path | None = None,
    teachers: Sequence[str] = (),
    start: str | None = None,
    logs: Path = Path("logs"),
    device: str = "auto",
    resume: bool = False,
    on_start: Callable[[str, int, int], None] = lambda device, images, epoch: None,
    on_step: OnStep = lambda epoch, step, steps, loss: None,
    on_epoch: OnEpoch = lambda row, is_best: None,
) -> list[EpochRow]:
    """Train on Training, choose the best epoch on PublicTest, and return the history.

    Leaves ``last.pt``, ``best.pt``, ``history.csv``, ``curves.png``, ``run.json`` in
    ``folder``, up to date after every epoch; they survive a kill at any moment. Where
    ``torchrun`` started several processes they share the run, and the first one writes.

    Args:
        dataset: images of at least those two splits.
        settings: the recipe.
        folder: the run's folder.
        command: how the run was asked for, kept in checkpoints and on the card.
        split_file: the audit's decisions on what to drop and what to weigh less; None for all images alike.
        votes: the FER+ votes, mixed into the labels by ``settings.votes_share``; None for labels alone.
        teachers: checkpoints or bundles to learn from as well, by ``settings.teacher_share``.
        start: a checkpoint or bundle of the same shape whose weights to begin with; None for fresh ones.
        logs: folder of TensorBoard's logs.
        device: auto, cpu or cuda.
        resume: continue the run in ``folder``; without it a folder that holds one is refused.
        on_start: called once with (device name, images to train on, steps already done).
        on_step: called after every step.
        on_epoch: called after every epoch.

    Raises:
        UsageError: the folder holds a run and ``resume`` is off, or the settings differ, or votes or
            teachers are missing that the settings ask for, or ``start`` has another shape.
        DeviceError: PyTorch is missing, or the device is.
        KeyboardInterrupt: a stop was asked for; everything is saved.
    """
    try:
        from mien.training.loop import Trainer
        from mien.training.origins import networks_from, origin_file, starting_network
        from mien.training.processes import Processes, pick_device
        from mien.training.run_folder import RunFolder
        from mien.training.targets import Teachers, label_rows
    except ImportError as error:
        raise missing_extra(str(error.name), "train", "Training") from error
    if (folder / "last.pt").exists() and not resume:
        raise UsageError(f"{folder} already holds a run. Continue it with --resume, or choose another folder with --out")
    if settings.votes_share > 0 and votes is None:
        raise UsageError(f"votes_share is {settings.votes_share}, and no votes are given. Name them with --votes, or set it to 0")
    chosen = pick_device(device)
    contents = manifest(dataset)
    facts = {
        "dataset_hash": contents["dataset_hash"],
        "data_steps": contents["steps"],
        "split_file": file_hash(split_file) if split_file else "",
        "votes": file_hash(votes) if votes and settings.votes_share else "",
        "teachers": [file_hash(origin_file(teacher)) for teacher in teachers],
        "start": file_hash(origin_file(start)) if start else "",
        "git_revision": git_revision(),
        "command": command,
    }
    if split_file:
        dataset = read_split_file(split_file, dataset).apply(dataset)
    training = dataset.split("Training")
    rows = label_rows(training, settings, read_votes(votes, training) if votes else None)
    masters = [network for teacher in teachers for network in networks_from(teacher, training)]
    processes = Processes.join(chosen)
    trainer = Trainer(
        training,
        dataset.split("PublicTest"),
        settings,
        folder,
        chosen,
        facts,
        rows,
        Teachers(masters, chosen, settings.teacher_mirror) if masters else None,
        processes,
        starting_network(start, settings, training) if start else None,
    )
    if resume:
        trainer.resume()
    if not processes.is_first:
        return trainer.run(lambda epoch, step, steps, loss: None, lambda row, is_best: None)
    on_start(str(chosen), trainer.images, trainer.step)
    records = RunFolder(
        folder, logs, {**facts, "device": str(chosen), "settings": settings.as_dict()}, trainer.step, trainer.history
    )

    def after_step(epoch: int, step: int, steps: int, loss: float) -> None:
        records.on_step(trainer.step, loss)
        on_step(epoch, step, steps, loss)

    def after_epoch(row: EpochRow, is_best: bool) -> None:
        records.on_epoch(trainer.step, trainer.history)
        on_epoch(row, is_best)

    try:
        return trainer.run(after_step, after_epoch)
    finally:
        records.close()
        processes.leave()


def export_model(
    checkpoints: Sequence[Path], dataset: FaceDataset, target: Path, name: str, precision: str = "fp32"
) -> ModelCard:
    """Turn a checkpoint, or several as a committee, into a bundle with its record beside it, and return its card.

    The calibration temperature is fitted on PublicTest, and the card's PublicTest numbers
    are measured on the finished bundle.

    Args:
        checkpoints: ``best.pt`` of one run or more.
        dataset: images of Training (to set the ranges of int8) and PublicTest.
        target: the ONNX file to write.
        name: the bundle's name.
        precision: fp32, fp16 (weights of half the size) or int8 (arithmetic in integers).

    Raises:
        UsageError: another precision.
        BundleError: a checkpoint is broken, or the graph does not answer as PyTorch does.
        DeviceError: PyTorch or the exporter is not installed.
    """
    try:
        from mien.training import export
        from mien.training.checkpoint import load_checkpoint
        from mien.training.network import network_from
        from mien.training.variants import CALIBRATION_FACES, PRECISIONS, variant_of
    except ImportError as error:
        raise missing_extra(str(error.name), "train", "Exporting") from error
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; use {', '.join(PRECISIONS)}")
    states = [load_checkpoint(path) for path in checkpoints]
    networks = [network_from(state) for state in states]
    validation, training = dataset.split("PublicTest"), dataset.split("Training")
    logits = export.logits_of(networks, validation.images)
    temperature = export.fit_temperature(logits, validation.labels)
    card = export.card_of(states, networks, name, precision=precision, temperature=temperature)
    ranges = training.take(np.linspace(0, len(training) - 1, CALIBRATION_FACES).astype(np.int64)).images[:, None]
    graph = variant_of(precision, ranges)(export.build_graph(networks, temperature))
    export.write_bundle(graph, card, target)
    scores = score(Predictor(target), validation)
    parity = export.measure_parity(logits / temperature, scores.probabilities)
    if precision == "fp32":
        export.check_parity(parity)
    numbers = scores.as_dict()
    del numbers["confusion_matrix"]
    before = metrics.accuracy(validation.labels, logits.argmax(1))
    measured = replace(
        card,
        uncertain_below=round(confidence_for_error(scores.probabilities, validation.labels), 4),
        metrics={"PublicTest": numbers},
        export={**asdict(parity), "accuracy_change": numbers["accuracy"] - before},
    )
    export.write_bundle(graph, measured, target)
    write_record(target, measured)
    return measured


@contextmanager
def bundle_of(model: str, dataset: FaceDataset) -> Iterator[tuple[Path, Path]]:
    """Yield (the file a user named, the bundle to run) for a bundle, or for a checkpoint that is exported for the occasion.

    Args:
        model: a bundle's path or name, or a checkpoint.
        dataset: where the temperature of a checkpoint is fitted (its PublicTest).

    Raises:
        DataError: no such file, or a checkpoint and data without PublicTest.
        BundleError: a broken checkpoint.
        DeviceError: a checkpoint, and no PyTorch.
    """
    path = Path(model)
    if path.suffix not in CHECKPOINT_ENDINGS:
        found = bundle_path(model)
        yield found, found
        return
    if not path.is_file():
        raise DataError(f"no checkpoint at {path}")
    if not all(dataset.split_counts()[split] for split in ("Training", "PublicTest")):
        raise DataError(
            f"{path} is a checkpoint: its confidence is calibrated on PublicTest first, which this data does not have. "
            "Make a bundle of it with FER2013: mien export"
        )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bundle.onnx"
        export_model([path], dataset, target, path.parent.name or path.stem)
        yield path, target


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
