"""Fine-tuning of a bundle on new faces, and evaluation of the candidate. Nothing is deployed here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.data.dataset import FaceDataset
from mien.data.fer2013 import has_fer2013_labels
from mien.data.manifest import manifest
from mien.data.votes import read_votes
from mien.documents import conform, load_json
from mien.errors import UsageError, missing_extra
from mien.evaluation.scores import Scores, predict_heads, score
from mien.evaluation.truths import truths_about
from mien.files import file_hash, remove_half_written, write_json
from mien.lifecycle import export_model
from mien.modelcard import PEOPLE
from mien.retraining.candidate import BUNDLE_NAME, RECORD_NAME, Candidate, write_candidate
from mien.retraining.gates import Gate, PairedPredictions, evaluate_gates
from mien.retraining.new_data import NewFaces, prepare_new_faces
from mien.retraining.request import read_request
from mien.version import git_revision
from mien.vision.predictor import Predictor

if TYPE_CHECKING:
    from mien.training.network import FaceNet
    from mien.training.settings import TrainSettings

AUDIT_NAME: Final = "new_faces.json"
PLAN_NAME: Final = "plan.json"
_ENDINGS: Final = (".onnx", ".json", ".reference.npz", ".lineage.json", ".html")
"""Endings of the files of a candidate."""

Bars = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar with a heading; yields a function that takes (done, total)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainOptions:
    """Options of a retraining run.

    Attributes:
        bundle: the bundle to fine-tune.
        name: name of that bundle.
        settings: the recipe; the shape of the network comes from the bundle, the seed from ``seed``.
        request: ``retrain_request.json``; None without a request.
        annotations: file with the labels by annotator; None if one person labelled.
        votes: the FER+ votes for the old data; None without votes.
        held_out_share: share of the new faces to hold out for evaluation, 0.1 to 0.9.
        new_share: total weight of the new faces in the training set, 0.05 to 0.95; the rest is the replay's.
        replay: maximum number of Training images to replay; 0 for all.
        seed: seed of the split, the replay and the training.
    """

    bundle: Path
    name: str
    settings: TrainSettings
    request: Path | None = None
    annotations: Path | None = None
    votes: Path | None = None
    held_out_share: float = 0.3
    new_share: float = 0.3
    replay: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.05 <= self.new_share <= 0.95:
            raise UsageError(f"new-share is {self.new_share:g}; it must be 0.05 to 0.95")
        if self.replay < 0:
            raise UsageError(f"replay is {self.replay}; it must be 0 (all of Training) or more")


def retrain(
    options: RetrainOptions,
    new: FaceDataset,
    old: FaceDataset,
    folder: Path,
    bars: Bars,
    on_passed: Callable[[Path], None] = lambda bundle: None,
) -> Candidate:
    """Fine-tune a bundle and return the evaluated candidate. A stopped run resumes if called with the same options.

    Args:
        options: the options of the run.
        new: the new faces.
        old: FER2013: Training is replayed, the gates use PublicTest, and copies of any split are removed from ``new``.
        folder: output folder.
        bars: opens progress bars.
        on_passed: called with the bundle if it passes every gate, before the candidate is finished; if this is stopped, the
            run resumes here.

    Raises:
        UsageError: ``folder`` holds a finished run, or one with other options.
        DataError: the request or the new faces are invalid.
        BundleError: the bundle cannot be fine-tuned.
        DeviceError: PyTorch is not installed.
        KeyboardInterrupt: the run was stopped; its state is saved.
    """
    refuse_finished(folder)
    request = read_request(options.request, options.bundle) if options.request is not None else None
    plan = _plan(options, new, old)
    _refuse_other_plan(folder, plan)
    with bars("checking new faces"):
        probabilities = score(Predictor(options.bundle), new).probabilities
        faces = prepare_new_faces(
            new, old, probabilities, held_out_share=options.held_out_share, seed=options.seed, annotations=options.annotations
        )
    write_json(folder / PLAN_NAME, plan)
    write_json(folder / AUDIT_NAME, faces.audit)
    mixed, replayed = _mix(faces.training, old.split("Training"), options)
    checkpoints = _fine_tune(options, mixed, replayed, old, folder, plan, bars)
    with bars("exporting and evaluating the candidate"):
        bundle = folder / BUNDLE_NAME
        # left by a run that was killed
        remove_half_written(*(bundle.with_suffix(ending) for ending in _ENDINGS))
        parent = Predictor(options.bundle).card
        export_model(checkpoints, old, bundle, f"{options.name}-{plan['plan'][:8]}", votes=options.votes, parent=parent)
        gates = _evaluate(options, bundle, old, faces.held_out)
    if all(gate.passed for gate in gates):
        on_passed(bundle)
    return write_candidate(folder, _lineage(options, request, plan, faces, replayed), gates)


def refuse_finished(folder: Path) -> None:
    """Raise UsageError if ``folder`` holds a finished run."""
    if (folder / RECORD_NAME).exists():
        raise UsageError(f"{folder} holds a finished candidate. Choose another folder with --out")


def _plan(options: RetrainOptions, new: FaceDataset, old: FaceDataset) -> dict[str, Any]:
    """Return all inputs that determine the result, and their hash as ``plan``."""
    facts = {
        "parent": file_hash(options.bundle),
        "new_data": new.content_hash(),
        "old_data": old.content_hash(),
        "settings": options.settings.as_dict(),
        "votes": file_hash(options.votes) if options.votes else "",
        "held_out_share": options.held_out_share,
        "new_share": options.new_share,
        "replay": options.replay,
        "seed": options.seed,
    }
    text = json.dumps(facts, sort_keys=True).encode()
    return facts | {"plan": hashlib.sha256(text).hexdigest()}


def _refuse_other_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Raise UsageError if ``folder`` holds a run with another plan."""
    path = folder / PLAN_NAME
    if path.exists():
        try:
            other = conform(load_json(path), dict[str, Any], PLAN_NAME)
            differing = sorted(key for key in plan if key != "plan" and other.get(key) != plan[key])
        except (OSError, ValueError):
            differing = ["a broken plan"]
        if differing:
            raise UsageError(
                f"{folder} holds a run with other options ({', '.join(differing)}). Choose another folder with --out"
            )


