"""Device selection and distributed training with ``torchrun``.

Every process holds the whole data set and draws the same batches. Each computes a shard of the
batch; gradients and batch statistics are summed over all processes. The result does not depend on
the number of processes, except for the order of floating-point additions.
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
    """Position of this process among those of a run.

    Attributes:
        rank: number of this process, from 0; rank 0 writes files and prints.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Return this process's position, after joining the process group if ``torchrun`` started several processes."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), count)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    @property
    def shard(self) -> slice:
        """The faces of a batch that this process computes."""
        return slice(self.rank, None, self.count)

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        """Replace every tensor by its sum over all processes, in one all-reduce."""
        if self.count == 1:
            return
        parts = list(tensors)
        flat = torch.cat([part.detach().reshape(-1).float() for part in parts])
        dist.all_reduce(flat)
        for part, total in zip(parts, torch.split(flat, [part.numel() for part in parts]), strict=True):
            part.detach().copy_(total.reshape(part.shape))

    def leave(self) -> None:
        """Leave the process group."""
        if dist.is_initialized():
            dist.destroy_process_group()


def pick_device(name: str = "auto") -> torch.device:
    """Return the device to train on; ``auto`` is CUDA if available (one device per local process), otherwise the CPU.

    Raises:
        UsageError: ``name`` is not auto, cpu or cuda.
        DeviceError: CUDA was requested but is not available.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device is available. Use --device cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


class _AllReduceSum(torch.autograd.Function):
    """Differentiable sum of a tensor over all processes; its gradient is the sum of the gradients."""

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


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of the whole batch, over all processes.

    PyTorch's SyncBatchNorm requires a GPU; this one does not. All shards must have the same size.
    """

    def forward(self, input: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C, H, W); parameter name as in PyTorch
        if not self.training:
            return super().forward(input)
        x = input.float()
        moments = torch.stack((x.mean((0, 2, 3)), x.square().mean((0, 2, 3))))  # (2, C)
        moments = _AllReduceSum.apply(moments) / dist.get_world_size()  # type: ignore[no-untyped-call]  # PyTorch has no type here
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


def convert_batch_norms(network: nn.Module) -> None:
    """Convert all batch normalisations of ``network`` to ``SyncedBatchNorm2d``, in place; parameters and names stay."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = SyncedBatchNorm2d
