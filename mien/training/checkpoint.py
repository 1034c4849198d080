"""Checkpoints: the complete state of a training run, safe to load from untrusted sources.

They contain only tensors and plain values and are loaded with ``weights_only``, so a malicious
file cannot execute code.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import torch

from mien.documents import parse_json, record_from
from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError
from mien.files import atomic_path, remove_half_written
from mien.history import EpochRow
from mien.preprocess import INPUT_SIZE

FORMAT: Final = "mien-checkpoint-1"

_BROKEN: Final = (
    *(RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, OSError, KeyError, IndexError),
    *(TypeError, AttributeError, AssertionError, NotImplementedError, OverflowError, MemoryError, struct.error),
)
"""Exceptions that PyTorch raises for files that are not checkpoints."""


@dataclass(frozen=True, slots=True)
class _Plain:
    """Plain values of a checkpoint; ``step``, ``sums`` and ``seconds`` are needed to resume."""

    settings: dict[str, Any]
    facts: dict[str, Any]
    history: list[EpochRow]
    labels: list[str] = field(default_factory=list)
    input_size: int = INPUT_SIZE
    step: int = 0
    sums: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Shape:
    """The settings that determine the size of a network."""

    widths: tuple[int, int, int]
    blocks: tuple[int, int, int]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) to ``path``, atomically.

    Raises:
        StorageError: the disk is full or the folder was removed.
        DeviceError: the file cannot be written.
    """
    buffer = io.BytesIO()  # on a full disk, torch's own writer raises an unspecific RuntimeError
    torch.save({"format": FORMAT, "labels": list(EMOTIONS), "input_size": INPUT_SIZE, **state}, buffer)
    remove_half_written(path)  # left by a run that was killed; only one run at a time writes here
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_state(path: Path, file_format: str, command: str) -> dict[str, Any]:
    """Return the tensors and plain values in a checkpoint; nothing about them is checked.

    Args:
        path: the file.
        file_format: what it says under ``format``.
        command: the command that writes such files.

    Raises:
        BundleError: the file is broken, compressed, or has another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise ValueError("compressed: it could unpack to more than fits into memory")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        raise BundleError(f"{path} is not a complete checkpoint ({type(error).__name__}). Train again, or use a copy") from error
    if not isinstance(state, dict) or state.get("format") != file_format:
        raise BundleError(f"{path} is not a checkpoint of {command}")
    return state


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state saved in ``path``.

    Raises:
        DataError: no such file.
        BundleError: the file is broken or not a checkpoint, its classes or input size differ, or its weights are not
            finite.
    """
    if not path.is_file():
        raise DataError(f"no checkpoint at {path}")
    state = read_state(path, FORMAT, "mien train")
    missing = [key for key in ("ema", "settings", "facts", "history") if key not in state]
    if missing:
        raise BundleError(f"{path} is a checkpoint without {', '.join(missing)}. Train again, or use a copy")
    try:
        state |= _plain_values(state)
        _check_weights(state["ema"], state["settings"])
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(f"{path} is a checkpoint with wrong values ({error}). Train again, or use a copy") from error
    if state.get("labels") != list(EMOTIONS):
        raise BundleError(f"{path} was trained for the classes {state.get('labels')}; this version has {list(EMOTIONS)}")
    if state.get("input_size", INPUT_SIZE) != INPUT_SIZE:
        raise BundleError(f"{path} was trained on faces of {state['input_size']} pixels; this version uses {INPUT_SIZE}")
    if any(not torch.isfinite(t).all() for t in state["ema"].values() if t.is_floating_point()):
        raise BundleError(f"{path} has weights that are not finite: training diverged. Use an earlier checkpoint")
    return state


def load_optimiser(optimiser: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Restore an optimiser from a saved state.

    Raises:
        ValueError: the state belongs to a different optimiser; likewise KeyError, TypeError, AttributeError and
            RuntimeError.
    """
    own = [{name: type(value) for name, value in group.items()} for group in optimiser.param_groups]
    optimiser.load_state_dict(dict(saved))
    if [{name: type(value) for name, value in group.items()} for group in optimiser.param_groups] != own:
        raise ValueError("the settings are those of a different optimiser")
    for weight, values in optimiser.state.items():
        if any(each is not None and each.shape != weight.shape for each in values.values()):
            raise ValueError("the momentum does not fit the weights")


def _plain_values(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's plain values as JSON types.

    Raises:
        ValueError, TypeError: a value has the wrong type or is not plain.
    """
    names = [each.name for each in fields(_Plain) if each.name in state]
    plain: dict[str, Any] = parse_json(json.dumps({name: state[name] for name in names}, allow_nan=False))
    record_from(_Plain, plain, "the checkpoint")
    return plain


def _check_weights(weights: Any, settings: Mapping[str, Any]) -> None:
    """Check that the weights are dense tensors with all their values, and enough of them for the network.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(weights, dict) or not all(isinstance(each, torch.Tensor) for each in weights.values()):
        raise ValueError("the weights are not tensors")
    if any(each.layout is not torch.strided or each.device.type != "cpu" for each in weights.values()):
        raise ValueError("the weights are sparse or have no values")
    if any(each.numel() * each.element_size() > each.untyped_storage().nbytes() for each in weights.values()):
        raise ValueError("a tensor claims more values than it has")
    if not {"widths", "blocks"} <= settings.keys():
        return  # reported when a network is built from it
    shape = record_from(_Shape, settings, "the settings")
    # each block has a 3x3 filter from its width to its width: do not allocate a larger network than the file contains
    needed = sum(9 * width**2 * max(1, count) for width, count in zip(shape.widths, shape.blocks, strict=True))
    if min(*shape.widths, *shape.blocks) < 1 or needed > sum(each.numel() for each in weights.values()):
        raise ValueError(f"widths {shape.widths} and blocks {shape.blocks} do not fit the weights")
