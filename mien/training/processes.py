"""Where a run computes: its device, and how several processes share it as ``torchrun`` starts them.

Every process holds the whole data set and draws the same batch; each computes its share of
the faces, and gradients and batch statistics are added up over all. So a run is the same
run on any number of processes, up to the order in which floating-point numbers are added.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mien.errors import DeviceError, UsageError


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of one run.

    Attributes:
        rank: its number from 0; the first one writes and speaks.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Return this process's place, after joining the others where ``torchrun`` started several."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), count)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """Which faces of a batch are this process's."""
        return slice(self.rank, None, self.count)

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace every tensor by its sum over all processes, in one exchange."""
        if self.count == 1:
            return
        parts = list(tensors)
        flat = torch.cat([part.detach().reshape(-1).float() for part in parts])
        dist.all_reduce(flat)
        for part, total in zip(parts, torch.split(flat, [part.numel() for part in parts]), strict=True):
            part.detach().copy_(total.reshape(part.shape))

    def leave(self) -> None:
        """End the exchange with the others."""
        if dist.is_initialized():
            dist.destroy_process_group()


def pick_device(name: str = "auto") -> torch.device:
    """Return the device to train on: CUDA where there is one (each process of a machine its own), else the CPU.

    Raises:
        UsageError: not one of auto, cpu, cuda.
        DeviceError: CUDA was asked for and is not there.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("CUDA was asked for, and this PyTorch finds no CUDA device. Use --device cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient of a sum is the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        total = part.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, of which each process sees a share.

    PyTorch's own SyncBatchNorm needs a GPU; this one runs anywhere. Shares must be of one size.
    """

    def forward(self, input: Tensor) -> Tensor:  # (N, C, H, W) -> the same; named as PyTorch names it
        if not self.training:
            return super().forward(input)
        x = input.float()
        moments = torch.stack((x.mean((0, 2, 3)), x.square().mean((0, 2, 3))))  # (2, C)
        moments = _Total.apply(moments) / dist.get_world_size()  # type: ignore[no-untyped-call]  # PyTorch has no type here
        mean, square = moments.unbind(0)
        variance = square - mean.square()
        count = x.numel() / x.shape[1] * dist.get_world_size()
        with torch.no_grad():
            momentum: Any = self.momentum
            for running, value in ((self.running_mean, mean), (self.running_var, variance * count / (count - 1))):
                assert running is not None
                running.lerp_(value, momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        scaled: Tensor = x * scale[None, :, None, None] + shift[None, :, None, None]
        return scaled.to(input.dtype)


def share_batch_norms(network: nn.Module) -> None:
    """Make every batch normalisation of ``network`` use the whole batch; parameters and names stay."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = SharedBatchNorm2d
