"""What a training run is made of: every number that shapes it, and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mien.errors import UsageError

WIDTHS: Final = (48, 96, 192)
"""Channels of the default network's three stages."""


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How far a face is moved, turned, lit and covered.

    Attributes:
        rotation_deg: turn drawn from plus or minus this.
        scale: zoom drawn from 1 minus to 1 plus this.
        shift: move drawn from plus or minus this share of the width.
        contrast: contrast factor drawn from 1 minus to 1 plus this.
        brightness: grey levels added, drawn from plus or minus this (of 255).
        erase_probability: share of faces with one covered rectangle.
        erase_size: side of that rectangle as a share of the width, smallest and largest.
    """

    rotation_deg: float = 15.0
    scale: float = 0.15
    shift: float = 0.10
    contrast: float = 0.25
    brightness: float = 25.0
    erase_probability: float = 0.4
    erase_size: tuple[float, float] = (0.15, 0.4)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The recipe of one run.

    Attributes:
        epochs: passes over Training.
        batch_size: faces a step.
        peak_lr: highest learning rate of the one-cycle schedule (Smith 2018, arXiv:1803.09820).
        warmup: share of all steps on which the rate rises.
        weight_decay: L2 penalty on convolution and matrix weights; norms and biases have none.
        label_smoothing: probability mass spread over all classes.
        ema_decay: decay a step of the weight average that is evaluated and shipped.
        dropout: share of the embedding dropped.
        seed: seeds weights, order and augmentation.
        limit: train on this many images only, drawn evenly by class order (0: all).
        widths: channels of the network's three stages.
    """

    epochs: int = 50
    batch_size: int = 128
    peak_lr: float = 0.1
    warmup: float = 0.15
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    ema_decay: float = 0.998
    dropout: float = 0.2
    seed: int = 0
    limit: int = 0
    widths: tuple[int, ...] = WIDTHS
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        rules: tuple[tuple[str, bool, str], ...] = (
            ("epochs", self.epochs >= 1, "a whole number from 1"),
            ("batch_size", self.batch_size >= 2, "a whole number from 2 (batch statistics need two)"),
            ("peak_lr", self.peak_lr > 0, "above 0"),
            ("limit", self.limit >= 0, "0 for all, or a number of images"),
            ("widths", len(self.widths) == 3 and min(self.widths) >= 8, "three numbers of channels from 8"),
        )
        for key, holds, rule in rules:
            if not holds:
                raise UsageError(f"training setting {key} is {getattr(self, key)}; it must be {rule}")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON and for comparison."""
        plain = asdict(self)
        plain["augment"]["erase_size"] = list(self.augment.erase_size)
        plain["widths"] = list(self.widths)
        return plain
