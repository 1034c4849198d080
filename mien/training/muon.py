"""Muon: momentum whose matrix is made orthogonal before the step.

A convolution's filters are the rows of a matrix. Plain momentum moves them mostly along a
few common directions; an orthogonal step moves them along all directions alike, and a
network needs fewer steps (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).
The filters keep a fixed length, which batch normalisation behind them makes free of
charge, so the learning rate alone says how far they turn, and no weight decay is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import Tensor

ITERATIONS: Final = 3
COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration, chosen by its author so that small singular values grow fastest."""


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix (R, C) float with the same singular vectors, singular values about 1.

    A Newton-Schulz iteration: products only, exact enough after three rounds for a step.
    """
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    turned: Tensor = x.T if tall else x
    return turned


class Muon(torch.optim.Optimizer):
    """Muon for convolutions that are followed by a normalisation.

    Args:
        parameters: weights (C_out, C_in, K, K); scaled here to a mean filter length of 1.
        lr: length of a step as a share of the weights' length.
        momentum: share of the past in the step (Nesterov's form).
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.9) -> None:
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.mul_(_length(weight) / weight.norm())

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no closure is needed here
        """Move every weight that has a gradient by one step."""
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
    """Return the length all weights of a convolution are kept at: filters of length 1 on average."""
    return math.sqrt(len(weight))
