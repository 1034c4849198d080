"""Trained networks to learn from or to go on from: of a run's checkpoint, or of a bundle.

A bundle serves as well as the checkpoint it was made of, and everybody has it, so a recipe
that begins with the package's own bundles can be run again from a fresh clone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from mien.data.dataset import FaceDataset
from mien.errors import UsageError
from mien.training.checkpoint import load_checkpoint
from mien.training.from_bundle import networks_of
from mien.training.network import FaceNet, network_from
from mien.training.settings import TrainSettings
from mien.vision.bundles import bundle_names, bundle_path

MEASURED_ON: Final = 3000
"""Faces on which the normalisations of a bundle's networks are measured."""


def origin_file(origin: str) -> Path:
    """Return the file of a checkpoint or bundle: a path, or a bundle's name.

    Raises:
        DataError: a bundle that is not there.
    """
    return bundle_path(origin) if _is_bundle(origin) else Path(origin)


def networks_from(origin: str, training: FaceDataset) -> list[FaceNet]:
    """Return the networks of a checkpoint (one) or a bundle (one, or a committee), ready to answer.

    Args:
        origin: a checkpoint, a bundle's path or its name.
        training: faces to measure a bundle's normalisations on.

    Raises:
        DataError: no such file.
        BundleError: the file is broken, or of another architecture.
    """
    path = origin_file(origin)
    if not _is_bundle(origin):
        return [network_from(load_checkpoint(path))]
    sample = np.linspace(0, len(training) - 1, min(MEASURED_ON, len(training))).astype(np.int64)
    return networks_of(path, training.take(sample).images)


def starting_network(origin: str, settings: TrainSettings, training: FaceDataset) -> FaceNet:
    """Return the network of ``origin``, for a run by ``settings`` to learn on from.

    Raises:
        DataError: no such file.
        BundleError: not a whole checkpoint or bundle of this version.
        UsageError: its network has another shape than the settings ask for, or it is a committee.
    """
    networks = networks_from(origin, training)
    if len(networks) > 1:
        raise UsageError(f"{origin} is a committee of {len(networks)} networks; a run learns on from one")
    network = networks[0]
    for key, theirs, wanted in (("widths", network.widths, settings.widths), ("blocks", network.depths, settings.blocks)):
        if theirs != wanted:
            raise UsageError(f"{origin} has {key} {list(theirs)}, the recipe {list(wanted)}; a run learns on in the same shape")
    network.dropout.p = settings.dropout
    return network


def _is_bundle(origin: str) -> bool:
    return origin.endswith(".onnx") or origin in bundle_names()
