"""Targets and losses of the detector.

Cells near a face's centre are positive, other cells within the face are ignored, and all others are negative. The strides
with positive cells depend on the face's size and overlap. Scores use the quality focal loss (Li et al. 2020,
arXiv:2006.04388) with the scene's soft scores as targets, boxes the distance IoU, landmarks their distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mien.training.detector.network import ANSWERS, LANDMARK_UNIT, STRIDES, USUAL_LANDMARKS
from mien.training.detector.scenes import SCENE, Scene

SIZES: Final = ((0.0, 44.0), (28.0, 100.0), (64.0, 1e9))
"""Range of face sizes assigned to each stride, in pixels (square root of the box's area)."""
_CORE: Final = 0.32
_ALONE: Final = 0.42
"""Distances from a face's centre, in face sizes: cells within the first are positive, within the second ignored."""


_LANDMARKS: Final = 10.0
"""Weight of the mean landmark distance, in face sizes, relative to the box loss, which is 0 to 2."""
_NEARLY: Final = 1.4
"""Cells of a stride are ignored if the face's size is outside the stride's range by less than this factor, else negative."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Targets of B scenes for the C cells of all strides.

    Attributes:
        scores: (B, C) float32, 0 to 1; -1 for ignored cells.
        boxes: (B, C, 4) float32 centre and size of the cell's face in pixels; 0 for other cells.
        landmarks: (B, C, 5, 2) float32 pixels; 0 for other cells.
    """

    scores: Tensor
    boxes: Tensor
    landmarks: Tensor


def cells(height: int = SCENE, width: int = SCENE) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the position (C, 2) in pixels and the stride (C,) of each cell of a picture, in the order of ``flat``."""
    places, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        places.append(np.stack([x.ravel(), y.ravel()], 1) * stride)
        strides.append(np.full(x.size, stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(strides).astype(np.float32)


def targets_of(scenes: Sequence[Scene]) -> Targets:
    """Return the training targets of the scenes."""
    places, strides = cells()
    level = np.searchsorted(STRIDES, strides)
    limits = np.array(SIZES, np.float32)[level]  # (C, 2)
    n, c = len(scenes), len(places)
    scores, boxes = np.zeros((n, c), np.float32), np.zeros((n, c, 4), np.float32)
    landmarks = np.zeros((n, c, 5, 2), np.float32)
    for k, scene in enumerate(scenes):
        sizes = np.sqrt(np.maximum(scene.boxes[:, 2] * scene.boxes[:, 3], 1))
        for face in np.argsort(-sizes):  # descending, so that smaller faces overwrite larger ones
            box, size = scene.boxes[face], sizes[face]
            centre = box[:2] + box[2:] / 2
            away = np.abs(places - centre).max(1)
            if scene.scores[face] < 0:
                scores[k][(np.abs(places - centre) <= box[2:] / 2).all(1)] = -1
                continue
            asked = (size >= limits[:, 0]) & (size < limits[:, 1])
            nearly = (size >= limits[:, 0] / _NEARLY) & (size < limits[:, 1] * _NEARLY)
            scores[k][nearly & (away < np.maximum(_ALONE * size, strides))] = -1
            core = asked & (away <= np.maximum(_CORE * size, 0.8 * strides))
            scores[k, core] = scene.scores[face]
            boxes[k, core] = (*centre, *box[2:])
            landmarks[k, core] = scene.landmarks[face]
    return Targets(torch.from_numpy(scores), torch.from_numpy(boxes), torch.from_numpy(landmarks))


def flat(answers: Sequence[Tensor]) -> Tensor:
    """Concatenate the outputs of all strides to (B, C, ANSWERS)."""
    return torch.cat([answer.flatten(2).transpose(1, 2) for answer in answers], 1)


def decoded(answers: Tensor, places: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Decode outputs (..., C, ANSWERS) to boxes (..., C, 4), centre and size, and landmarks (..., C, 5, 2), in pixels."""
    unit = strides[:, None]
    centres = places + answers[..., 1:3] * unit
    sizes = answers[..., 3:5].clamp(max=6).exp() * unit
    away = answers[..., 5:ANSWERS].reshape(*answers.shape[:-1], 5, 2)
    apart = torch.tensor(USUAL_LANDMARKS) + LANDMARK_UNIT * away
    return torch.cat([centres, sizes], -1), centres[..., None, :] + apart * sizes[..., None, :]


def losses(answers: Sequence[Tensor], targets: Targets, places: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Return the total loss (scalar) and the score loss of each scene (B,), which is detached."""
    every = flat(answers)
    logits, wanted = every[..., 0], targets.scores
    counted = wanted >= 0
    aim = wanted.clamp(min=0)
    gap = (logits.sigmoid() - aim).abs()
    each = F.binary_cross_entropy_with_logits(logits, aim, reduction="none") * gap**2 * counted
    asked = wanted > 0
    found = asked.sum().clamp(min=1)
    by_scene = each.sum(1)
    loss = 2 * by_scene.sum() / found
    if bool(asked.any()):
        scene, cell = asked.nonzero(as_tuple=True)
        boxes, points = decoded(every[scene, cell], places[cell], strides[cell])
        wanted_boxes, wanted_points = targets.boxes[scene, cell], targets.landmarks[scene, cell]
        size = (wanted_boxes[:, 2] * wanted_boxes[:, 3]).sqrt()
        weight = wanted[scene, cell]
        off = (points - wanted_points).norm(dim=2).mean(1) / size
        loss = loss + ((distance_iou(boxes, wanted_boxes) + _LANDMARKS * off) * weight).sum() / weight.sum()
    return loss, by_scene.detach()


def distance_iou(boxes: Tensor, wanted: Tensor) -> Tensor:
    """Return the distance-IoU loss (Zheng et al. 2020, arXiv:1911.08287) (P,) of boxes (P, 4), centre and size."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    wanted_low, wanted_high = wanted[:, :2] - wanted[:, 2:] / 2, wanted[:, :2] + wanted[:, 2:] / 2
    shared = (torch.minimum(high, wanted_high) - torch.maximum(low, wanted_low)).clamp(min=0).prod(1)
    union = boxes[:, 2:].prod(1) + wanted[:, 2:].prod(1) - shared
    around = (torch.maximum(high, wanted_high) - torch.minimum(low, wanted_low)).square().sum(1)
    return 1 - shared / union.clamp(min=1e-6) + (boxes[:, :2] - wanted[:, :2]).square().sum(1) / around.clamp(min=1e-6)
