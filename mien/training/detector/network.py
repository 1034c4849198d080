"""The detector's network: depthwise-separable convolutions on grey pictures, with outputs at strides 8, 16 and 32.

The architecture follows YuNet (Wu, Peng and Yu 2023) and NanoDet: a small backbone, a top-down path that adds coarser
features to finer ones, and one 1x1 convolution per stride as head. The cell in row i and column j of a stride is at the
pixel (x, y) = (j * stride, i * stride), for pictures of any size and without padding.
"""

from __future__ import annotations

from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES: Final = (8, 16, 32)
ANSWERS: Final = 15
"""Number of outputs per cell: logit of a face; its centre (2) and log size (2), in strides; offsets of its five landmarks (10)
from their mean positions, in units of ``LANDMARK_UNIT`` times its size."""
USUAL_LANDMARKS: Final = ((-0.234, -0.146), (0.234, -0.146), (0.0, 0.048), (-0.189, 0.224), (0.189, 0.224))
"""Mean positions of the landmarks that YuNet detects in FER2013, relative to the box's centre, in box widths and heights."""
LANDMARK_UNIT: Final = 0.1
DARK: Final = 30.0
"""Pictures with a lower mean grey level are brightened to this level, by a factor of at most ``MOST_GAIN``."""
MOST_GAIN: Final = 8.0


class Block(nn.Module):
    """A depthwise 3x3 and a pointwise 1x1 convolution, with a residual connection if the shapes match."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.across = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.adds = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.across(self.spatial(x)))
        return F.relu(x + y if self.adds else y)


class DetectorNet(nn.Module):
    """The detector's network; see the module's documentation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.to_8 = nn.Sequential(Block(16, 32, 2), Block(32, 56, 2), Block(56, 56), Block(56, 56))
        self.to_16 = nn.Sequential(Block(56, 64, 2), Block(64, 64), Block(64, 64), Block(64, 64))
        self.to_32 = nn.Sequential(Block(64, 64, 2), Block(64, 64), Block(64, 64))
        self.down_16 = nn.Conv2d(64, 64, 1)
        self.down_8 = nn.Conv2d(64, 56, 1)
        self.merge_16 = Block(64, 64)
        self.merge_8 = Block(56, 56)
        heads = [nn.Conv2d(width, ANSWERS, 1) for width in (56, 64, 64)]
        self.answer = nn.ModuleList(heads)
        for head in heads:
            nn.init.normal_(head.weight, std=0.01)
            # faces are rare: a low initial score avoids learning that in the first steps
            nn.init.constant_(cast(Tensor, head.bias), 0.0)
            with torch.no_grad():
                cast(Tensor, head.bias)[0] = -4.5

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs (N, ANSWERS, h, w) of each stride for pictures (N, 1, H, W), 0 to 255."""
        gain = (DARK / grey.mean((1, 2, 3), keepdim=True).clamp(min=1)).clamp(1, MOST_GAIN)
        at_8 = self.to_8(self.stem((grey * gain).clamp(max=255) / 64 - 2))
        at_16 = self.to_16(at_8)
        at_32 = self.to_32(at_16)
        at_16 = self.merge_16(at_16 + _enlarged(self.down_16(at_32), at_16))
        at_8 = self.merge_8(at_8 + _enlarged(self.down_8(at_16), at_8))
        first, second, third = (head(x) for head, x in zip(self.answer, (at_8, at_16, at_32), strict=True))
        return first, second, third


def _enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    """Upsample ``coarse`` by 2 and crop it to the size of ``fine``."""
    return F.interpolate(coarse, scale_factor=2.0, mode="nearest")[:, :, : fine.shape[2], : fine.shape[3]]


def count_weights(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(weight.numel() for weight in network.parameters())
