"""Which weights are moved by which rule, and how the rate rises and falls."""

from __future__ import annotations

import math

import torch
from torch import nn

from mien.training.muon import Muon
from mien.training.network import FaceNet
from mien.training.settings import TrainSettings


def build_optimisers(network: FaceNet, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a run; every group knows its highest rate as ``peak``.

    Muon takes the convolutions of the residual blocks; the stem, with one input channel,
    and the linear layers stay with SGD and weight decay; norms and biases have no decay.
    """
    by_muon = settings.optimiser == "muon"
    filters = [m.weight for m in network.blocks.modules() if isinstance(m, nn.Conv2d)] if by_muon else []
    taken = {id(weight) for weight in filters}
    others = [p for p in network.parameters() if id(p) not in taken]
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
    """Return the share of the peak rate at ``step`` of ``steps``: linear up, then half a cosine down to 0.

    >>> [round(one_cycle(step, 100, 0.2), 2) for step in (0, 19, 20, 60, 100)]
    [0.05, 1.0, 1.0, 0.5, 0.0]
    """
    rising = max(1.0, warmup * steps)
    if step < rising:
        return (step + 1) / rising
    share = min(1.0, (step - rising) / max(1.0, steps - rising))
    return 0.5 * (1 + math.cos(math.pi * share))
