"""The training loop: one-cycle SGD on augmented batches, a weight average, the best epoch kept.

All images stay on the device as uint8; nothing is read from disk after the start. An epoch
draws everything from a generator seeded by (seed, epoch), so a run that was killed and
resumed walks the same way as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien import metrics
from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import BundleError, DeviceError, UsageError
from mien.training.augment import augment
from mien.training.checkpoint import load_checkpoint, save_checkpoint
from mien.training.network import FaceNet
from mien.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One line of the history; losses in nats, accuracies 0 to 1."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_macro_f1: float
    seconds: float


OnStep = Callable[[int, int, int, float], None]
"""Called with (epoch from 1, step from 1, steps an epoch, running loss)."""
OnEpoch = Callable[[EpochRow, bool], None]
"""Called with the finished row and whether it is the best so far."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the device to train on: CUDA where there is one, else the CPU.

    Raises:
        UsageError: not one of auto, cpu, cuda.
        DeviceError: CUDA was asked for and is not there.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("CUDA was asked for, and this PyTorch finds no CUDA device. Use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


class Trainer:
    """One run: built from data and settings, optionally continued from ``last.pt``, then ``run``.

    Args:
        train: images to learn from.
        validation: images the best epoch is chosen on.
        settings: the recipe.
        folder: where ``last.pt`` and ``best.pt`` are kept.
        device: where to compute.
        facts: plain values kept in each checkpoint (data hash, revision, command).
    """

    def __init__(
        self,
        train: FaceDataset,
        validation: FaceDataset,
        settings: TrainSettings,
        folder: Path,
        device: torch.device,
        facts: dict[str, Any],
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.folder, self.device, self.facts = settings, folder, device, facts
        train = _limited(train, settings.limit)
        self._train_x, self._train_y = _on_device(train, device)
        self._train_w = torch.from_numpy(train.weights).to(device)
        self._val_x, self._val_y = _on_device(validation, device)
        if len(self._train_y) < settings.batch_size:
            raise UsageError(f"batch_size is {settings.batch_size}, and there are only {len(self._train_y)} images to train on")
        self.network = _placed(FaceNet(settings.dropout, settings.widths), device)
        self._ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self._optimiser = torch.optim.SGD(_parameter_groups(self.network, settings.weight_decay), 1.0, 0.9, nesterov=True)
        self._steps_an_epoch = len(self._train_y) // settings.batch_size
        self._step = 0
        self.history: list[EpochRow] = []

    @property
    def images(self) -> int:
        """Number of images an epoch walks over."""
        return len(self._train_y)

    def resume(self) -> None:
        """Continue from ``last.pt``.

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
        for fact, what in (("dataset_hash", "data"), ("split_file", "decisions"), ("folds", "folds")):
            if state["facts"].get(fact) != self.facts.get(fact):
                raise UsageError(f"cannot resume {path} on other {what} ({fact} differs). Use the same, or another --out")
        try:
            self.network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"{path} does not fit this version's network. Start anew with another --out") from error
        self._ema = {name: value.to(self.device) for name, value in state["ema"].items()}
        self.history = [EpochRow(**row) for row in state["history"]]
        self._step = len(self.history) * self._steps_an_epoch

    def run(self, on_step: OnStep, on_epoch: OnEpoch) -> list[EpochRow]:
        """Train until the last epoch; return the history.

        Raises:
            DeviceError: the loss is no longer a finite number.
        """
        for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
            started = time.perf_counter()
            loss, train_accuracy = self._train_epoch(epoch, on_step)
            probabilities = self.predict_validation()
            labels = self._val_y.cpu().numpy()
            matrix = metrics.confusion_matrix(labels, probabilities.argmax(1), len(EMOTIONS))
            row = EpochRow(
                epoch=epoch,
                lr=self._lr(),
                train_loss=loss,
                train_accuracy=train_accuracy,
                val_loss=metrics.negative_log_likelihood(probabilities, labels),
                val_accuracy=metrics.accuracy(labels, probabilities.argmax(1)),
                val_macro_f1=metrics.macro_f1(matrix),
                seconds=time.perf_counter() - started,
            )
            is_best = all(row.val_accuracy > past.val_accuracy for past in self.history)
            self.history.append(row)
            self._save("best.pt" if is_best else None)
            on_epoch(row, is_best)
        return self.history

    def _train_epoch(self, epoch: int, on_step: OnStep) -> tuple[float, float]:
        """Walk once over Training; return mean loss and accuracy on the augmented batches."""
        generator = torch.Generator().manual_seed(self.settings.seed * 100_003 + epoch)
        torch.manual_seed(self.settings.seed * 100_003 + epoch)  # dropout draws from the global one
        order = torch.randperm(len(self._train_y), generator=generator).to(self.device)
        self.network.train()
        loss_sum = hits = 0.0
        size = self.settings.batch_size
        for step in range(self._steps_an_epoch):
            index = order[step * size : (step + 1) * size]
            faces = augment(self._train_x[index], self.settings.augment, generator)  # (B, 1, 48, 48)
            labels = self._train_y[index]
            for group in self._optimiser.param_groups:
                group["lr"] = self._lr()
            with torch.autocast(self.device.type, torch.bfloat16):
                logits, _ = self.network(faces.contiguous(memory_format=torch.channels_last))
            losses = F.cross_entropy(logits.float(), labels, label_smoothing=self.settings.label_smoothing, reduction="none")
            weights = self._train_w[index]
            loss = (losses * weights).sum() / weights.sum()
            self._optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self._optimiser.step()
            self._step += 1
            self._average()
            loss_sum += float(loss.detach())
            hits += float((logits.argmax(1) == labels).float().mean())
            if not math.isfinite(loss_sum):
                raise DeviceError(f"the loss is not a finite number at epoch {epoch}; last.pt holds the epoch before")
            on_step(epoch, step + 1, self._steps_an_epoch, loss_sum / (step + 1))
        return loss_sum / self._steps_an_epoch, hits / self._steps_an_epoch

    def _lr(self) -> float:
        """Return the rate at the current step: linear up, then half a cosine down to 0."""
        total = self.settings.epochs * self._steps_an_epoch
        rising = max(1.0, self.settings.warmup * total)
        if self._step < rising:
            return self.settings.peak_lr * (self._step + 1) / rising
        share = min(1.0, (self._step - rising) / max(1.0, total - rising))
        return self.settings.peak_lr * 0.5 * (1 + math.cos(math.pi * share))

    @torch.no_grad()
    def _average(self) -> None:
        """Move the weight average towards the network; the first steps count more."""
        decay = min(self.settings.ema_decay, (1 + self._step) / (10 + self._step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self._ema[name].lerp_(value, 1 - decay)
            else:
                self._ema[name].copy_(value)

    @torch.no_grad()
    def predict_validation(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Return (N, 7) probabilities of the averaged network on the validation images."""
        network = _placed(FaceNet(widths=self.settings.widths), self.device)
        network.load_state_dict(self._ema)
        network.eval()
        parts = []
        for part in torch.split(self._val_x, 512):
            with torch.autocast(self.device.type, torch.bfloat16):
                logits, _ = network(part.contiguous(memory_format=torch.channels_last))
            parts.append(F.softmax(logits.double(), 1).cpu())
        return torch.cat(parts).numpy()

    def _save(self, also_as: str | None) -> None:
        """Write ``last.pt``, and the same state under a second name where one is given."""
        state = {
            "network": self.network.state_dict(),
            "ema": self._ema,
            "optimiser": self._optimiser.state_dict(),
            "history": [asdict(row) for row in self.history],
            "settings": self.settings.as_dict(),
            "facts": self.facts,
        }
        for name in filter(None, (also_as, "last.pt")):
            save_checkpoint(self.folder / name, state)


def _on_device(dataset: FaceDataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return (faces (N, 1, 48, 48) uint8, labels (N,) int64) on ``device``."""
    return torch.from_numpy(dataset.images)[:, None].to(device), torch.from_numpy(dataset.labels).to(device)


def _limited(dataset: FaceDataset, limit: int) -> FaceDataset:
    """Return every k-th image so that about ``limit`` remain, classes in proportion."""
    if limit == 0 or limit >= len(dataset):
        return dataset
    by_class = np.argsort(dataset.labels, kind="stable")
    return dataset.take(by_class[np.linspace(0, len(dataset) - 1, limit).astype(np.int64)])


def _placed(network: FaceNet, device: torch.device) -> FaceNet:
    """Return the network on ``device``, with channels last in memory, which is faster everywhere."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # stubs lack it


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return weights with decay and norms and biases without."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
