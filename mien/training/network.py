"""The network: a small residual net with squeeze-and-excitation for 48x48 grey faces.

                                                       recipe default   tiny
    faces (N, 1, 48, 48) uint8
      -> standardise                                   inside the network, so it cannot be forgotten
      -> 3x3 convolution, stride 2                     (N, 48, 24, 24)  32 channels
      -> stage 1: 1 residual block                     (N, 48, 24, 24)  32
      -> stage 2: 2 residual blocks, stride 2          (N, 96, 12, 12)  48
      -> stage 3: 2 residual blocks, stride 2          (N, 208, 6, 6)   80
      -> mean over space: the embedding                (N, 208)         80
      -> linear: the people head                       (N, 8)           8   the seven and "none of them"
      -> linear: the label head                        (N, 7)           7   with ``own_label_stage``, on top of its
                                                                            own copy of stage 3

default: 1,738,641 parameters and 115,875,056 multiply-adds per face (convolutions and linear layers).
tiny: 315,107 parameters and 29,561,520 multiply-adds per face.
The trunk of mien-s was trained with the recipes student and finetune, that of mien-xs with distil; both bundles were
then fine-tuned with the recipe people.
Residual blocks after He et al. 2016 (arXiv:1512.03385), squeeze-and-excitation after
Hu et al. 2018 (arXiv:1709.01507).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.modelcard import FER2013, PEOPLE
from mien.preprocess import INPUT_SIZE
from mien.training.settings import BLOCKS, INPUT_SIZES, WIDTHS

PIXEL_MEAN: Final = 129.4
PIXEL_STD: Final = 65.0
"""Mean and standard deviation of FER2013's Training pixels, 0 to 255."""


PEOPLE_CLASSES: Final = len(EMOTIONS) + 1
"""Classes of the people head: the seven expressions and "none of them" (contempt, unknown, not a face)."""


