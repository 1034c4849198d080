"""The Muon optimiser: momentum with orthogonalised updates.

A convolution's filters are the rows of a matrix. Plain momentum updates them mostly along a few
dominant directions. An orthogonalised update has equal length in all directions, and the network
needs fewer steps (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon). The length of
the filters is kept fixed, which the following batch normalisation compensates for. The learning
rate alone therefore sets how far they rotate, and no weight decay is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import Tensor

ITERATIONS: Final = 3
COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, chosen by its author so that small singular values grow fastest."""


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix (R, C) with the singular vectors of ``matrix`` (R, C) float and singular values near 1.

    A Newton-Schulz iteration, which uses matrix products only. Three rounds are accurate enough for an update.
    """
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.T if tall else x
    return result


class Muon(torch.optim.Optimizer):
    """Muon for convolutions that are followed by a normalisation.

    Args:
        parameters: weights (C_out, C_in, K, K); they are rescaled to a mean filter length of 1.
        lr: length of a step relative to the length of the weights.
        momentum: Nesterov momentum, 0 to 1.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.9) -> None:
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.mul_(_length(weight) / weight.norm())

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no closure is needed here
        """Update all weights that have a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                ahead = weight.grad.add(momentum, alpha=group["momentum"])
                step = orthogonalised(ahead.reshape(len(weight), -1)).reshape(weight.shape)
                step = step * (_length(weight) / (step.norm() + 1e-7))
                weight.mul_(_length(weight) / weight.norm()).add_(step, alpha=-group["lr"])


def _length(weight: Tensor) -> float:
    """Return the fixed length of a convolution's weights: its filters have length 1 on average."""
    return math.sqrt(len(weight))
