"""Augmentation of batches on the training device: affine warp, flip, contrast, camera effects and random erasing.

All random numbers are drawn in advance and passed in. Processes that share a batch therefore augment
their faces exactly as a single process would, and only these numbers are copied to the device.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.training import camera
from mien.training.settings import AugmentSettings

_OWN_DRAWS: Final = 13
DRAWS_PER_FACE: Final = _OWN_DRAWS + camera.DRAWS_PER_FACE
"""Random numbers per face."""


def augment(
    faces: Tensor, settings: AugmentSettings, draws: Tensor, size: int | None = None, noise: Tensor | None = None
) -> Tensor:
    """Return augmented copies of ``faces``.

    Args:
        faces: (N, 1, H, W) uint8 or float, 0 to 255.
        settings: the augmentation ranges.
        draws: (N, 28) float, uniform in 0 to 1, on the device of ``faces``.
        size: width and height of the result in pixels; None keeps H and W.
        noise: (N, 1, size, size) float, standard normal, for the camera effects; None disables them.

    Returns:
        (N, 1, size, size) float32, 0 to 255, on the device of ``faces``.
    """
    n, _, height, width = faces.shape
    if size is not None:
        height = width = size
    device = faces.device
    column = iter(draws[:, :_OWN_DRAWS].unbind(1))

    def uniform(low: float, high: float) -> Tensor:
        return next(column) * (high - low) + low

    angle = uniform(-settings.rotation_deg, settings.rotation_deg) * (math.pi / 180)
    zoom = 1 / uniform(1 - settings.scale, 1 + settings.scale)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    # grid coordinates run from -1 to 1, so a share of the width is doubled
    move_x, move_y = (uniform(-2 * settings.shift, 2 * settings.shift) for _ in range(2))
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    theta = torch.stack((cos * mirror, -sin, move_x, sin * mirror, cos, move_y), dim=1).reshape(n, 2, 3)
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    moved = F.grid_sample(faces.float(), grid, padding_mode="reflection", align_corners=False)

    gain = uniform(1 - settings.contrast, 1 + settings.contrast)[:, None, None, None]
    lift = uniform(-settings.brightness, settings.brightness)[:, None, None, None]
    mean = moved.mean((2, 3), keepdim=True)
    lit = ((moved - mean) * gain + mean + lift).clamp(0, 255)
    if noise is not None:
        lit = camera.camera_effects(lit, settings.camera, draws[:, _OWN_DRAWS:], noise)

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
    """Return (left, top, side) in pixels of the CutMix square, for draws (3,) uniform in 0 to 1.

    The share of the face that remains is uniform, as in Yun et al. 2019.
    """
    stays, across, down = draws.tolist()
    side = int(size * math.sqrt(1 - stays))
    return int(across * (size - side + 1)), int(down * (size - side + 1)), side
