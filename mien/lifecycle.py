"""Training and export of models.

The only module that connects training and evaluation. PyTorch is imported by the functions that need
it, so that everything else works without it.
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

from mien.audit.labels import ridge_probabilities
from mien.data.dataset import FaceDataset
from mien.data.fer2013 import has_fer2013_labels
from mien.data.manifest import manifest
from mien.data.split_file import read_split_file
from mien.data.votes import Votes, read_votes
from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError, missing_extra
from mien.evaluation.calibration import thresholds_by_class
from mien.evaluation.scores import Scores, predict_heads
from mien.evaluation.truths import truths_about
from mien.files import file_hash
from mien.modelcard import FER2013, PEOPLE, ModelCard
from mien.preprocess import INPUT_SIZE
from mien.version import git_revision
from mien.vision.bundles import CHECKPOINT_ENDINGS, bundle_path, delete_record, write_record
from mien.vision.predictor import Predictor

if TYPE_CHECKING:
    from mien.audit.audit import LabelModel
    from mien.history import EpochRow
    from mien.training.loop import OnEpoch, OnStep
    from mien.training.settings import TrainSettings

BUNDLE_FILE: Final = "mien.onnx"
"""Name of the bundle in a training run's folder."""


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
    on_start: Callable[[str, int, int, int], None] = lambda device, images, left_out, steps: None,
    on_step: OnStep = lambda epoch, step, steps, loss: None,
    on_epoch: OnEpoch = lambda row, is_best: None,
) -> list[EpochRow]:
    """Train on Training, choose the best epoch on PublicTest, and return the history.

    Writes ``last.pt``, ``best.pt``, ``history.csv``, ``curves.png`` and ``run.json`` to ``folder`` after
    every epoch, atomically. Processes started by ``torchrun`` share the run; the first one writes.

    Args:
        dataset: images of at least these two splits.
        settings: the training settings.
        folder: folder of the run.
        command: command line of the run, stored in checkpoints and on the model card.
        split_file: the audit's decisions on which images to drop or weight less; None uses all images equally.
        votes: the FER+ votes to train the people head on; None trains only the label head.
        teachers: checkpoints or bundles to distil, weighted by ``settings.teacher_share``.
        start: a checkpoint or bundle of the same shape to fine-tune; None for random weights.
        logs: folder of TensorBoard's logs.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: continue the run in ``folder``; otherwise a folder with a run is refused.
        on_start: called once with (device name, number of training images, number left out because they have no votes,
            steps already done).
        on_step: called after every step.
        on_epoch: called after every epoch.

    Raises:
        UsageError: the folder holds a run and ``resume`` is false, the settings of a resumed run differ, or ``start`` has
            a different shape.
        DeviceError: PyTorch is not installed, the device is not available, or training diverged.
        KeyboardInterrupt: the run was stopped; its state is saved.
    """
    try:
        from mien.training.loop import RunVotes, Trainer
        from mien.training.origins import networks_from, origin_file, starting_network
        from mien.training.processes import Processes, pick_device
        from mien.training.run_folder import RunFolder
        from mien.training.targets import Teachers, smoothed_labels
    except ImportError as error:
        raise missing_extra(str(error.name), "train", "Training") from error
    if (folder / "last.pt").exists() and not resume:
        raise UsageError(f"{folder} already holds a run. Continue it with --resume, or choose another folder with --out")
    if resume and not (folder / "last.pt").is_file():
        raise DataError(f"{folder} has no checkpoint (last.pt) to resume from. Run the same command without --resume")
    chosen = pick_device(device)
    contents = manifest(dataset)
    facts = {
        "dataset_hash": contents["dataset_hash"],
        "data_steps": contents["steps"],
        "split_file": file_hash(split_file) if split_file else "",
        "votes": file_hash(votes) if votes else "",
        "teachers": [file_hash(origin_file(teacher)) for teacher in teachers],
        "start": file_hash(origin_file(start)) if start else "",
        "git_revision": git_revision(),
        "command": command,
    }
    if split_file:
        dataset = read_split_file(split_file, dataset).apply(dataset)
    training, validation = dataset.split("Training"), dataset.split("PublicTest")
    run_votes, left_out = None, 0
    if votes:
        seen = read_votes(votes, training)
        training = training.take(seen.known)  # FER+ has no votes for images without a face
        left_out = int((~seen.known).sum())
        run_votes = RunVotes(seen.shares[seen.known], _validation_votes(votes, validation))
    teacher_networks = [network for teacher in teachers for network in networks_from(teacher, training)]
    processes = Processes.join(chosen)
    trainer = Trainer(
        training,
        validation,
        settings,
        folder,
        chosen,
        facts,
        targets=smoothed_labels(training, settings),
        votes=run_votes,
        teachers=Teachers(teacher_networks, chosen, settings.teacher_mirror) if teacher_networks else None,
        processes=processes,
        start=starting_network(start, settings, training, bool(votes)) if start else None,
    )
    if resume:
        trainer.resume()
    if not processes.is_first:
        return trainer.run(lambda epoch, step, steps, loss: None, lambda row, is_best: None)
    on_start(str(chosen), trainer.images, left_out, trainer.step)
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
        # before records.close(), which draws the last curves and may fail on a full disk
        processes.leave()
        records.close()


