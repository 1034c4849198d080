"""What a training run is made of: every number that shapes it, and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mien.errors import UsageError

WIDTHS: Final = (48, 96, 208)
"""Channels of the default network's three stages."""
BLOCKS: Final = (1, 2, 2)
"""Residual blocks of each stage."""
OPTIMISERS: Final = ("muon", "sgd")


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
        cutmix: share of batches in which each face gets a rectangle, and that share of the
            label, of another (Yun et al. 2019, arXiv:1905.04899).
    """

    rotation_deg: float = 10.0
    scale: float = 0.10
    shift: float = 0.06
    contrast: float = 0.20
    brightness: float = 20.0
    erase_probability: float = 0.2
    erase_size: tuple[float, float] = (0.15, 0.4)
    cutmix: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The recipe of one run.

    Attributes:
        epochs: passes over Training.
        batch_size: faces a step, over all processes together.
        optimiser: ``muon`` for the convolutions (see ``mien.training.muon``), ``sgd`` for the
            rest; or ``sgd`` for everything.
        peak_lr: highest learning rate of the one-cycle schedule (Smith 2018, arXiv:1803.09820).
        muon_lr: the same for what Muon trains: the share of its length that a filter moves a step.
        warmup: share of all steps on which the rate rises.
        weight_decay: L2 penalty on the weights that SGD trains; norms and biases have none.
        label_smoothing: probability mass spread over all classes.
        votes_share: how much of the target is the crowd's votes where there are any, 0 to 1.
        teacher_share: how much of the loss is agreement with the teachers where there are any, 0 to 1.
        teacher_temperature: softens the answers of teachers and student (Hinton et al. 2015, arXiv:1503.02531).
        teacher_mirror: teachers answer with the mean over a face and its mirror image, for twice their time.
        ema_decay: decay a step of the weight average that is evaluated and shipped.
        dropout: share of the embedding dropped.
        small_until: share of the epochs that see smaller pictures (progressive resizing).
        small_size: width and height of those, in pixels.
        seed: seeds weights, order and augmentation.
        limit: train on this many images only, drawn evenly by class order (0: all).
        widths: channels of the network's three stages.
        blocks: residual blocks of each stage.
    """

    epochs: int = 50
    batch_size: int = 128
    optimiser: str = "muon"
    peak_lr: float = 0.1
    muon_lr: float = 0.02
    warmup: float = 0.15
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    votes_share: float = 0.0
    teacher_share: float = 0.7
    teacher_temperature: float = 2.0
    teacher_mirror: bool = False
    ema_decay: float = 0.998
    dropout: float = 0.2
    small_until: float = 0.0
    small_size: int = 32
    seed: int = 0
    limit: int = 0
    widths: tuple[int, ...] = WIDTHS
    blocks: tuple[int, ...] = BLOCKS
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        rules: tuple[tuple[str, bool, str], ...] = (
            ("epochs", self.epochs >= 1, "a whole number from 1"),
            ("batch_size", self.batch_size >= 2, "a whole number from 2 (batch statistics need two)"),
            ("optimiser", self.optimiser in OPTIMISERS, " or ".join(OPTIMISERS)),
            ("peak_lr", self.peak_lr > 0, "above 0"),
            ("muon_lr", 0 < self.muon_lr < 1, "above 0 and below 1"),
            *((key, 0 <= getattr(self, key) <= 1, "0 to 1") for key in _SHARES),
            ("teacher_temperature", self.teacher_temperature > 0, "above 0"),
            ("small_size", self.small_size >= 16, "a whole number from 16"),
            ("limit", self.limit >= 0, "0 for all, or a number of images"),
            ("widths", len(self.widths) == 3 and min(self.widths) >= 8, "three numbers of channels from 8"),
            ("blocks", len(self.blocks) == 3 and min(self.blocks) >= 1, "three numbers of blocks from 1"),
        )
        for key, holds, rule in rules:
            if not holds:
                raise UsageError(f"training setting {key} is {getattr(self, key)}; it must be {rule}")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON and for comparison."""
        plain = asdict(self)
        plain["augment"]["erase_size"] = list(self.augment.erase_size)
        plain["widths"], plain["blocks"] = list(self.widths), list(self.blocks)
        return plain


_SHARES: Final = (
    "warmup",
    "label_smoothing",
    "votes_share",
    "teacher_share",
    "ema_decay",
    "dropout",
    "small_until",
)
