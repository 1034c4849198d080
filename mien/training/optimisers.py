"""The optimisers of each parameter group, and the learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from mien.training.muon import Muon
from mien.training.network import FaceNet
from mien.training.settings import TrainSettings


def build_optimisers(network: FaceNet, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a run; each parameter group stores its peak learning rate as ``peak``.

    Muon trains the convolutions of the residual blocks. SGD trains the stem, which has one input
    channel, the linear layers, and the norms and biases, the last two without weight decay.
    """
    stages = [network.blocks, *([network.label_stage] if network.label_stage is not None else [])]
    found_filters = [m.weight for stage in stages for m in stage.modules() if isinstance(m, nn.Conv2d)]
    filters = [weight for weight in found_filters if weight.requires_grad] if settings.optimiser == "muon" else []
    taken = {id(weight) for weight in filters}
    others = [p for p in network.parameters() if p.requires_grad and id(p) not in taken]
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": settings.weight_decay, "peak": settings.peak_lr},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0, "peak": settings.peak_lr},
    ]
    found: list[torch.optim.Optimizer] = [torch.optim.SGD(groups, settings.peak_lr, momentum=0.9, nesterov=True)]
    if filters:
        muon = Muon(filters, settings.muon_lr)
        muon.param_groups[0]["peak"] = settings.muon_lr
        found.append(muon)
    return found


def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Return the learning rate at ``step`` of ``steps`` as a share of the peak: linear warm-up, then cosine decay to 0.

    >>> [round(one_cycle(step, 100, 0.2), 2) for step in (0, 19, 20, 60, 100)]
    [0.05, 1.0, 1.0, 0.5, 0.0]
    """
    rising = max(1.0, warmup * steps)
    if step < rising:
        return (step + 1) / rising
    share = min(1.0, (step - rising) / max(1.0, steps - rising))
    return 0.5 * (1 + math.cos(math.pi * share))
