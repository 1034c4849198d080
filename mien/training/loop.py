"""The training loop: one-cycle schedule, augmented batches, averaged weights, and the best epoch is kept.

All images are kept on the device as uint8; nothing is read from disk after the start. All random
numbers come from generators seeded by (seed, epoch) and (seed, step), so a run that is stopped
at any step and resumed gives the same result as an uninterrupted one.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mien import metrics
from mien.data.dataset import FaceDataset
from mien.data.votes import Votes
from mien.emotions import EMOTIONS
from mien.errors import BundleError, DeviceError, UsageError
from mien.history import EpochRow
from mien.modelcard import FER2013, PEOPLE
from mien.training.augment import DRAWS_PER_FACE, augment, cutmix_box
from mien.training.checkpoint import load_checkpoint, load_optimiser, save_checkpoint
from mien.training.network import FaceNet, autocast, placed
from mien.training.optimisers import build_optimisers, one_cycle
from mien.training.processes import Processes, convert_batch_norms
from mien.training.settings import TrainSettings
from mien.training.stopping import StopRequest, stop_on_signal
from mien.training.targets import TeacherOutputs, Teachers, head_losses, smoothed_labels

ALONE: Final = Processes()
SAVE_EVERY_S: Final = 60.0
"""Interval of the checkpoints within an epoch, in seconds: a kill loses at most this much work."""

RESUMED_FACTS: Final = (
    ("dataset_hash", "data"),
    ("split_file", "decisions"),
    ("folds", "folds"),
    ("votes", "votes"),
    ("teachers", "teachers"),
    ("start", "first weights"),
)
"""Facts that must not change when a run is resumed, and their names in errors."""


@dataclass(frozen=True, slots=True)
class RunVotes:
    """Human votes for the images of a run.

    Attributes:
        training: (N, 8) float32 vote shares of the training images, as ``Votes.shares``.
        validation: votes for the validation images; without them, the labels choose the best epoch.
    """

    training: NDArray[np.float32]
    validation: Votes | None


OnStep = Callable[[int, int, int, float], None]
"""Called with (epoch from 1, step from 1, steps per epoch, mean loss of the epoch so far)."""
OnEpoch = Callable[[EpochRow, bool], None]
"""Called with the epoch's row and whether it is the best so far."""