class Logits(NamedTuple):
    """Output of a network.

    Attributes:
        people: (N, 8) logits of the people head; None without that head.
        labels: (N, 7) logits of the label head; None without that head.
        embedding: (N, D) input of the first head.
    """

    people: Tensor | None
    labels: Tensor | None
    embedding: Tensor


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the means of all channels."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C, H, W)
        weights = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))  # (N, C)
        return x * weights[:, :, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the residual branch is initialised to zero."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.attend = SqueezeExcite(channels)
        nn.init.zeros_(self.norm2.weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride), nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:  # (N, C_in, H, W) -> (N, C, H/stride, W/stride)
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.attend(self.norm2(self.conv2(y)))
        return F.relu(y + self.shortcut(x))


class FaceNet(nn.Module):
    """Expression logits and an embedding from raw grey face crops.

    Args:
        dropout: dropout probability of the embedding, 0 to 1.
        widths: channels of the three stages.
        blocks: residual blocks of each stage.
        heads: ``PEOPLE``, ``FER2013``, or both.
        own_label_stage: whether the label head has its own last stage.
        input_size: width and height in pixels to which 48-pixel faces are enlarged, a multiple of 8.

    Attributes:
        only_labels: whether only the label head and its own stage are trained; see ``train_only_labels``.
        freeze_statistics: whether batch normalisation uses the running statistics during training as well, so that a few
            new faces do not change the normalisation of the others.
    """

    def __init__(
        self,
        dropout: float = 0.2,
        widths: tuple[int, ...] = WIDTHS,
        blocks: tuple[int, ...] = BLOCKS,
        heads: Sequence[str] = (PEOPLE, FER2013),
        own_label_stage: bool = False,
        input_size: int = INPUT_SIZE,
    ) -> None:
        super().__init__()
        self.widths, self.depths, self.input_size = widths, blocks, input_size
        self.freeze_statistics = self.only_labels = False
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
        layers: list[nn.Module] = []
        channels = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(ResidualBlock(channels, width, stride))
                channels = width
        self.blocks = nn.Sequential(*layers)
        self.label_stage: nn.Sequential | None = None
        self.dropout = nn.Dropout(dropout)
        self.people = nn.Linear(channels, PEOPLE_CLASSES) if PEOPLE in heads else None
        self.labels = nn.Linear(channels, len(EMOTIONS)) if FER2013 in heads else None
        if own_label_stage:
            self.add_label_stage()

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the network's heads, ``PEOPLE`` first."""
        return tuple(name for name, head in ((PEOPLE, self.people), (FER2013, self.labels)) if head is not None)

    def add_people_head(self) -> None:
        """Add a people head to a network with only a label head, initialised with the label head's weights."""
        assert self.labels is not None
        self.people = nn.Linear(self.labels.in_features, PEOPLE_CLASSES)
        with torch.no_grad():
            nn.init.zeros_(self.people.weight)
            nn.init.constant_(self.people.bias, -2.0)
            self.people.weight[: len(EMOTIONS)] = self.labels.weight
            self.people.bias[: len(EMOTIONS)] = self.labels.bias

    def add_label_stage(self) -> None:
        """Give the label head its own last stage, initialised as a copy of the shared one.

        People's votes and FER2013's labels are conflicting objectives for a shared last stage.
        """
        assert self.labels is not None
        self.label_stage = nn.Sequential(*copy.deepcopy(list(self.blocks)[self._shared :]))

    def drop_label_head(self) -> None:
        """Remove the label head and its own stage."""
        self.labels = self.label_stage = None

    def train_only_labels(self) -> None:
        """Freeze everything except the label head and its own stage; the people head's output does not change."""
        assert self.label_stage is not None
        assert self.labels is not None
        self.only_labels = True
        trained = {id(weight) for part in (self.label_stage, self.labels) for weight in part.parameters()}
        for weight in self.parameters():
            weight.requires_grad_(id(weight) in trained)

    def train(self, mode: bool = True) -> FaceNet:
        """Set training or evaluation mode, subject to ``freeze_statistics`` and ``only_labels``."""
        super().train(mode)
        if self.only_labels:
            self.stem.eval()
            self.blocks.eval()
        if self.freeze_statistics:
            for layer in self.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
        return self

    def forward(self, faces: Tensor) -> Logits:
        """Return logits and embedding for faces (N, 1, H, W), 0 to 255, of any dtype."""
        features, label_features = self.features(faces)
        embedding = features.mean((2, 3))  # (N, D)
        seen = self.dropout(embedding)
        seen_by_labels = seen if label_features is features else self.dropout(label_features.mean((2, 3)))
        people = self.people(seen) if self.people is not None else None
        labels = self.labels(seen_by_labels) if self.labels is not None else None
        return Logits(people, labels, embedding)

    def features(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return the feature maps (N, D, H/8, W/8) of the first head and of the label head, for faces as in ``forward``.

        Without ``own_label_stage`` both are the same tensor.
        """
        if self.input_size != INPUT_SIZE:
            side = round(faces.shape[-1] * self.input_size / INPUT_SIZE / 8) * 8  # faces are smaller during progressive resizing
            faces = F.interpolate(faces.float(), (side, side), mode="bilinear", align_corners=False)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.only_labels):
            shared = self.blocks[: self._shared](self.stem((faces.float() - PIXEL_MEAN) / PIXEL_STD))
            features: Tensor = self.blocks[self._shared :](shared)
        return features, features if self.label_stage is None else self.label_stage(shared)

    @property
    def _shared(self) -> int:
        """Number of blocks before the last stage, shared by both heads."""
        return sum(self.depths[:-1])


def activation_maps(features: Tensor, head: nn.Linear) -> Tensor:
    """Return a head's class-activation maps (N, K, H/8, W/8) for features (N, D, H/8, W/8).

    Averaging over space and a linear layer commute, so the spatial mean of the maps is exactly the
    logits (Zhou et al. 2016, arXiv:1512.04150).
    """
    return F.conv2d(features, head.weight[:, :, None, None], head.bias)


def count_parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in network.parameters())


def count_multiply_adds(network: nn.Module, size: int = INPUT_SIZE) -> int:
    """Return the multiply-adds of convolutions and linear layers for one face of ``size`` by ``size`` pixels."""
    total = 0

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer.weight, Tensor)
        places = output.shape[2] * output.shape[3] if output.ndim == 4 else 1
        total += layer.weight.numel() * places

    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, 1, size, size))
    network.train(training)
    for hook in hooks:
        hook.remove()
    return total


def network_from(state: dict[str, Any]) -> FaceNet:
    """Return the averaged network of a checkpoint, in evaluation mode.

    Raises:
        BundleError: the weights belong to a different architecture.
    """
    settings = state["settings"]
    try:
        weights = {_RENAMED.get(name, name): value for name, value in state["ema"].items()}
        heads = [name for name, key in ((PEOPLE, "people.weight"), (FER2013, "labels.weight")) if key in weights]
        widths, blocks = tuple(settings["widths"]), tuple(settings["blocks"])
        own_stage = any(name.startswith("label_stage.") for name in weights)
        size = settings.get("input_size", INPUT_SIZE)
        if size not in INPUT_SIZES:
            raise ValueError(f"input_size {size!r}")
        network = FaceNet(widths=widths, blocks=blocks, heads=heads, own_label_stage=own_stage, input_size=size)
        network.load_state_dict(weights)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BundleError("the checkpoint's weights do not fit this version's network. Train again") from error
    return network.eval()


_RENAMED: Final = {"head.weight": "labels.weight", "head.bias": "labels.bias"}
"""New names by the names in checkpoints of version 0.1, which had only the label head."""


def placed(network: FaceNet, device: torch.device) -> FaceNet:
    """Return the network on ``device`` in the channels-last memory format, which is faster on all devices."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # stubs lack it


def autocast(device: torch.device) -> torch.autocast:
    """Return the autocast context: bfloat16 if ``device`` supports it in hardware, otherwise float32.

    A CPU without that support emulates bfloat16 about ten times slower than float32.
    """
    fast = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)
