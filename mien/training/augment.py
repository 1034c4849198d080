"""Augmentation of whole batches on the training device: one affine warp, one flip, one erasure.

A function of numbers drawn beforehand, so several processes that share a batch change
their faces exactly as one process would, and nothing but those numbers crosses to the device.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.training.settings import AugmentSettings

DRAWS_A_FACE: Final = 13
"""Random numbers that one face takes."""


def augment(faces: Tensor, settings: AugmentSettings, draws: Tensor, size: int | None = None) -> Tensor:
    """Return changed copies of ``faces``.

    Args:
        faces: (N, 1, H, W) uint8 or float, 0 to 255.
        settings: the ranges.
        draws: (N, 13) float, uniform in 0 to 1, on the device of ``faces``.
        size: width and height of the result in pixels; None keeps H and W.

    Returns:
        (N, 1, size, size) float32, 0 to 255, on the device of ``faces``.
    """
    n, _, height, width = faces.shape
    if size is not None:
        height = width = size
    device = faces.device
    column = iter(draws.unbind(1))

    def uniform(low: float, high: float) -> Tensor:
        return next(column) * (high - low) + low

    angle = uniform(-settings.rotation_deg, settings.rotation_deg) * (math.pi / 180)
    zoom = 1 / uniform(1 - settings.scale, 1 + settings.scale)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    # grid coordinates run from -1 to 1, so a share of the width counts twice
    move_x, move_y = (uniform(-2 * settings.shift, 2 * settings.shift) for _ in range(2))
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    theta = torch.stack((cos * mirror, -sin, move_x, sin * mirror, cos, move_y), dim=1).reshape(n, 2, 3)
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    moved = F.grid_sample(faces.float(), grid, padding_mode="reflection", align_corners=False)

    gain = uniform(1 - settings.contrast, 1 + settings.contrast)[:, None, None, None]
    lift = uniform(-settings.brightness, settings.brightness)[:, None, None, None]
    mean = moved.mean((2, 3), keepdim=True)
    lit = ((moved - mean) * gain + mean + lift).clamp(0, 255)

    covered = uniform(0, 1) < settings.erase_probability
    size_w, size_h = (uniform(*settings.erase_size) * side for side in (width, height))
    left, top = uniform(0, 1) * (width - size_w), uniform(0, 1) * (height - size_h)
    xs, ys = torch.arange(width, device=device), torch.arange(height, device=device)
    in_x = (xs >= left[:, None]) & (xs < (left + size_w)[:, None])  # (N, W)
    in_y = (ys >= top[:, None]) & (ys < (top + size_h)[:, None])  # (N, H)
    patch = in_y[:, None, :, None] & in_x[:, None, None, :] & covered[:, None, None, None]
    shade = uniform(0, 255)[:, None, None, None]
    return torch.where(patch, shade, lit)


def cutmix_box(draws: Tensor, size: int) -> tuple[int, int, int]:
    """Return (left, top, side) in pixels of the square to exchange, for three numbers drawn in 0 to 1.

    The share of a face that stays is uniform, as Yun et al. draw it for natural images.
    """
    stays, across, down = draws.tolist()
    side = int(size * math.sqrt(1 - stays))
    return int(across * (size - side + 1)), int(down * (size - side + 1)), side