class Trainer:
    """One training run. Call ``resume`` to continue from ``last.pt``, then ``run``.

    Args:
        train: N training images.
        validation: images on which the best epoch is chosen.
        settings: the recipe.
        folder: folder of ``last.pt`` and ``best.pt``.
        device: the device to train on.
        facts: plain values stored in each checkpoint (data hash, revision, command).
        targets: (N, 7) float32 targets of the label head; None for the smoothed labels of ``train``.
        votes: human votes; None trains only the label head.
        teachers: networks to distil.
        processes: this process and those that share the run.
        start: a network of the same shape as the settings', to fine-tune; None for random weights.

    Attributes:
        network: the network that is trained.
        history: one row per finished epoch.

    Raises:
        UsageError: the settings do not fit the data, the votes, ``start`` or the number of processes.
    """

    def __init__(
        self,
        train: FaceDataset,
        validation: FaceDataset,
        settings: TrainSettings,
        folder: Path,
        device: torch.device,
        facts: dict[str, Any],
        *,
        targets: NDArray[np.float32] | None = None,
        votes: RunVotes | None = None,
        teachers: Teachers | None = None,
        processes: Processes = ALONE,
        start: FaceNet | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.folder, self.device, self.facts = settings, folder, device, facts
        self._teachers, self._processes = teachers, processes
        if targets is None:
            targets = smoothed_labels(train, settings)
        chosen = _limited(train, settings.limit)
        train = train.take(chosen)
        self._train_x, self._train_y = _on_device(train, device)
        self._train_targets = torch.from_numpy(targets[chosen]).to(device)
        self._train_w = torch.from_numpy(train.weights).to(device)
        self._people_share, self._train_people, self._val_votes = 0.0, None, None
        if votes is not None:
            self._val_votes = votes.validation
        if votes is not None and not settings.only_labels:
            self._people_share = settings.people_share
            self._train_people = torch.from_numpy(votes.training[chosen]).to(device)
        self._val_x, self._val_y = _on_device(validation, device)
        if len(self._train_y) < settings.batch_size:
            raise UsageError(
                f"batch_size is {settings.batch_size}, but there are only {len(self._train_y)} images to train on. "
                "Use a smaller one (mien train --batch-size), or more images"
            )
        if processes.count > 1 and settings.batch_size % (2 * processes.count):
            rule = f"{processes.count} processes need a multiple of {2 * processes.count}"
            raise UsageError(f"batch_size is {settings.batch_size}; {rule}")
        heads = [name for name, share in ((PEOPLE, self._people_share), (FER2013, 1 - self._people_share)) if share > 0]
        if settings.own_label_stage and votes is None:
            raise UsageError("own_label_stage needs two heads: add --votes. Without votes, only the label head is trained")
        fresh = FaceNet(settings.dropout, settings.widths, settings.blocks, heads, settings.own_label_stage, settings.input_size)
        self.network = placed(start or fresh, device)
        if settings.only_labels:
            if start is None:
                raise UsageError("only_labels fine-tunes a finished network: pass one with --model")
            self.network.train_only_labels()
        self._optimisers = build_optimisers(self.network, settings)
        self._ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        if processes.count > 1:
            convert_batch_norms(self.network)
        self._steps_an_epoch = len(self._train_y) // settings.batch_size
        self._step = 0
        self._sums = [0.0, 0.0]  # losses and hits of the epoch so far
        self._seconds = 0.0  # time of the epoch before the last stop
        self._started = time.perf_counter()
        self._saved_at = time.monotonic()
        self.history: list[EpochRow] = []

    @property
    def images(self) -> int:
        """Number of training images."""
        return len(self._train_y)

    @property
    def step(self) -> int:
        """Number of steps done."""
        return self._step

    def resume(self) -> None:
        """Restore the state of ``last.pt``.

        Raises:
            UsageError: that run had different settings or data.
            DataError: there is no ``last.pt``.
            BundleError: the file is broken.
        """
        path = self.folder / "last.pt"
        state = load_checkpoint(path)
        ours = _flat(self.settings.as_dict())
        before = _flat(TrainSettings().as_dict()) | _flat(state["settings"])  # older runs lack newer settings: the defaults
        other = [key for key in ours if ours[key] != before[key]]
        if other:
            was, now = (_recipe_in(facts) for facts in (state["facts"], self.facts))
            if was and now and was != now:
                raise UsageError(
                    f"cannot resume {path}: the run uses the recipe {was}, this command {now}. "
                    f"Pass the recipe {was} with --recipe, or use another --out"
                )
            changes = "; ".join(f"{key} was {before[key]}, now {ours[key]}" for key in other)
            raise UsageError(f"cannot resume {path} with different settings ({changes}). Use the same ones, or another --out")
        for fact, what in RESUMED_FACTS:
            if (state["facts"].get(fact) or None) != (self.facts.get(fact) or None):  # older runs lack newer facts
                raise UsageError(f"cannot resume {path} with different {what} ({fact} differs). Use the same, or another --out")
        try:
            self.network.load_state_dict(state["ema"])  # checks that it fits
            self.network.load_state_dict(state["network"])
            for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
                load_optimiser(optimiser, saved)
            self._ema = {name: value.to(self.device) for name, value in state["ema"].items()}
            self.history = [EpochRow(**row) for row in state["history"]]
            self._step, self._sums, self._seconds = state["step"], state["sums"], state["seconds"]
            if not 0 <= self._step - len(self.history) * self._steps_an_epoch <= self._steps_an_epoch:
                raise ValueError(f"{self._step} steps after {len(self.history)} epochs")
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{path} does not fit this version's network. Start again with another --out") from error

    def run(self, on_step: OnStep, on_epoch: OnEpoch) -> list[EpochRow]:
        """Train until the last epoch and return the history.

        Ctrl-C, SIGTERM and SIGHUP stop it after the current step, once the state is saved.

        Raises:
            DeviceError: the loss is not finite.
            StorageError: the disk is full, or the folder was removed.
            KeyboardInterrupt: the run was stopped.
        """
        with stop_on_signal() as stop:
            for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
                self._started = time.perf_counter() - self._seconds
                self._train_epoch(epoch, on_step, stop)
                row = self._epoch_row(epoch)
                is_best = all(row.better_than(past) for past in self.history)
                self.history.append(row)
                self._sums, self._seconds, self._started = [0.0, 0.0], 0.0, time.perf_counter()
                self._save(*(("best.pt",) if is_best else ()), "last.pt")
                on_epoch(row, is_best)
        return self.history

    def _epoch_row(self, epoch: int) -> EpochRow:
        """Return the row of a finished epoch: validation scores of the averaged network, each head against its own truth."""
        people, labels = self.predict_validation()
        row = EpochRow(
            epoch=epoch,
            lr=self._rate() * self.settings.peak_lr,
            train_loss=self._sums[0] / self._steps_an_epoch,
            train_accuracy=self._sums[1] / self._steps_an_epoch,
            seconds=time.perf_counter() - self._started,
        )
        if labels is not None:
            truth = self._val_y.cpu().numpy()
            matrix = metrics.confusion_matrix(truth, labels.argmax(1), len(EMOTIONS))
            row = replace(
                row,
                val_loss=metrics.negative_log_likelihood(labels, truth),
                val_accuracy=metrics.accuracy(truth, labels.argmax(1)),
                val_macro_f1=metrics.macro_f1(matrix),
            )
        if people is not None and self._val_votes is not None:
            votes = self._val_votes
            agreed = votes.majority >= 0
            predicted = people[:, : len(EMOTIONS)].argmax(1)
            matrix = metrics.confusion_matrix(votes.majority[agreed], predicted[agreed], len(EMOTIONS))
            row = replace(
                row,
                people_loss=metrics.cross_entropy(people[votes.known], votes.shares[votes.known]),
                people_accuracy=metrics.accuracy(votes.majority[agreed], predicted[agreed]),
                people_macro_f1=metrics.macro_f1(matrix),
            )
        return row

    def _train_epoch(self, epoch: int, on_step: OnStep, stop: StopRequest) -> None:
        """Train for one epoch, or for the rest of it after a resume."""
        shuffled = torch.Generator().manual_seed(self.settings.seed * 100_003 + epoch)
        order = torch.randperm(len(self._train_y), generator=shuffled).to(self.device)
        self.network.train()
        size = self.settings.batch_size
        first = self._step - (epoch - 1) * self._steps_an_epoch
        for step in range(first, self._steps_an_epoch):
            loss, hits, stopping = self._train_step(epoch, order[step * size : (step + 1) * size], bool(stop))
            if not math.isfinite(loss):
                raise DeviceError(self._diverged(epoch, step))
            self._sums = [self._sums[0] + loss, self._sums[1] + hits]
            self._step += 1
            self._average()
            if stopping:
                self._save("last.pt")
                raise KeyboardInterrupt
            if time.monotonic() - self._saved_at > SAVE_EVERY_S:
                self._save("last.pt")
            on_step(epoch, step + 1, self._steps_an_epoch, self._sums[0] / (step + 1))

    def _diverged(self, epoch: int, step: int) -> str:
        """Return what to say where the loss is no longer a finite number: what is saved, and the cure."""
        last, best = self.folder / "last.pt", self.folder / "best.pt"
        saved = f"{last} holds the state before" if last.exists() else "nothing was saved yet"
        if best.exists():
            saved += f", {best} the best epoch"
        rates = {"peak_lr": self.settings.peak_lr} | (
            {"muon_lr": self.settings.muon_lr} if self.settings.optimiser == "muon" else {}
        )
        lower = " ".join(f"--set {key}={rate / 10:g}" for key, rate in rates.items())
        return (
            f"the loss is not a finite number at epoch {epoch}, step {step + 1}: training diverged; {saved}. "
            f"Start again in another folder with lower learning rates: {lower}"
        )

    def _train_step(self, epoch: int, index: Tensor, stop: bool) -> tuple[float, float, bool]:
        """Train on the images at ``index`` (B,); return loss, accuracy, and whether any process wants to stop."""
        settings, shard = self.settings, self._processes.shard
        seed = settings.seed * 1_000_003 + self._step
        torch.manual_seed(seed)  # dropout uses the global generator
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(len(index), DRAWS_PER_FACE, generator=generator)[shard].to(self.device)
        for_cutmix = torch.rand(4, generator=generator)
        noise = None
        total = self._train_w[index].sum()
        index = index[shard]
        size = settings.small_size if epoch <= settings.small_until * settings.epochs else self._train_x.shape[-1]
        if settings.augment.camera:
            noise = torch.randn(settings.batch_size, 1, size, size, generator=generator)[shard].to(self.device)
        faces = augment(self._train_x[index], settings.augment, draws, size, noise)  # (B, 1, size, size)
        targets, labels, weights = self._train_targets[index], self._train_y[index], self._train_w[index]
        people = self._train_people[index] if self._train_people is not None else None
        if for_cutmix[0] < settings.augment.cutmix:
            left, top, side = cutmix_box(for_cutmix[1:], size)
            half = len(index) // 2  # the partner, half a batch away, is in the same process for any number of processes
            faces[:, :, top : top + side, left : left + side] = faces.roll(half, 0)[:, :, top : top + side, left : left + side]
            share = (side / size) ** 2
            targets = (1 - share) * targets + share * targets.roll(half, 0)
            people = (1 - share) * people + share * people.roll(half, 0) if people is not None else None
        faces = faces.contiguous(memory_format=torch.channels_last)
        teacher_outputs = (
            self._teachers.probabilities(faces, settings.teacher_temperature) if self._teachers else TeacherOutputs(None, None)
        )
        with autocast(self.device):
            output = self.network(faces)
        losses = torch.zeros_like(weights)
        hits = torch.zeros((), device=self.device)
        if output.labels is not None:
            losses = losses + (1 - self._people_share) * head_losses(
                output.labels.float(), targets, teacher_outputs.labels, settings
            )
            hits = (output.labels.argmax(1) == labels).float().sum()
        if output.people is not None and people is not None:
            losses = losses + self._people_share * head_losses(output.people.float(), people, teacher_outputs.people, settings)
            hits = (output.people.argmax(1) == people.argmax(1)).float().sum()
        loss = (losses * weights).sum() / total
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        sums = torch.stack((loss.detach(), hits, torch.tensor(float(stop), device=self.device)))
        self._processes.all_reduce([p.grad for p in self.network.parameters() if p.grad is not None] + [sums])
        rate = self._rate()
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate
            optimiser.step()
        total_loss, hits, stops = sums.tolist()
        return total_loss, hits / settings.batch_size, stops > 0

    def _rate(self) -> float:
        """Return the current learning rate as a share of the peak."""
        return one_cycle(self._step, self.settings.epochs * self._steps_an_epoch, self.settings.warmup)

    @torch.no_grad()
    def _average(self) -> None:
        """Update the exponential moving average of the weights; its decay is lower in the first steps."""
        decay = min(self.settings.ema_decay, (1 + self._step) / (10 + self._step))
        now = self.network.state_dict()
        names = [name for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_([self._ema[name] for name in names], [now[name] for name in names], 1 - decay)

    @torch.no_grad()
    def predict_validation(self) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Return the averaged network's probabilities for the validation images.

        Returns:
            (N, 8) float64 of the people head and (N, 7) float64 of the label head, None without that head.
        """
        network = FaceNet(
            widths=self.settings.widths,
            blocks=self.settings.blocks,
            heads=self.network.heads,
            own_label_stage=self.network.label_stage is not None,
            input_size=self.settings.input_size,
        )
        network.load_state_dict(self._ema)
        placed(network, self.device).eval()
        people, labels = [], []
        for part in torch.split(self._val_x, 512):
            with autocast(self.device):
                output = network(part.contiguous(memory_format=torch.channels_last))
            people.append(output.people)
            labels.append(output.labels)
        return _probabilities(people), _probabilities(labels)

    def _save(self, *names: str) -> None:
        """Write the complete state to each file in ``names``; only the first process writes."""
        self._saved_at = time.monotonic()
        if not self._processes.is_first:
            return
        state = {
            "network": self.network.state_dict(),
            "ema": self._ema,
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "step": self._step,
            "sums": self._sums,
            "seconds": time.perf_counter() - self._started,
            "history": [asdict(row) for row in self.history],
            "settings": self.settings.as_dict(),
            "facts": self.facts,
        }
        for name in names:
            save_checkpoint(self.folder / name, state)


def _probabilities(parts: list[Tensor | None]) -> NDArray[np.float64] | None:
    """Return (N, K) float64 probabilities for one head's logits by batch; None without that head."""
    found = [F.softmax(logits.double(), 1).cpu() for logits in parts if logits is not None]
    return np.asarray(torch.cat(found).numpy()) if found else None


def _on_device(dataset: FaceDataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return faces (N, 1, 48, 48) uint8 and labels (N,) int64 on ``device``."""
    return torch.from_numpy(dataset.images)[:, None].to(device), torch.from_numpy(dataset.labels).to(device)


def _limited(dataset: FaceDataset, limit: int) -> NDArray[np.int64]:
    """Return the indices of ``limit`` images, evenly spaced in the order of classes; of all images if ``limit`` is 0."""
    if limit == 0 or limit >= len(dataset):
        return np.arange(len(dataset))
    by_class = np.argsort(dataset.labels, kind="stable")
    return np.asarray(by_class[np.linspace(0, len(dataset) - 1, limit).astype(np.int64)])


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those of the augmentation as ``augment.KEY``."""
    augment = {f"augment.{key}": value for key, value in settings.get("augment", {}).items()}
    return {key: value for key, value in settings.items() if key != "augment"} | augment


def _recipe_in(facts: Mapping[str, Any]) -> str:
    """Return the name of the recipe in a run's command, "" if there is none."""
    found = re.search(r"--recipe (.+?)(?= --|$)", str(facts.get("command", "")))
    return found[1] if found else ""
