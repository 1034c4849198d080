"""Training settings and their validation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mien.errors import UsageError
from mien.preprocess import INPUT_SIZE

WIDTHS: Final = (48, 96, 208)
"""Channels of the default network's three stages."""
BLOCKS: Final = (1, 2, 2)
"""Residual blocks of each stage."""
INPUT_SIZES: Final = range(INPUT_SIZE, 513, 8)
"""Widths and heights in pixels to which a network may enlarge its faces."""
OPTIMISERS: Final = ("muon", "sgd")
MAX_SEED: Final = 2**31 - 1
MAX_COUNT: Final = 10**9
MAX_WIDTH: Final = 4096
MAX_BLOCKS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentSettings:
    """Strength of the augmentations.

    Attributes:
        rotation_deg: maximum rotation in degrees, in either direction.
        scale: maximum change of size: the factor is 1 - ``scale`` to 1 + ``scale``.
        shift: maximum translation as a share of the width.
        contrast: maximum change of contrast: the factor is 1 - ``contrast`` to 1 + ``contrast``.
        brightness: maximum change of brightness in grey levels, of 255.
        erase_probability: probability of random erasing, 0 to 1.
        erase_size: minimum and maximum side of the erased rectangle as a share of the width.
        cutmix: share of batches with CutMix, 0 to 1 (Yun et al. 2019, arXiv:1905.04899).
        camera: probability of each camera effect, 0 to 1: lighting, resolution, blur, noise, sharpening, JPEG
            (``mien.training.camera``).
    """

    rotation_deg: float = 10.0
    scale: float = 0.10
    shift: float = 0.06
    contrast: float = 0.20
    brightness: float = 20.0
    erase_probability: float = 0.2
    erase_size: tuple[float, float] = (0.15, 0.4)
    cutmix: float = 0.0
    camera: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Settings of one training run.

    Attributes:
        epochs: passes over Training.
        batch_size: faces per step, over all processes.
        optimiser: ``muon`` for the convolutions (see ``mien.training.muon``) and SGD for the rest, or ``sgd`` for all.
        peak_lr: peak learning rate of SGD in the one-cycle schedule (Smith 2018, arXiv:1803.09820).
        muon_lr: peak learning rate of Muon: length of a step relative to the length of the weights.
        warmup: share of the steps with a rising learning rate, 0 to 1.
        weight_decay: L2 penalty on the weights trained by SGD, except norms and biases.
        label_smoothing: share of FER2013's label that is spread over all classes, 0 to 1; votes are not smoothed.
        people_share: weight of the people head in the loss if there are votes, 0 to 1; the rest is the label head's.
            Without votes, only the label head is trained; with a share of 1, there is no label head.
        teacher_share: weight of the distillation loss if there are teachers, 0 to 1.
        teacher_temperature: temperature of the distillation (Hinton et al. 2015, arXiv:1503.02531).
        teacher_mirror: average the teachers' predictions over a face and its mirror image, which takes twice the time.
        ema_decay: decay per step of the averaged weights, which are evaluated and exported.
        dropout: dropout probability of the embedding.
        small_until: share of the epochs that use smaller images (progressive resizing).
        small_size: width and height of the smaller images in pixels.
        seed: seed of weights, order and augmentation.
        limit: number of training images, evenly spaced in the order of classes; 0 for all.
        widths: channels of the network's three stages.
        blocks: residual blocks of each stage.
        input_size: width and height in pixels to which the network enlarges a 48-pixel face. More than 48 makes a stronger and
            slower network, which can only be a teacher.
        own_label_stage: whether the label head has its own last stage instead of sharing the people head's.
        only_labels: fine-tune only the label head and its own stage; the people head's output does not change.
    """

    epochs: int = 50
    batch_size: int = 128
    optimiser: str = "muon"
    peak_lr: float = 0.1
    muon_lr: float = 0.02
    warmup: float = 0.15
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    people_share: float = 0.6
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
    input_size: int = INPUT_SIZE
    own_label_stage: bool = False
    only_labels: bool = False
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        for key, value, rule in broken_rules(self):
            raise UsageError(f"training setting {key} is {value}; it must be {rule}")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON and for comparison."""
        plain = asdict(self)
        plain["augment"]["erase_size"] = list(self.augment.erase_size)
        plain["widths"], plain["blocks"] = list(self.widths), list(self.blocks)
        return plain


