"""Augmentation of whole batches on the training device: one affine warp, one flip, one erasure.

Everything is drawn from a given generator, so an epoch is the same after a resume.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.training.settings import AugmentSettings


def augment(faces: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Return changed copies of ``faces``.

    Args:
        faces: (N, 1, H, W) uint8 or float, 0 to 255.
        settings: the ranges.
        generator: source of randomness, on the CPU.

    Returns:
        (N, 1, H, W) float32, 0 to 255, on the device of ``faces``.
    """
    n, _, height, width = faces.shape
    device = faces.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(n).uniform_(low, high, generator=generator).to(device)

    angle = uniform(-settings.rotation_deg, settings.rotation_deg) * (math.pi / 180)
    zoom = 1 / uniform(1 - settings.scale, 1 + settings.scale)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = angle.cos() * zoom * mirror
    theta[:, 0, 1] = -angle.sin() * zoom
    theta[:, 1, 0] = angle.sin() * zoom * mirror
    theta[:, 1, 1] = angle.cos() * zoom
    # grid coordinates run from -1 to 1, so a share of the width counts twice
    theta[:, 0, 2] = uniform(-2 * settings.shift, 2 * settings.shift)
    theta[:, 1, 2] = uniform(-2 * settings.shift, 2 * settings.shift)
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
