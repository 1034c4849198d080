"""A tiny training run end to end: training, resuming, export, and broken files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from datasets import TINY, make_dataset, no_bars

from mien import metrics
from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError, DeviceError, UsageError
from mien.evaluation.evaluate import evaluate_bundle
from mien.lifecycle import BUNDLE_FILE, export_model, train_model
from mien.modelcard import METADATA_KEY
from mien.training.augment import DRAWS_PER_FACE, augment
from mien.training.checkpoint import load_checkpoint, save_checkpoint
from mien.training.export import fit_temperature
from mien.training.network import FaceNet, count_multiply_adds, count_parameters
from mien.training.processes import pick_device
from mien.training.recipe import read_recipe
from mien.training.settings import AugmentSettings, TrainSettings
from mien.vision.bundles import bundle_path
from mien.vision.predictor import Predictor


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_model(make_dataset(), TINY, folder, device="cpu", logs=folder / "logs")
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    export_model([run / "best.pt"], make_dataset(), run / BUNDLE_FILE, "tiny")
    return run / BUNDLE_FILE


def test_the_network_is_what_its_docstring_says() -> None:
    import mien.training.network as module

    assert module.__doc__ is not None
    for name in ("default", "tiny"):
        settings = read_recipe(name)[1]
        network = FaceNet(widths=settings.widths, blocks=settings.blocks).eval()
        people, labels, embedding = network(torch.zeros(1, 1, 48, 48, dtype=torch.uint8))
        assert people.shape == (1, len(EMOTIONS) + 1)
        assert labels.shape == (1, len(EMOTIONS))
        assert embedding.shape == (1, settings.widths[-1])
        said = f"{name}: {count_parameters(network):,} parameters and {count_multiply_adds(network):,} multiply-adds"
        assert said in module.__doc__


def test_multiply_adds_are_counted_as_by_hand() -> None:
    layer = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, 2, 1, bias=False), torch.nn.Flatten(), torch.nn.Linear(4 * 24 * 24, 7))
    assert count_multiply_adds(layer) == 4 * 9 * 24 * 24 + 7 * 4 * 24 * 24


def test_augmentation_is_seeded_and_stays_a_picture() -> None:
    faces = torch.from_numpy(make_dataset((2, 1, 1)).images)[:, None]
    first, other = (augment(faces, AugmentSettings(), _draws(len(faces), seed)) for seed in (1, 2))
    assert torch.equal(first, augment(faces, AugmentSettings(), _draws(len(faces), 1)))
    assert torch.equal(first[1::2], augment(faces[1::2], AugmentSettings(), _draws(len(faces), 1)[1::2]))
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 255
    assert augment(faces, AugmentSettings(), _draws(len(faces), 1), size=32).shape == (len(faces), 1, 32, 32)
    still = AugmentSettings(rotation_deg=0, scale=0, shift=0, contrast=0, brightness=0, erase_probability=0)
    kept = augment(faces, still, _draws(len(faces), 0))
    alike = [
        torch.allclose(k, f.float(), atol=0.5) or torch.allclose(k, f.flip(2).float(), atol=0.5)
        for k, f in zip(kept, faces, strict=True)
    ]
    assert all(alike)  # with nothing else allowed, only the mirror is left


def test_it_learns_and_leaves_everything_beside_the_run(run: Path) -> None:
    state = load_checkpoint(run / "best.pt")
    assert max(row["val_accuracy"] for row in state["history"]) >= 0.8
    assert len((run / "history.csv").read_text().splitlines()) == 1 + TINY.epochs
    assert (run / "curves.png").stat().st_size > 5000
    assert (run / "run.json").is_file()


def test_a_run_that_was_killed_before_its_first_checkpoint_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "best.pt").touch()
    with pytest.raises(DataError, match="without --resume"):
        train_model(make_dataset(), TINY, tmp_path, resume=True)


def test_a_run_is_not_overwritten_nor_resumed_as_something_else(run: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        train_model(make_dataset(), TINY, run)
    with pytest.raises(UsageError, match="seed was 0, now 1"):
        train_model(make_dataset(), TrainSettings(**{**_shallow(TINY), "seed": 1}), run, resume=True)
    other = replace(TINY, epochs=5, augment=replace(TINY.augment, cutmix=0.5))
    with pytest.raises(UsageError) as caught:
        train_model(make_dataset(), other, run, resume=True)
    assert "epochs was 4, now 5; augment.cutmix was 0.0, now 0.5" in str(caught.value)
    assert "{" not in str(caught.value)
    with pytest.raises(UsageError, match="dataset_hash"):
        train_model(make_dataset((31, 6, 6)), TINY, run, resume=True)


def test_resuming_without_the_recipe_of_the_run_says_which_it_is(tmp_path: Path) -> None:
    short, data = replace(TINY, epochs=1), make_dataset((8, 2, 2))
    train_model(data, short, tmp_path, command="mien train --recipe tiny --set epochs=1", device="cpu", logs=tmp_path)
    for recipe, said in (("default", "the recipe tiny with --recipe"), ("tiny", "seed was 0, now 1")):
        with pytest.raises(UsageError) as caught:
            train_model(data, replace(short, seed=1), tmp_path, command=f"mien train --recipe {recipe}", resume=True)
        assert said in str(caught.value)
        assert (recipe in str(caught.value)) == (recipe == "default")


def test_the_bundle_answers_as_pytorch_does_and_carries_its_card(bundle: Path) -> None:
    dataset = make_dataset()
    predictor = Predictor(bundle)
    evaluation = evaluate_bundle(bundle, dataset, "PublicTest", no_bars)
    card, numbers = evaluation.card, evaluation.facts
    assert card.labels == EMOTIONS
    assert card.dataset_hash == dataset.content_hash() == numbers["dataset_hash"]
    assert card.heads == ("fer2013",)  # it learnt from labels alone
    measured, recorded = numbers["truths"]["own"], card.metrics["PublicTest"]["truths"]["own"]
    assert measured["accuracy"] == pytest.approx(recorded["accuracy"])
    faces = dataset.images[:, None]
    one_by_one = np.concatenate([predictor.predict(f[None]).probabilities for f in faces[:20]])
    assert np.allclose(one_by_one, predictor.predict(faces[:20]).probabilities, atol=1e-5)
    assert predictor.predict(faces[:0]).probabilities.shape == (0, 7)


def test_the_graph_uses_plain_operators_and_names_no_machine(bundle: Path) -> None:
    for path in (bundle, bundle_path("mien-s")):
        model = onnx.load(path)
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
        assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert not model.functions
        assert not any(node.domain for node in model.graph.node)
        assert [p.key for p in model.metadata_props] == [METADATA_KEY]
        assert not any(mark in path.read_bytes() for mark in (b"site-packages", b"lib/python", b"Traceback"))


def with_card(source: Path, target: Path, old: str, new: str) -> Path:
    model = onnx.load(source)
    card = {p.key: p.value for p in model.metadata_props}[METADATA_KEY]
    assert old in card
    onnx.helper.set_model_props(model, {METADATA_KEY: card.replace(old, new)})
    onnx.save(model, target)
    return target


def broken_bundle(kind: str, bundle: Path, tmp_path: Path) -> Path:
    target = tmp_path / "broken.onnx"
    whole = bundle.read_bytes()
    if kind == "cut":
        target.write_bytes(whole[: len(whole) // 2])
    elif kind == "empty":
        target.write_bytes(b"")
    elif kind == "text":
        target.write_text("hello" * 1000)
    elif kind == "labels":
        with_card(bundle, target, '"angry", "disgust"', '"disgust", "angry"')
    elif kind == "size":
        with_card(bundle, target, '"input_size": 48', '"input_size": 64')
    elif kind == "version":
        with_card(bundle, target, '"preprocess_version": "1"', '"preprocess_version": "0"')
    elif kind == "json":
        with_card(bundle, target, '"labels"', "labels")
    else:
        model = onnx.load(bundle)
        if kind == "no card":
            del model.metadata_props[:]
        elif kind == "nan":
            # the head's bias is the only vector of seven
            bias = next(t for t in model.graph.initializer if list(t.dims) == [7])
            bias.CopyFrom(onnx.numpy_helper.from_array(np.full(7, np.nan, np.float32), bias.name))
        onnx.save(model, target)
    return target


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("cut", "ONNX"),
        ("empty", "ONNX"),
        ("text", "ONNX"),
        ("no card", "card"),
        ("json", "card"),
        ("labels", "'disgust', 'angry'"),
        ("size", "64"),
        ("version", "version 0"),
        ("nan", "probabilities"),
    ],
)
def test_broken_bundles_are_refused_in_one_line(kind: str, named: str, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=rf"broken\.onnx.*{named}") as caught:
        Predictor(broken_bundle(kind, bundle, tmp_path))
    assert "\n" not in str(caught.value)


def test_a_bundle_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"gone\.onnx"):
        bundle_path("gone.onnx")


def test_broken_checkpoints_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.pt"):
        load_checkpoint(tmp_path / "none.pt")
    cut = tmp_path / "cut.pt"
    cut.write_bytes((run / "best.pt").read_bytes()[:100_000])
    with pytest.raises(BundleError, match=r"cut\.pt"):
        load_checkpoint(cut)
    torch.save({"something": 1}, tmp_path / "other.pt")
    with pytest.raises(BundleError, match=r"other\.pt"):
        load_checkpoint(tmp_path / "other.pt")
    for key, value, named in (
        ("labels", ["happy", "sad"], "'happy', 'sad'"),
        ("input_size", 64, "64"),
        ("ema", None, "ema"),
    ):
        changed = {**load_checkpoint(run / "best.pt"), key: value}
        torch.save({k: v for k, v in changed.items() if v is not None}, tmp_path / "changed.pt")
        with pytest.raises(BundleError, match=named):
            load_checkpoint(tmp_path / "changed.pt")
    state = load_checkpoint(run / "best.pt")
    state["ema"]["labels.bias"][0] = float("nan")
    save_checkpoint(tmp_path / "nan.pt", {k: v for k, v in state.items() if k not in ("format", "labels", "input_size")})
    with pytest.raises(BundleError, match=r"nan\.pt"):
        load_checkpoint(tmp_path / "nan.pt")
    del state["ema"]["labels.bias"]
    save_checkpoint(tmp_path / "missing.pt", {k: v for k, v in state.items() if k not in ("format", "labels", "input_size")})
    with pytest.raises(BundleError, match="weights"):
        export_model([tmp_path / "missing.pt"], make_dataset(), tmp_path / "out.onnx", "x")
    assert not (tmp_path / "out.onnx").exists()


def test_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (4000, 7))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([random.choice(7, p=p) for p in probabilities])
    assert fit_temperature(lambda t: metrics.softmax(logits * 2.5 / t), labels) == pytest.approx(2.5, rel=0.06)


def test_settings_and_devices_are_checked() -> None:
    with pytest.raises(UsageError, match="epochs"):
        TrainSettings(epochs=0)
    for change in ({"erase_size": (0.1,)}, {"erase_size": (0.5, 1.2)}, {"scale": 1.0}, {"cutmix": 7.0}, {"brightness": -1.0}):
        with pytest.raises(UsageError, match=f"augment.{next(iter(change))} is "):
            TrainSettings(augment=AugmentSettings(**change))
    with pytest.raises(UsageError, match="widths is "):
        TrainSettings(widths=(10**6,) * 3)
    wrong = {"weight_decay": -1.0, "ema_decay": 1.0, "dropout": 1.0, "limit": 10**20, "epochs": 10**20}
    for name, value in (("seed", -1), ("seed", 20261201123456), *wrong.items()):
        with pytest.raises(UsageError, match=f"{name} is "):
            TrainSettings(**{name: value})
    with pytest.raises(UsageError, match="'tpu'"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="CUDA"):
            pick_device("cuda")
    with pytest.raises(UsageError, match=" 7 images"):
        train_model(make_dataset((1, 1, 0)), TINY, Path("unused"))


def _shallow(settings: TrainSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in TrainSettings.__dataclass_fields__}


def _draws(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, DRAWS_PER_FACE, generator=torch.Generator().manual_seed(seed))