_SHARES: Final = (
    "warmup",
    "label_smoothing",
    "people_share",
    "teacher_share",
    "small_until",
)


def broken_rules(settings: Any) -> list[tuple[str, Any, str]]:
    """Return key, value and rule of every invalid setting.

    Args:
        settings: an object with the attributes of ``TrainSettings``.
    """
    one = settings
    rules: tuple[tuple[str, bool, str], ...] = (
        ("epochs", 1 <= one.epochs <= MAX_COUNT, f"1 to {MAX_COUNT}"),
        ("batch_size", 2 <= one.batch_size <= MAX_COUNT, f"2 (batch statistics need two faces) to {MAX_COUNT}"),
        ("optimiser", one.optimiser in OPTIMISERS, " or ".join(OPTIMISERS)),
        ("peak_lr", one.peak_lr > 0, "above 0"),
        ("muon_lr", 0 < one.muon_lr < 1, "above 0 and below 1"),
        *((key, 0 <= getattr(one, key) <= 1, "0 to 1") for key in _SHARES),
        ("weight_decay", one.weight_decay >= 0, "0 or more"),
        ("seed", 0 <= one.seed <= MAX_SEED, f"0 to {MAX_SEED}"),
        *((key, 0 <= getattr(one, key) < 1, "0 or more and below 1") for key in ("ema_decay", "dropout")),
        ("teacher_temperature", one.teacher_temperature > 0, "above 0"),
        ("small_size", one.small_size >= 16 and one.small_size % 8 == 0, "a multiple of 8, 16 or more"),
        ("input_size", one.input_size in INPUT_SIZES, f"a multiple of 8, {INPUT_SIZES[0]} to {INPUT_SIZES[-1]}"),
        ("limit", 0 <= one.limit <= MAX_COUNT, f"0 (all images) to {MAX_COUNT}"),
        ("widths", _three(one.widths, 8, MAX_WIDTH), f"three numbers, 8 to {MAX_WIDTH}"),
        ("only_labels", one.own_label_stage or not one.only_labels, "false without own_label_stage"),
        ("people_share", one.people_share < 1 or not one.own_label_stage, "below 1 with own_label_stage"),
        ("blocks", _three(one.blocks, 1, MAX_BLOCKS), f"three numbers, 1 to {MAX_BLOCKS}"),
    )
    broken = [(key, getattr(one, key), rule) for key, holds, rule in rules if not holds]
    more = settings.augment
    limits: tuple[tuple[str, bool, str], ...] = (
        *((key, 0 <= getattr(more, key) <= 1, "0 to 1") for key in ("contrast", "erase_probability", "cutmix", "camera")),
        ("rotation_deg", 0 <= more.rotation_deg <= 180, "0 to 180"),
        ("scale", 0 <= more.scale < 1, "0 or more and below 1"),
        ("shift", 0 <= more.shift <= 1, "0 to 1"),
        ("brightness", 0 <= more.brightness <= 255, "0 to 255"),
        (
            "erase_size",
            len(more.erase_size) == 2 and 0 <= min(more.erase_size) <= max(more.erase_size) <= 1,
            "two numbers, 0 to 1",
        ),
    )
    return broken + [(f"augment.{key}", getattr(more, key), rule) for key, holds, rule in limits if not holds]


def _three(values: tuple[int, ...], least: int, most: int) -> bool:
    return len(values) == 3 and least <= min(values) <= max(values) <= most
