"""Camera augmentation: lighting, resolution, blur, noise, sharpening and JPEG compression.

FER2013's faces come from web photographs of 2013; webcam images are darker, softer, noisier and
compressed. As in ``augment``, random numbers are drawn in advance and passed in. kornia has the
same effects but draws its own numbers, so processes that share a batch would differ.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

DRAWS_PER_FACE: Final = 15
"""Random numbers per face, in addition to one noise value per pixel."""

SIDES: Final = (16, 20, 24, 28, 34, 40)
"""Original sizes in pixels, relative to a crop of 48, of faces that are far away and enlarged."""
GAMMA: Final = (0.5, 2.0)
BLUR_SIGMA: Final = (0.4, 1.3)
NOISE_SD: Final = (2.0, 12.0)
SHARPENING: Final = (0.3, 1.5)
JPEG_QUALITY: Final = (15.0, 70.0)
RAMP: Final = (0.15, 0.6)
"""Range of the lighting gradient: relative brightness of the bright side above the mean."""
_RADIUS: Final = 4

_LUMINANCE: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""The luminance quantisation table of ITU-T T.81, annex K.1."""


def camera_effects(faces: Tensor, probability: float, draws: Tensor, noise: Tensor) -> Tensor:
    """Return faces with random camera effects, each applied to a face with ``probability``.

    Args:
        faces: (N, 1, S, S) float32, 0 to 255.
        probability: probability of each effect, independently, 0 to 1.
        draws: (N, 15) float32, uniform in 0 to 1.
        noise: (N, 1, S, S) float32, standard normal.

    Returns:
        (N, 1, S, S) float32, 0 to 255.
    """
    column = iter(draws.unbind(1))

    def happens() -> Tensor:
        return (next(column) < probability)[:, None, None, None]

    def between(ends: tuple[float, float]) -> Tensor:
        return (next(column) * (ends[1] - ends[0]) + ends[0])[:, None, None, None]

    gamma = torch.where(happens(), between((math.log(GAMMA[0]), math.log(GAMMA[1]))), 0.0).exp()
    faces = 255 * (faces / 255).clamp(1e-4, 1) ** gamma
    ramp = torch.where(happens(), between(RAMP), 0.0)
    faces = (faces * (1 + ramp * _ramps(next(column), faces.shape[-1]))).clamp(0, 255)
    faces = _from_far(faces, torch.where(happens()[:, 0, 0, 0], next(column), -1.0))
    sigma = torch.where(happens(), between(BLUR_SIGMA), 1e-3)
    faces = blurred(faces, sigma)
    faces = faces + torch.where(happens(), between(NOISE_SD), 0.0) * noise
    # all three are drawn before they are applied: the order of the draws is part of a run's reproducibility
    sharp, strength, quality = happens(), between((0, 1)), between(JPEG_QUALITY)
    amount = torch.where(sharp, SHARPENING[0] + strength * (SHARPENING[1] - SHARPENING[0]), 0.0)
    faces = (faces + amount * (faces - blurred(faces, torch.ones_like(sigma)))).clamp(0, 255)
    return torch.where(happens(), jpeg(faces, quality), faces)


def blurred(faces: Tensor, sigma: Tensor) -> Tensor:
    """Return (N, 1, H, W) faces after Gaussian blur with ``sigma`` (N, 1, 1, 1) in pixels per face."""
    n, _, height, width = faces.shape
    at = torch.arange(-_RADIUS, _RADIUS + 1, device=faces.device, dtype=faces.dtype)
    kernel = (-0.5 * (at / sigma.reshape(n, 1)) ** 2).exp()
    kernel = kernel / kernel.sum(1, keepdim=True)
    rows = F.pad(faces.reshape(1, n, height, width), [_RADIUS] * 4, mode="replicate")
    rows = F.conv2d(rows, kernel[:, None, None, :], groups=n)
    return F.conv2d(rows, kernel[:, None, :, None], groups=n).reshape(n, 1, height, width)


def jpeg(faces: Tensor, quality: Tensor) -> Tensor:
    """Return (N, 1, S, S) faces, 0 to 255, after JPEG compression at ``quality`` (N, 1, 1, 1), 1 to 100.

    The cosine coefficients of 8x8 blocks are rounded to multiples of the quantisation table, which
    is scaled by quality as in libjpeg. S must be a multiple of 8.
    """
    n, _, side, _ = faces.shape
    k = torch.arange(8, device=faces.device, dtype=faces.dtype)
    basis = torch.cos((2 * k[None, :] + 1) * k[:, None] * (math.pi / 16)) / 2
    basis[0] /= math.sqrt(2)
    table = torch.tensor(_LUMINANCE, device=faces.device, dtype=faces.dtype)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    steps = (table * scale).round().clamp(1, 255)[:, :, None]  # (N, 1, 1, 8, 8)
    blocks = (faces - 128).reshape(n, side // 8, 8, side // 8, 8).transpose(2, 3)
    coefficients = basis @ blocks @ basis.T
    coefficients = (coefficients / steps).round() * steps
    restored = basis.T @ coefficients @ basis
    return (restored.transpose(2, 3).reshape(n, 1, side, side) + 128).clamp(0, 255)


def _ramps(turn: Tensor, side: int) -> Tensor:
    """Return (N, 1, S, S) linear gradients from -1 to 1 that rise in the direction ``turn`` (N,), in full turns."""
    at = torch.linspace(-1, 1, side, device=turn.device)
    angle = (2 * math.pi * turn)[:, None, None, None]
    return (angle.cos() * at[None, None, None, :] + angle.sin() * at[None, None, :, None]) / math.sqrt(2)


def _from_far(faces: Tensor, draws: Tensor) -> Tensor:
    """Return faces downscaled and enlarged again; ``draws`` (N,), 0 to 1, selects the size, below 0 leaves a face unchanged."""
    side = faces.shape[-1]
    chosen = (draws * len(SIDES)).floor().clamp(max=len(SIDES) - 1).long()
    found = faces.clone()
    for number, small in enumerate(SIDES):
        of_size = torch.nonzero((chosen == number) & (draws >= 0))[:, 0]
        if len(of_size):
            pixels = max(4, round(small * side / 48))
            reduced = F.interpolate(faces[of_size], size=(pixels, pixels), mode="area")
            found[of_size] = F.interpolate(reduced, size=(side, side), mode="bilinear", align_corners=False)
    return found
