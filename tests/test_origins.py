"""Teachers and initial networks, from checkpoints and bundles alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import TINY, make_dataset

from mien.errors import DataError, UsageError
from mien.files import file_hash
from mien.lifecycle import export_model, train_model
from mien.training.checkpoint import load_checkpoint
from mien.training.export import logits_of
from mien.training.origins import networks_from, origin_file, starting_network
from mien.vision.bundles import bundle_path

STILL = replace(TINY, epochs=1, peak_lr=1e-9, muon_lr=1e-9, ema_decay=0.0)
"""Settings of a run that does not change the weights."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with its checkpoint, its bundle, and an ensemble of it and another."""
    folder = tmp_path_factory.mktemp("run")
    train_model(make_dataset(), TINY, folder, device="cpu", logs=folder / "logs")
    export_model([folder / "best.pt"], make_dataset(), folder / "one.onnx", "one")
    other = replace(TINY, epochs=1, seed=1)
    train_model(make_dataset(), other, folder / "other", device="cpu", logs=folder / "logs")
    export_model([folder / "best.pt", folder / "other" / "best.pt"], make_dataset(), folder / "two.onnx", "two")
    return folder


def test_a_checkpoint_and_its_bundle_are_the_same_teacher(run: Path) -> None:
    training = make_dataset().split("Training")
    logits = [logits_of(networks_from(str(run / name), training), training.images).labels for name in ("best.pt", "one.onnx")]
    assert np.abs(logits[0] - logits[1]).max() < 1e-3
    assert len(networks_from(str(run / "two.onnx"), training)) == 2


def test_bundles_are_found_by_name(run: Path) -> None:
    assert origin_file("mien-xs") == bundle_path("mien-xs")
    assert origin_file(str(run / "best.pt")) == run / "best.pt"
    assert networks_from("mien-xs", make_dataset().split("Training"))[0].widths == (32, 48, 80)


def test_fine_tuning_a_bundle_starts_like_fine_tuning_its_checkpoint(run: Path, tmp_path: Path) -> None:
    losses = {}
    for name in ("best.pt", "one.onnx"):
        rows = train_model(
            make_dataset(), STILL, tmp_path / name, device="cpu", logs=tmp_path, start=str(run / name), teachers=[str(run / name)]
        )
        losses[name] = rows[0].train_loss
    fresh = train_model(make_dataset(), STILL, tmp_path / "fresh", device="cpu", logs=tmp_path, teachers=[str(run / "best.pt")])
    # in so short a run the running statistics lag; those of a bundle are estimated again
    assert losses["one.onnx"] == pytest.approx(losses["best.pt"], rel=0.3)
    assert losses["one.onnx"] < 0.7 * fresh[0].train_loss
    facts = load_checkpoint(tmp_path / "one.onnx" / "last.pt")["facts"]
    assert facts["start"] == file_hash(run / "one.onnx")
    assert facts["teachers"] == [file_hash(run / "one.onnx")]


def test_unsuitable_initial_networks_are_refused(run: Path, tmp_path: Path) -> None:
    training = make_dataset().split("Training")
    with pytest.raises(UsageError, match=r"two\.onnx.* 2 networks"):
        starting_network(str(run / "two.onnx"), TINY, training, votes=False)
    with pytest.raises(UsageError, match=r"mien-xs has widths \[32, 48, 80\].* \[16, 16, 32\]"):
        starting_network("mien-xs", TINY, training, votes=False)
    for gone in ("gone.pt", "gone.onnx"):
        with pytest.raises(DataError, match="gone"):
            networks_from(str(tmp_path / gone), training)


def test_dropout_is_taken_from_the_recipe(run: Path) -> None:
    network = starting_network(str(run / "one.onnx"), replace(TINY, dropout=0.35), make_dataset().split("Training"), votes=False)
    assert network.dropout.p == 0.35
    assert not network.freeze_statistics
    assert torch.isfinite(network(torch.zeros(1, 1, 48, 48)).labels).all()
