"""The network: a small residual net with squeeze-and-excitation for 48x48 grey faces.

                                                       recipe default   tiny
    faces (N, 1, 48, 48) uint8
      -> scale and standardise                         inside the network, so nobody can forget it
      -> 3x3 convolution, stride 2                     (N, 48, 24, 24)  32 channels
      -> stage 1: 1 residual block                     (N, 48, 24, 24)  32
      -> stage 2: 2 residual blocks, stride 2          (N, 96, 12, 12)  48
      -> stage 3: 2 residual blocks, stride 2          (N, 208, 6, 6)   80
      -> mean over space: the embedding                (N, 208)         80
      -> linear: the logits                            (N, 7)           7

default: 1,736,969 parameters and 115,873,392 multiply-adds a face (convolutions and matrices).
tiny: 314,459 parameters and 29,560,880 multiply-adds a face.
The bundle mien-s is one network of the recipes default and second_leg, mien-xs one of the recipe distil.
Residual blocks after He et al. 2016 (arXiv:1512.03385), squeeze-and-excitation after
Hu et al. 2018 (arXiv:1709.01507).
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.preprocess import INPUT_SIZE
from mien.training.settings import BLOCKS, WIDTHS

PIXEL_MEAN: Final = 129.4
PIXEL_STD: Final = 65.0
"""Mean and standard deviation of FER2013's Training pixels, 0 to 255."""


class SqueezeExcite(nn.Module):
    """Weigh each channel by a small network that looks at all channel means."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C, H, W)
        weights = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))  # (N, C)
        return x * weights[:, :, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the second starts as zero (identity block)."""

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
        dropout: share of the embedding dropped while training, 0 to 1.
        widths: channels of the three stages.
        blocks: residual blocks of each stage.

    Attributes:
        keeps_statistics: normalise by the statistics there are, also while training: a few new faces among many must not move
            what the others are normalised by.
    """

    def __init__(self, dropout: float = 0.2, widths: tuple[int, ...] = WIDTHS, blocks: tuple[int, ...] = BLOCKS) -> None:
        super().__init__()
        self.widths, self.depths = widths, blocks
        self.keeps_statistics = False
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
        layers: list[nn.Module] = []
        channels = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(ResidualBlock(channels, width, stride))
                channels = width
        self.blocks = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, len(EMOTIONS))

    def train(self, mode: bool = True) -> FaceNet:
        """Set the network to training or not; see ``keeps_statistics``."""
        super().train(mode)
        if self.keeps_statistics:
            for layer in self.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
        return self

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return (logits (N, 7), embedding (N, D)) for faces (N, 1, H, W), 0 to 255, any dtype."""
        embedding = self.features(faces).mean((2, 3))  # (N, D)
        return self.head(self.dropout(embedding)), embedding

    def features(self, faces: Tensor) -> Tensor:
        """Return what the last block sees at each place, (N, D, H/8, W/8), of faces as in ``forward``."""
        features: Tensor = self.blocks(self.stem((faces.float() - PIXEL_MEAN) / PIXEL_STD))
        return features

    def activation_maps(self, features: Tensor) -> Tensor:
        """Return the logits before the mean over space, (N, 7, H/8, W/8), of features (N, D, H/8, W/8).

        Mean and linear layer commute, so their mean over space is exactly the logits: how much
        each place speaks for each class (class-activation maps, Zhou et al. 2016, arXiv:1512.04150).
        """
        return F.conv2d(features, self.head.weight[:, :, None, None], self.head.bias)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in network.parameters())


def count_multiply_adds(network: nn.Module, size: int = INPUT_SIZE) -> int:
    """Return the multiply-adds of convolutions and matrices for one face of ``size`` pixels."""
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
    """Return the averaged network of a checkpoint, ready to evaluate.

    Raises:
        BundleError: the weights are for another architecture.
    """
    settings = state["settings"]
    try:
        network = FaceNet(widths=tuple(settings["widths"]), blocks=tuple(settings["blocks"]))
        network.load_state_dict(state["ema"])
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BundleError("the checkpoint's weights do not fit this version's network. Train anew") from error
    return network.eval()


def placed(network: FaceNet, device: torch.device) -> FaceNet:
    """Return the network on ``device``, with channels last in memory, which is faster everywhere."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # stubs lack it
