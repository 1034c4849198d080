"""From a request and new faces to a judged candidate. Nothing is put into use here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.manifest import manifest
from mien.emotions import EMOTIONS
from mien.errors import UsageError, missing_extra
from mien.evaluation.scores import score
from mien.files import file_hash, write_json
from mien.lifecycle import export_model
from mien.retraining.candidate import BUNDLE_NAME, RECORD_NAME, Candidate, write_candidate
from mien.retraining.gates import Answers, judge
from mien.retraining.new_data import NewFaces, prepare_new_faces
from mien.retraining.request import read_request
from mien.revision import git_revision
from mien.vision.predictor import Predictor

if TYPE_CHECKING:
    from mien.training.settings import TrainSettings

AUDIT_NAME: Final = "new_faces.json"
PLAN_NAME: Final = "plan.json"

Bars = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar with a heading; yields a function of (done, total)."""


@dataclass(frozen=True, slots=True)
class RetrainWish:
    """What is asked for.

    Attributes:
        bundle: the file to go on from.
        name: how that bundle is called.
        request: ``retrain_request.json``; None where nobody asked.
        annotations: who labelled what; None where one person did.
        held_out_share: share of the new faces to judge by.
        new_share: how much the new faces weigh in what is learnt from, 0.05 to 0.95; the rest is Training's.
        replay: how many images of Training are gone over again at most (0: all).
        seed: of the parting, the replay and the training.
        settings: the recipe; network and seed are taken from elsewhere.
    """

    bundle: Path
    name: str
    settings: TrainSettings
    request: Path | None = None
    annotations: Path | None = None
    held_out_share: float = 0.3
    new_share: float = 0.3
    replay: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.05 <= self.new_share <= 0.95:
            raise UsageError(f"new-share is {self.new_share:g}; it must be 0.05 to 0.95")
        if self.replay < 0:
            raise UsageError(f"replay is {self.replay}; it must be 0 (all of Training) or a number of images")


def retrain(wish: RetrainWish, new: FaceDataset, old: FaceDataset, folder: Path, bars: Bars) -> Candidate:
    """Return a judged candidate; stopped and called again with the same wish it goes on where it was.

    Args:
        wish: what is asked for.
        new: the new faces.
        old: FER2013: Training is replayed, PublicTest judges, PrivateTest only keeps its copies out of what is learnt.
        folder: for everything that is made.
        bars: progress.

    Raises:
        UsageError: ``folder`` holds another retraining, or a finished one.
        DataError: the request or the new faces cannot be used.
        BundleError: the bundle cannot learn on.
        DeviceError: PyTorch is missing.
        KeyboardInterrupt: a stop was asked for; everything is saved.
    """
    request = read_request(wish.request, wish.bundle) if wish.request is not None else None
    plan = _plan(wish, new, old)
    with bars("judging new faces"):
        answers = score(Predictor(wish.bundle), new).probabilities
        faces = prepare_new_faces(
            new, old, answers, held_out_share=wish.held_out_share, seed=wish.seed, annotations=wish.annotations
        )
    _claim(folder, plan)
    write_json(folder / AUDIT_NAME, faces.audit)
    mixed, replayed = _mixed(faces.learn, old.split("Training"), wish)
    with bars("asking the bundle about what it knows"):
        rows = _targets(mixed, replayed, wish)
    checkpoints = _fine_tune(wish, mixed, rows, old, folder, plan, bars)
    with bars("making and judging the candidate"):
        bundle = folder / BUNDLE_NAME
        export_model(checkpoints, old, bundle, f"{wish.name}-{plan['plan'][:8]}")
        gates = judge(_answers(wish.bundle, bundle, old.split("PublicTest")), _answers(wish.bundle, bundle, faces.held_out))
    return write_candidate(folder, _lineage(wish, request, plan, faces, replayed), gates)


def _plan(wish: RetrainWish, new: FaceDataset, old: FaceDataset) -> dict[str, Any]:
    """Return all that decides what comes out, and a hash of it."""
    facts = {
        "parent": file_hash(wish.bundle),
        "new_data": new.content_hash(),
        "old_data": old.content_hash(),
        "settings": wish.settings.as_dict(),
        "held_out_share": wish.held_out_share,
        "new_share": wish.new_share,
        "replay": wish.replay,
        "seed": wish.seed,
    }
    text = json.dumps(facts, sort_keys=True).encode()
    return facts | {"plan": hashlib.sha256(text).hexdigest()}


