"""Trained networks as teachers or for fine-tuning, from checkpoints or bundles.

A bundle can be used like the checkpoint that it was exported from. Recipes that start from a packaged
bundle can therefore be run from a fresh clone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from mien.data.dataset import FaceDataset
from mien.errors import UsageError
from mien.modelcard import FER2013, PEOPLE
from mien.training.checkpoint import load_checkpoint
from mien.training.from_bundle import networks_of
from mien.training.network import FaceNet, network_from
from mien.training.settings import TrainSettings
from mien.vision.bundles import bundle_names, bundle_path

STATISTICS_FACES: Final = 3000
"""Number of faces on which the batch statistics of a bundle's networks are estimated."""


def origin_file(origin: str) -> Path:
    """Return the file of a checkpoint or bundle, given by path or by a bundle's name.

    Raises:
        DataError: there is no such bundle.
    """
    return bundle_path(origin) if _is_bundle(origin) else Path(origin)


def networks_from(origin: str, training: FaceDataset) -> list[FaceNet]:
    """Return the networks of a checkpoint (one) or a bundle (one, or several of an ensemble), in evaluation mode.

    Args:
        origin: a checkpoint, or a bundle's path or name.
        training: faces on which a bundle's batch statistics are estimated.

    Raises:
        DataError: no such file.
        BundleError: the file is broken or has a different architecture.
    """
    path = origin_file(origin)
    if not _is_bundle(origin):
        return [network_from(load_checkpoint(path))]
    sample = np.linspace(0, len(training) - 1, min(STATISTICS_FACES, len(training))).astype(np.int64)
    return networks_of(path, training.take(sample).images)


def starting_network(origin: str, settings: TrainSettings, training: FaceDataset, votes: bool) -> FaceNet:
    """Return the network of ``origin``, adapted for a run with ``settings``.

    Args:
        origin: a checkpoint, or a bundle's path or name.
        settings: the recipe.
        training: faces on which a bundle's batch statistics are estimated.
        votes: whether the run trains on votes; a people head is then added if the network has none.

    Raises:
        DataError: no such file.
        BundleError: the file is broken or has a different architecture.
        UsageError: the shape of the network differs from the settings, or it is an ensemble.
    """
    networks = networks_from(origin, training)
    if len(networks) > 1:
        raise UsageError(f"{origin} is an ensemble of {len(networks)} networks; only a single network can be fine-tuned")
    network = networks[0]
    for key, theirs, wanted in (("widths", network.widths, settings.widths), ("blocks", network.depths, settings.blocks)):
        if theirs != wanted:
            raise UsageError(f"{origin} has {key} {list(theirs)}, the recipe has {list(wanted)}; they must be equal to fine-tune")
    if votes and PEOPLE not in network.heads:
        network.add_people_head()
    if votes and settings.people_share == 1:
        network.drop_label_head()
    if network.label_stage is not None and not settings.own_label_stage:
        raise UsageError(f"the label head of {origin} has its own stage: add --set own_label_stage=true")
    if settings.own_label_stage and network.label_stage is None:
        if FER2013 not in network.heads:
            raise UsageError(f"{origin} has no label head: remove own_label_stage")
        network.add_label_stage()
    network.dropout.p, network.input_size = settings.dropout, settings.input_size
    return network


def _is_bundle(origin: str) -> bool:
    return origin.endswith(".onnx") or origin in bundle_names()