def _mix(learn: FaceDataset, training: FaceDataset, options: RetrainOptions) -> tuple[FaceDataset, int]:
    """Return replayed and new faces, weighted by ``options.new_share``, and the number of replayed faces, which come first."""
    places = np.random.default_rng(options.seed).permutation(len(training))
    replay = training.take(np.sort(places[: options.replay or len(places)]))
    wanted = len(learn) * (1 - options.new_share) / options.new_share  # total weight of the replay if a new face weighs 1
    weight_old, weight_new = min(1.0, wanted / len(replay)), min(1.0, len(replay) / wanted)
    return (
        FaceDataset(
            np.concatenate([replay.images, learn.images]),
            np.concatenate([replay.labels, learn.labels]),
            np.concatenate([replay.splits, learn.splits]),
            (*replay.names, *learn.names),
            np.concatenate([replay.weights * np.float32(weight_old), np.full(len(learn), weight_new, np.float32)]),
        ),
        len(replay),
    )


def _targets(
    networks: Sequence[FaceNet], mixed: FaceDataset, replayed: int, options: RetrainOptions
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return targets (N, 7) float32 for the label head and (N, 8) float32 for the people head, None without that head.

    People labelled the new faces, so the labels train the first head. On replayed faces, both heads are mostly trained
    on the bundle's own predictions, so that they retain what they know (learning without forgetting, Li and Hoiem
    2016, arXiv:1606.09282). FER2013's labels of the new faces are unknown, so there the second head is trained on its
    own predictions.
    """
    from mien.training.export import logits_of
    from mien.training.targets import smoothed_labels

    settings, share = options.settings, options.settings.teacher_share
    logits = logits_of(networks, mixed.images)
    labels = smoothed_labels(mixed, settings)
    old = np.arange(len(mixed)) < replayed
    if logits.labels is not None:
        known = metrics.softmax(logits.labels).astype(np.float32)
        mixture = (1 - share) * labels + share * known
        labels = np.where(old[:, None], mixture, labels if logits.people is None else known)
    if logits.people is None:
        return labels, None
    seen = metrics.softmax(logits.people).astype(np.float32)
    people = np.column_stack((smoothed_labels(mixed, settings), np.zeros(len(mixed), np.float32)))
    people[:replayed] = seen[:replayed]
    if options.votes:
        votes = read_votes(options.votes, mixed.take(old))
        people[:replayed] = np.where(votes.known[:, None], (1 - share) * votes.shares + share * seen[:replayed], seen[:replayed])
    return labels, people


def _fine_tune(
    options: RetrainOptions,
    mixed: FaceDataset,
    replayed: int,
    old: FaceDataset,
    folder: Path,
    plan: dict[str, Any],
    bars: Bars,
) -> list[Path]:
    """Fine-tune every network of the bundle and return the checkpoints of the last epoch."""
    try:
        from mien.training.from_bundle import interpolate_weights
        from mien.training.loop import RunVotes, Trainer
        from mien.training.origins import networks_from
        from mien.training.processes import pick_device
    except ImportError as error:
        raise missing_extra(str(error.name), "train", "Retraining") from error
    networks = networks_from(str(options.bundle), old.split("Training"))
    validation = old.split("PublicTest")
    with bars("predicting targets with the bundle"):
        rows, people = _targets(networks, mixed, replayed, options)
    run_votes = None
    if people is not None:
        run_votes = RunVotes(people, read_votes(options.votes, validation) if options.votes else None)
    checkpoints = []
    for number, network in enumerate(networks):
        own_stage = network.label_stage is not None
        settings = replace(options.settings, widths=network.widths, blocks=network.depths, own_label_stage=own_stage)
        settings = replace(settings, seed=options.seed + number, small_until=0.0)
        run = folder / f"network-{number}"
        facts = {
            "dataset_hash": plan["old_data"],
            "data_steps": manifest(old)["steps"],
            "git_revision": git_revision(),
            "command": f"mien retrain ({plan['plan'][:8]})",
        }
        start = deepcopy(network)
        start.freeze_statistics = True
        trainer = Trainer(mixed, validation, settings, run, pick_device(), facts, targets=rows, votes=run_votes, start=start)
        if (run / "last.pt").exists():
            trainer.resume()
        with bars(f"training network {number + 1} of {len(networks)}") as progress:

            def on_step(epoch: int, step: int, steps: int, loss: float, progress: Any = progress) -> None:
                progress((epoch - 1) * steps + step, settings.epochs * steps)  # noqa: B023  called within this turn only

            trainer.run(on_step, lambda row, is_best: None)
        checkpoints.append(interpolate_weights(network, run))
    return checkpoints


def _evaluate(options: RetrainOptions, candidate: Path, old: FaceDataset, new: FaceDataset) -> list[Gate]:
    """Return the gates: on PublicTest against every available truth, on the held-out new faces against their labels."""
    test = old.split("PublicTest")
    before, after = Predictor(options.bundle), Predictor(candidate)
    heads = before.card.heads
    votes = read_votes(options.votes, test) if options.votes else None
    first, second = predict_heads(before, test), predict_heads(after, test)
    tests = []
    for truth in truths_about(test, votes, heads, has_fer2013_labels(old)):
        both = (outputs.scores(truth) for outputs in (first, second))
        tests.append((truth.name, _paired_predictions(truth.labels[truth.known], *both)))
    agreement = None
    if PEOPLE in heads and votes is None:
        agreement = float((first.of(PEOPLE).argmax(1) == second.of(PEOPLE).argmax(1)).mean())
    return evaluate_gates(tests, _paired_predictions(new.labels, score(before, new), score(after, new)), agreement)


def _paired_predictions(labels: NDArray[np.int64], before: Scores, after: Scores) -> PairedPredictions:
    return PairedPredictions(labels, _exact(before.probabilities), _exact(after.probabilities))


def _exact(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(probabilities, np.float64)


def _lineage(
    options: RetrainOptions, request: dict[str, Any] | None, plan: dict[str, Any], faces: NewFaces, replayed: int
) -> dict[str, Any]:
    """Return the lineage of a candidate as plain values."""
    return {
        "parent": {"name": options.name, "sha256": plan["parent"]},
        "request": request and {key: request.get(key) for key in ("what", "in_words", "since_s", "noticed_s", "model")},
        "plan": plan,
        "data": {
            "new": faces.audit["images"],
            "taken_out": faces.audit["taken_out"],
            "to_learn": faces.audit["to_learn"],
            "to_judge": faces.audit["to_judge"],
            "replayed": replayed,
            "problems": faces.audit["problems"],
        },
    }