def _claim(folder: Path, plan: dict[str, Any]) -> None:
    """Refuse a folder of another retraining, or of a finished one."""
    path = folder / PLAN_NAME
    if (folder / RECORD_NAME).exists():
        raise UsageError(f"{folder} holds a finished candidate. Choose another folder with --out")
    if path.exists():
        try:
            other = json.loads(path.read_text(encoding="utf-8"))
            differing = sorted(key for key in plan if key != "plan" and other.get(key) != plan[key])
        except (OSError, ValueError, AttributeError):
            differing = ["a broken plan"]
        if differing:
            raise UsageError(f"{folder} holds another retraining ({', '.join(differing)}). Choose another folder with --out")
    write_json(path, plan)


def _mixed(learn: FaceDataset, training: FaceDataset, wish: RetrainWish) -> tuple[FaceDataset, int]:
    """Return new faces and a replay of Training, weighed so that the new ones have their share; and how many are replayed."""
    places = np.random.default_rng(wish.seed).permutation(len(training))
    replay = training.take(np.sort(places[: wish.replay or len(places)]))
    wanted = len(learn) * (1 - wish.new_share) / wish.new_share  # the replay's weight where a new face weighs 1
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


def _targets(mixed: FaceDataset, replayed: int, wish: RetrainWish) -> NDArray[np.float32]:
    """Return (N, 7) what to learn: labels for new faces, and for what is replayed mostly what the bundle says already.

    So the networks keep what they know where nothing is new (learning without forgetting, Li and Hoiem 2016, arXiv:1606.09282).
    """
    settings = wish.settings
    smooth = settings.label_smoothing
    labels = np.eye(len(EMOTIONS), dtype=np.float32)[mixed.labels] * np.float32(1 - smooth) + np.float32(smooth / len(EMOTIONS))
    old = mixed.take(np.arange(replayed))
    known = score(Predictor(wish.bundle), old).probabilities
    share = settings.teacher_share
    labels[:replayed] = (1 - share) * labels[:replayed] + share * known
    return np.asarray(labels, np.float32)


def _fine_tune(
    wish: RetrainWish,
    mixed: FaceDataset,
    rows: NDArray[np.float32],
    old: FaceDataset,
    folder: Path,
    plan: dict[str, Any],
    bars: Bars,
) -> list[Path]:
    """Let every network of the bundle learn on, and return their checkpoints: of the last epoch, so that no split chooses."""
    try:
        from mien.training.from_bundle import part_way
        from mien.training.loop import Trainer
        from mien.training.origins import networks_from
        from mien.training.processes import pick_device
    except ImportError as error:
        raise missing_extra(str(error.name), "train", "Retraining") from error
    networks = networks_from(str(wish.bundle), old.split("Training"))
    checkpoints = []
    for number, network in enumerate(networks):
        settings = replace(wish.settings, widths=network.widths, blocks=network.depths, seed=wish.seed + number, small_until=0.0)
        run = folder / f"network-{number}"
        facts = {
            "dataset_hash": plan["old_data"],
            "data_steps": manifest(old)["steps"],
            "git_revision": git_revision(),
            "command": f"mien retrain ({plan['plan'][:8]})",
        }
        start = deepcopy(network)
        start.keeps_statistics = True
        trainer = Trainer(mixed, old.split("PublicTest"), settings, run, pick_device(), facts, rows, start=start)
        if (run / "last.pt").exists():
            trainer.resume()
        with bars(f"learning, network {number + 1} of {len(networks)}") as progress:

            def on_step(epoch: int, step: int, steps: int, loss: float, progress: Any = progress) -> None:
                progress((epoch - 1) * steps + step, settings.epochs * steps)  # noqa: B023  called within this turn only

            trainer.run(on_step, lambda row, is_best: None)
        checkpoints.append(part_way(network, run))
    return checkpoints


def _answers(before: Path, after: Path, data: FaceDataset) -> Answers:
    one, two = (score(Predictor(path), data).probabilities for path in (before, after))
    return Answers(data.labels, _exact(one), _exact(two))


def _exact(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(probabilities, np.float64)


def _lineage(
    wish: RetrainWish, request: dict[str, Any] | None, plan: dict[str, Any], faces: NewFaces, replayed: int
) -> dict[str, Any]:
    """Return where a candidate comes from, as plain values."""
    return {
        "parent": {"name": wish.name, "sha256": plan["parent"]},
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
