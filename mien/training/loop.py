"""The training loop: one-cycle steps on augmented batches, a weight average, the best epoch kept.

All images stay on the device as uint8; nothing is read from disk after the start. A step
draws everything from generators seeded by (seed, epoch) and (seed, step), so a run that was
stopped at any step and resumed walks the same way as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mien import metrics
from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import BundleError, DeviceError, UsageError
from mien.history import EpochRow
from mien.training.augment import DRAWS_A_FACE, augment, cutmix_box
from mien.training.checkpoint import load_checkpoint, save_checkpoint
from mien.training.network import FaceNet, placed
from mien.training.optimisers import build_optimisers, one_cycle
from mien.training.processes import Processes, share_batch_norms
from mien.training.settings import TrainSettings
from mien.training.stopping import StopWish, noticing_stop
from mien.training.targets import Teachers, label_rows, losses

ALONE: Final = Processes()
SAVE_EVERY_S: Final = 60.0
"""Longest time whose work a kill may lose."""

RESUMED_FACTS: Final = (
    ("dataset_hash", "data"),
    ("split_file", "decisions"),
    ("folds", "folds"),
    ("votes", "votes"),
    ("teachers", "teachers"),
    ("start", "first weights"),
)
"""What must be the same when a run goes on, and how errors call it."""

OnStep = Callable[[int, int, int, float], None]
"""Called with (epoch from 1, step from 1, steps an epoch, mean loss of the epoch so far)."""
OnEpoch = Callable[[EpochRow, bool], None]
"""Called with the finished row and whether it is the best so far."""


class Trainer:
    """One run: built from data and settings, optionally continued from ``last.pt``, then ``run``.

    Args:
        train: images to learn from.
        validation: images the best epoch is chosen on.
        settings: the recipe.
        folder: where ``last.pt`` and ``best.pt`` are kept.
        device: where to compute.
        facts: plain values kept in each checkpoint (data hash, revision, command).
        rows: (N, 7) target distributions of ``train``; None takes its labels.
        teachers: checkpoints of networks to learn from as well.
        processes: this process among those that share the run.
        start: a network of the settings' shape whose weights to begin with; None for fresh ones.
    """

    def __init__(
        self,
        train: FaceDataset,
        validation: FaceDataset,
        settings: TrainSettings,
        folder: Path,
        device: torch.device,
        facts: dict[str, Any],
        rows: NDArray[np.float32] | None = None,
        teachers: Teachers | None = None,
        processes: Processes = ALONE,
        start: FaceNet | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.folder, self.device, self.facts = settings, folder, device, facts
        self._teachers, self._processes = teachers, processes
        if rows is None:
            rows = label_rows(train, settings)
        chosen = _limited(train, settings.limit)
        train = train.take(chosen)
        self._train_x, self._train_y = _on_device(train, device)
        self._train_rows = torch.from_numpy(rows[chosen]).to(device)
        self._train_w = torch.from_numpy(train.weights).to(device)
        self._val_x, self._val_y = _on_device(validation, device)
        if len(self._train_y) < settings.batch_size:
            raise UsageError(f"batch_size is {settings.batch_size}, and there are only {len(self._train_y)} images to train on")
        if processes.count > 1 and settings.batch_size % (2 * processes.count):
            rule = f"{processes.count} processes need a multiple of {2 * processes.count}"
            raise UsageError(f"batch_size is {settings.batch_size}; {rule}")
        self.network = placed(start or FaceNet(settings.dropout, settings.widths, settings.blocks), device)
        self._optimisers = build_optimisers(self.network, settings)
        self._ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        if processes.count > 1:
            share_batch_norms(self.network)
        self._steps_an_epoch = len(self._train_y) // settings.batch_size
        self._step = 0
        self._sums = [0.0, 0.0]  # losses and hits of the epoch so far
        self._seconds = 0.0  # time of the epoch before the last stop
        self._started = time.perf_counter()
        self._saved_at = time.monotonic()
        self.history: list[EpochRow] = []

    @property
    def images(self) -> int:
        """Number of images an epoch walks over."""
        return len(self._train_y)

    @property
    def step(self) -> int:
        """Number of steps done."""
        return self._step

    def resume(self) -> None:
        """Continue from ``last.pt``, at the step where it was written.

        Raises:
            UsageError: that run had other settings or other data.
            BundleError: the file is broken.
        """
        path = self.folder / "last.pt"
        state = load_checkpoint(path)
        ours = self.settings.as_dict()
        other = [key for key in ours if ours[key] != state["settings"].get(key)]
        if other:
            changes = "; ".join(f"{key} was {state['settings'].get(key)}, now {ours[key]}" for key in other)
            raise UsageError(f"cannot resume {path} with other settings ({changes}). Use the same, or another --out")
        for fact, what in RESUMED_FACTS:
            if (state["facts"].get(fact) or None) != (self.facts.get(fact) or None):  # older runs lack newer facts
                raise UsageError(f"cannot resume {path} on other {what} ({fact} differs). Use the same, or another --out")
        try:
            self.network.load_state_dict(state["network"])
            for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self._ema = {name: value.to(self.device) for name, value in state["ema"].items()}
            self.history = [EpochRow(**row) for row in state["history"]]
            self._step, self._sums, self._seconds = state["step"], state["sums"], state["seconds"]
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} does not fit this version's network. Start anew with another --out") from error

    def run(self, on_step: OnStep, on_epoch: OnEpoch) -> list[EpochRow]:
        """Train until the last epoch; return the history.

        Ctrl-C and SIGTERM end it between two steps, after everything is saved.

        Raises:
            DeviceError: the loss is no longer a finite number.
            KeyboardInterrupt: a stop was asked for.
        """
        with noticing_stop() as stop:
            for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
                self._started = time.perf_counter() - self._seconds
                self._train_epoch(epoch, on_step, stop)
                probabilities = self.predict_validation()
                labels = self._val_y.cpu().numpy()
                matrix = metrics.confusion_matrix(labels, probabilities.argmax(1), len(EMOTIONS))
                row = EpochRow(
                    epoch=epoch,
                    lr=self._rate() * self.settings.peak_lr,
                    train_loss=self._sums[0] / self._steps_an_epoch,
                    train_accuracy=self._sums[1] / self._steps_an_epoch,
                    val_loss=metrics.negative_log_likelihood(probabilities, labels),
                    val_accuracy=metrics.accuracy(labels, probabilities.argmax(1)),
                    val_macro_f1=metrics.macro_f1(matrix),
                    seconds=time.perf_counter() - self._started,
                )
                is_best = all(row.val_accuracy > past.val_accuracy for past in self.history)
                self.history.append(row)
                self._sums, self._seconds, self._started = [0.0, 0.0], 0.0, time.perf_counter()
                self._save(*(("best.pt",) if is_best else ()), "last.pt")
                on_epoch(row, is_best)
        return self.history

    def _train_epoch(self, epoch: int, on_step: OnStep, stop: StopWish) -> None:
        """Walk over Training once, or over what is left of it after a resume."""
        shuffled = torch.Generator().manual_seed(self.settings.seed * 100_003 + epoch)
        order = torch.randperm(len(self._train_y), generator=shuffled).to(self.device)
        self.network.train()
        size = self.settings.batch_size
        first = self._step - (epoch - 1) * self._steps_an_epoch
        for step in range(first, self._steps_an_epoch):
            loss, hits, stopping = self._train_step(epoch, order[step * size : (step + 1) * size], bool(stop))
            if not math.isfinite(loss):
                raise DeviceError(f"the loss is not a finite number at epoch {epoch}; last.pt holds the last good state")
            self._sums = [self._sums[0] + loss, self._sums[1] + hits]
            self._step += 1
            self._average()
            if stopping:
                self._save("last.pt")
                raise KeyboardInterrupt
            if time.monotonic() - self._saved_at > SAVE_EVERY_S:
                self._save("last.pt")
            on_step(epoch, step + 1, self._steps_an_epoch, self._sums[0] / (step + 1))

    def _train_step(self, epoch: int, index: Tensor, stop: bool) -> tuple[float, float, bool]:
        """Learn from the images at ``index`` (B,); return loss, share of hits, and whether any process wants to stop."""
        settings, mine = self.settings, self._processes.share
        seed = settings.seed * 1_000_003 + self._step
        torch.manual_seed(seed)  # dropout draws from the global generator
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(len(index), DRAWS_A_FACE, generator=generator)[mine].to(self.device)
        for_cutmix = torch.rand(4, generator=generator)
        total = self._train_w[index].sum()
        index = index[mine]
        size = settings.small_size if epoch <= settings.small_until * settings.epochs else self._train_x.shape[-1]
        faces = augment(self._train_x[index], settings.augment, draws, size)  # (B, 1, size, size)
        rows, labels, weights = self._train_rows[index], self._train_y[index], self._train_w[index]
        if for_cutmix[0] < settings.augment.cutmix:
            left, top, side = cutmix_box(for_cutmix[1:], size)
            half = len(index) // 2  # a partner half a batch away is in the same process, however many there are
            faces[:, :, top : top + side, left : left + side] = faces.roll(half, 0)[:, :, top : top + side, left : left + side]
            share = (side / size) ** 2
            rows = (1 - share) * rows + share * rows.roll(half, 0)
        faces = faces.contiguous(memory_format=torch.channels_last)
        taught = self._teachers.probabilities(faces, settings.teacher_temperature) if self._teachers else None
        with torch.autocast(self.device.type, torch.bfloat16):
            logits, _ = self.network(faces)
        loss = (losses(logits.float(), rows, taught, settings) * weights).sum() / total
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        sums = torch.stack(
            (loss.detach(), (logits.argmax(1) == labels).float().sum(), torch.tensor(float(stop), device=self.device))
        )
        self._processes.add_up([p.grad for p in self.network.parameters() if p.grad is not None] + [sums])
        rate = self._rate()
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate
            optimiser.step()
        total_loss, hits, stops = sums.tolist()
        return total_loss, hits / settings.batch_size, stops > 0

    def _rate(self) -> float:
        """Return the current share of the peak learning rate."""
        return one_cycle(self._step, self.settings.epochs * self._steps_an_epoch, self.settings.warmup)

    @torch.no_grad()
    def _average(self) -> None:
        """Move the weight average towards the network; the first steps count more."""
        decay = min(self.settings.ema_decay, (1 + self._step) / (10 + self._step))
        now = self.network.state_dict()
        names = [name for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_([self._ema[name] for name in names], [now[name] for name in names], 1 - decay)

    @torch.no_grad()
    def predict_validation(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Return (N, 7) probabilities of the averaged network on the validation images."""
        network = placed(FaceNet(widths=self.settings.widths, blocks=self.settings.blocks), self.device)
        network.load_state_dict(self._ema)
        network.eval()
        parts = []
        for part in torch.split(self._val_x, 512):
            with torch.autocast(self.device.type, torch.bfloat16):
                logits, _ = network(part.contiguous(memory_format=torch.channels_last))
            parts.append(F.softmax(logits.double(), 1).cpu())
        return torch.cat(parts).numpy()

    def _save(self, *names: str) -> None:
        """Write the whole state under each name, last.pt last; the first process does so."""
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


def _on_device(dataset: FaceDataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return (faces (N, 1, 48, 48) uint8, labels (N,) int64) on ``device``."""
    return torch.from_numpy(dataset.images)[:, None].to(device), torch.from_numpy(dataset.labels).to(device)


def _limited(dataset: FaceDataset, limit: int) -> NDArray[np.int64]:
    """Return the positions of every k-th image so that about ``limit`` remain, classes in proportion."""
    if limit == 0 or limit >= len(dataset):
        return np.arange(len(dataset))
    by_class = np.argsort(dataset.labels, kind="stable")
    return np.asarray(by_class[np.linspace(0, len(dataset) - 1, limit).astype(np.int64)])