def export_model(
    checkpoints: Sequence[Path],
    dataset: FaceDataset,
    target: Path,
    name: str,
    precision: str = "fp32",
    votes: Path | None = None,
    parent: ModelCard | None = None,
) -> ModelCard:
    """Export a checkpoint, or several as an ensemble, to a bundle with its record, and return its card.

    Temperatures, logit adjustment and the thresholds for uncertain predictions are fitted on PublicTest, each head to its
    own truth. The card's PublicTest metrics are measured on the exported bundle.

    Args:
        checkpoints: ``best.pt`` of one or more runs.
        dataset: images of Training (for the int8 ranges and the prior of the votes) and PublicTest.
        target: path of the ONNX file.
        name: name of the bundle.
        precision: ``fp32``, ``fp16`` (16-bit weights) or ``int8`` (8-bit arithmetic).
        votes: the FER+ votes, required to calibrate a people head.
        parent: card of the bundle that the checkpoints were fine-tuned from; without votes, its calibration of the people
            head is used.

    Raises:
        UsageError: unknown precision, or a people head without votes and parent.
        BundleError: a checkpoint is broken, or the graph's outputs differ from PyTorch's.
        DeviceError: PyTorch or the exporter is not installed, or the file cannot be written.
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
    for path, network in zip(checkpoints, networks, strict=True):
        if network.input_size != INPUT_SIZE:
            raise UsageError(
                f"{path} was trained with input_size={network.input_size}; it can be a teacher, but cannot be exported"
            )
    heads = networks[0].heads
    if PEOPLE in heads and votes is None and (parent is None or PEOPLE not in parent.heads):
        raise UsageError(f"{checkpoints[0]} has a people head, which is calibrated with human votes. Pass them with --votes")
    validation, training = dataset.split("PublicTest"), dataset.split("Training")
    validation_votes = _validation_votes(votes, validation) if votes and PEOPLE in heads else None
    logits = export.logits_of(networks, validation.images)
    if validation_votes is not None and votes is not None and logits.people is not None:
        prior = read_votes(votes, training).shares[:, : len(EMOTIONS)].sum(0, dtype=np.float64)
        calibration = export.calibrated_to_people(logits.people, validation_votes.majority, prior)
    elif parent is not None and PEOPLE in heads:
        calibration = export.Calibration(parent.temperature, parent.logit_adjustment, tuple(parent.logit_offsets.values()))
    else:
        calibration = export.Calibration()
    if logits.labels is not None:
        calibration = replace(calibration, labels=export.labels_temperature(logits.labels, validation.labels))
    exact = export.probabilities_of(logits, calibration)
    card = export.card_of(
        states,
        networks,
        name,
        precision=precision,
        temperature=calibration.people if PEOPLE in heads else calibration.labels,
        fer2013_temperature=calibration.labels if len(heads) > 1 else 0.0,
        logit_adjustment=calibration.adjustment,
        logit_offsets=dict(zip(EMOTIONS, calibration.offsets, strict=True)),
    )
    ranges = training.take(np.linspace(0, len(training) - 1, CALIBRATION_FACES).astype(np.int64)).images[:, None]
    graph = variant_of(precision, ranges)(export.build_graph(networks, calibration))
    with tempfile.TemporaryDirectory() as unmeasured:  # the target stays whole until everything is known
        export.write_bundle(graph, card, Path(unmeasured) / target.name)
        predictions = predict_heads(Predictor(Path(unmeasured) / target.name), validation)
    parities = {head: export.measure_parity(exact[head], predictions.of(head)) for head in heads}
    if precision == "fp32":
        for parity in parities.values():
            export.check_parity(parity)
    results, below, change = {}, None, None
    truths = truths_about(validation, validation_votes, heads, has_fer2013_labels(dataset))
    for truth in truths:
        scores = predictions.scores(truth)
        results[truth.name] = {"head": truth.head, **scores.as_dict()}
        del results[truth.name]["confusion_matrix"]
        if change is None:
            before = Scores(truth.labels, exact[truth.head].astype(np.float32)).part(truth.known)
            change = scores.as_dict()["accuracy"] - before.as_dict()["accuracy"]
    if validation_votes is not None:
        # a prediction also counts as wrong if most people named none of the seven
        below = thresholds_by_class(
            predictions.of(PEOPLE)[validation_votes.clear], validation_votes.majority[validation_votes.clear]
        )
    elif PEOPLE not in heads:
        below = thresholds_by_class(predictions.of(FER2013), validation.labels)
    elif parent is not None:
        below = parent.uncertain_below
    measured = replace(
        card,
        uncertain_below=below or card.uncertain_below,
        metrics={"PublicTest": {"truths": results}},
        export={**asdict(parities[heads[0]]), "accuracy_change": change or 0.0},
    )
    delete_record(target)  # without a record, a bundle is not finished
    export.write_bundle(graph, measured, target)
    write_record(target, measured)
    return measured


def _validation_votes(path: Path, validation: FaceDataset) -> Votes:
    """Return the votes for PublicTest; raise DataError if no image has a majority, which choosing an epoch needs."""
    votes = read_votes(path, validation)
    if not (votes.majority >= 0).any():
        raise DataError(
            f"no PublicTest image has an expression with more than half of the votes in {path}, so nothing can be chosen or "
            "calibrated by them. Add votes, or train without --votes"
        )
    return votes


@contextmanager
def bundle_of(model: str, dataset: FaceDataset, votes: Path | None = None) -> Iterator[tuple[Path, Path]]:
    """Yield (the given file, the bundle to run); a checkpoint is exported to a temporary bundle.

    Args:
        model: path or name of a bundle, or path of a checkpoint.
        dataset: data set whose PublicTest is used to calibrate a checkpoint.
        votes: the FER+ votes, to calibrate a checkpoint with a people head.

    Raises:
        DataError: no such file, or a checkpoint with data that lack Training or PublicTest.
        BundleError: the checkpoint is broken.
        DeviceError: ``model`` is a checkpoint and PyTorch is not installed.
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
            f"{path} is a checkpoint, which must be calibrated on PublicTest, but this data set has no Training and PublicTest. "
            "Export it to a bundle with FER2013: mien export"
        )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bundle.onnx"
        export_model([path], dataset, target, path.parent.name or path.stem, votes=votes)
        yield path, target


def choose_label_model(name: str, folder: Path) -> tuple[str, LabelModel] | None:
    """Return name and function of the model that checks labels in an audit, None for ``none``.

    Args:
        name: ``ridge``, ``network`` or ``none``.
        folder: folder for the checkpoints of the network during training.

    Raises:
        UsageError: unknown name.
        DeviceError: ``network`` was requested and PyTorch is not installed.
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
