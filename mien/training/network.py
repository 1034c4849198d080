"""The network: a small residual net with squeeze-and-excitation for 48x48 grey faces.

    faces (N, 1, 48, 48) uint8
      -> scale and standardise                       inside the network, so nobody can forget it
      -> 3x3 convolution, stride 2                   (N, 48, 24, 24)
      -> stage 1: 2 residual blocks                  (N, 48, 24, 24)
      -> stage 2: 2 residual blocks, stride 2        (N, 96, 12, 12)
      -> stage 3: 2 residual blocks, stride 2        (N, 192, 6, 6)
      -> mean over space                             (N, 192)        the embedding
      -> linear                                      (N, 7)          the logits

1,587,595 parameters and 132,984,768 multiply-adds a face (convolutions and matrices).
Residual blocks after He et al. 2016 (arXiv:1512.03385), squeeze-and-excitation after
Hu et al. 2018 (arXiv:1709.01507).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.emotions import EMOTIONS
from mien.training.settings import WIDTHS

BLOCKS_A_STAGE: Final = 2
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
        widths: channels of the three stages; the numbers above are for the default.
    """

    def __init__(self, dropout: float = 0.2, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, width in enumerate(widths):
            for block in range(BLOCKS_A_STAGE):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(ResidualBlock(channels, width, stride))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, len(EMOTIONS))

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return (logits (N, 7), embedding (N, 192)) for faces (N, 1, 48, 48), 0 to 255, any dtype."""
        x = (faces.float() - PIXEL_MEAN) / PIXEL_STD
        x = self.blocks(self.stem(x))  # (N, 192, 6, 6)
        embedding = x.mean((2, 3))  # (N, 192)
        return self.head(self.dropout(embedding)), embedding


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in network.parameters())
