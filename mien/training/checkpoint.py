"""Checkpoints: the whole state of a run after some step, safe to load from strangers.

They hold tensors and plain values only and are read with ``weights_only``, so a hostile
file cannot run code.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any, Final

import torch

from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError
from mien.files import atomic_path
from mien.preprocess import INPUT_SIZE

FORMAT: Final = "mien-checkpoint-1"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) to ``path``, atomically."""
    with atomic_path(path) as temporary:
        torch.save({"format": FORMAT, "labels": list(EMOTIONS), "input_size": INPUT_SIZE, **state}, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state saved in ``path``.

    Raises:
        DataError: no such file.
        BundleError: cut short, not ours, other classes or another size, or weights that are not finite.
    """
    if not path.is_file():
        raise DataError(f"no checkpoint at {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, OSError) as error:
        raise BundleError(f"{path} is not a whole checkpoint ({type(error).__name__}). Train again, or use a copy") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise BundleError(f"{path} is not a checkpoint of mien train")
    missing = [key for key in ("ema", "settings", "facts", "history") if key not in state]
    if missing:
        raise BundleError(f"{path} is a checkpoint without {', '.join(missing)}. Train again, or use a copy")
    if state.get("labels") != list(EMOTIONS):
        raise BundleError(f"{path} was trained for the classes {state.get('labels')}, this program reads {list(EMOTIONS)}")
    if state.get("input_size", INPUT_SIZE) != INPUT_SIZE:
        raise BundleError(f"{path} was trained on faces of {state['input_size']} pixels, this program makes {INPUT_SIZE}")
    if any(not torch.isfinite(t).all() for t in state["ema"].values() if t.is_floating_point()):
        raise BundleError(f"{path} holds weights that are not finite numbers: that run had diverged")
    return state
