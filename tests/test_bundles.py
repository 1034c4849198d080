"""Bundles as files: smaller variants, the record beside each, and the verb that shows them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from datasets import TINY, make_dataset
from typer.testing import CliRunner

from mien.cli import app
from mien.data.dataset import FaceDataset
from mien.errors import BundleError, UsageError
from mien.evaluation.card_page import card_page
from mien.files import file_hash
from mien.lifecycle import export_model, train_model
from mien.modelcard import FER2013, ModelCard, results_by_truth
from mien.training.checkpoint import load_checkpoint
from mien.training.export import Parity, card_of, check_parity, measure_parity
from mien.training.network import count_parameters, network_from
from mien.vision.bundles import accuracies, bundle_names, bundle_path, read_record, record_evaluation
from mien.vision.predictor import Predictor


@pytest.fixture(scope="module")
def dataset() -> FaceDataset:
    return make_dataset()


@pytest.fixture(scope="module")
def run(dataset: FaceDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_model(dataset, TINY, folder, device="cpu", logs=folder / "logs")
    return folder


@pytest.fixture(scope="module")
def cards(run: Path, dataset: FaceDataset) -> dict[str, ModelCard]:
    return {p: export_model([run / "best.pt"], dataset, run / f"{p}.onnx", "tiny", p) for p in ("fp32", "fp16", "int8")}


def test_a_32_bit_bundle_answers_as_pytorch_does(cards: dict[str, ModelCard]) -> None:
    parity = cards["fp32"].export
    assert parity["images"] == 42
    assert parity["max_gap"] <= 1e-4
    assert parity["same_answer"] >= 0.999
    assert parity["accuracy_change"] == 0


def test_smaller_variants_say_what_they_lose(cards: dict[str, ModelCard], run: Path) -> None:
    sizes = {p: (run / f"{p}.onnx").stat().st_size for p in cards}
    assert sizes["fp16"] < 0.75 * sizes["fp32"]
    for precision, gap in (("fp16", 0.01), ("int8", 0.2)):
        card = Predictor(run / f"{precision}.onnx").card
        assert card.precision == precision
        assert 0 < card.export["max_gap"] < gap
        assert abs(card.export["accuracy_change"]) < 0.1
    half = onnx.load(run / "fp16.onnx")
    assert {t.data_type for t in half.graph.initializer} >= {onnx.TensorProto.FLOAT16}
    whole = onnx.load(run / "int8.onnx")
    assert "QuantizeLinear" in {node.op_type for node in whole.graph.node}


def test_a_committee_averages_logits_and_puts_embeddings_side_by_side(run: Path, dataset: FaceDataset, tmp_path: Path) -> None:
    members = [run / "best.pt", run / "last.pt"]
    card = export_model(members, dataset, tmp_path / "both.onnx", "both")
    states = [load_checkpoint(path) for path in members]
    networks = [network_from(state) for state in states]
    faces = dataset.images[:20, None]
    answer = Predictor(tmp_path / "both.onnx").predict(faces)
    with torch.no_grad():
        outputs = [network(torch.from_numpy(faces)) for network in networks]
    logits = (outputs[0].labels + outputs[1].labels) / 2 / card.temperature
    assert np.allclose(answer.probabilities, torch.softmax(logits, 1).numpy(), atol=1e-5)
    assert np.allclose(answer.embedding, torch.cat([output.embedding for output in outputs], 1).numpy(), atol=1e-4)
    assert card.parameters == 2 * count_parameters(networks[0])
    assert len(card.training) == 2
    states[0]["facts"]["dataset_hash"] = "other"
    with pytest.raises(BundleError, match="different data sets"):
        card_of(states, networks, "x", precision="fp32", temperature=1.0)


def test_an_unknown_precision_is_refused(run: Path, dataset: FaceDataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use fp32, fp16, int8"):
        export_model([run / "best.pt"], dataset, tmp_path / "x.onnx", "x", "fp8")


def test_a_graph_that_answers_otherwise_is_refused() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (2000, 7))
    exact = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    check_parity(measure_parity(exact, exact.astype(np.float32)))
    with pytest.raises(BundleError, match=r"differs from PyTorch by 0\.0002"):
        check_parity(Parity(2000, 2e-4, 1.0))
    swapped = exact.copy()
    swapped[:10] = np.roll(swapped[:10], 1, axis=1)
    found = measure_parity(exact, swapped.astype(np.float32))
    assert found.same_answer == pytest.approx(0.995)
    with pytest.raises(BundleError, match=r"99\.50% of 2000"):
        check_parity(Parity(2000, 0.0, found.same_answer))


def test_the_record_beside_a_bundle_belongs_to_it(cards: dict[str, ModelCard], run: Path, tmp_path: Path) -> None:
    record = read_record(run / "fp32.onnx")
    assert record is not None
    assert record["card"]["name"] == "tiny"
    copy = tmp_path / "copy.onnx"
    copy.write_bytes((run / "fp32.onnx").read_bytes())
    assert read_record(copy) is None
    with pytest.raises(BundleError, match=r"copy\.json"):
        record_evaluation(copy, "PublicTest", {})
    (tmp_path / "copy.json").write_bytes((run / "fp32.json").read_bytes())
    numbers = record["card"]["metrics"]["PublicTest"] | {"n": 3}
    record_evaluation(copy, "PublicTest", numbers)
    again = read_record(copy)
    assert again is not None
    assert again["evaluations"] == {"PublicTest": numbers}
    record_evaluation(copy, "PrivateTest", {"n": 3})
    with pytest.raises(BundleError, match="accuracy is missing"):
        read_record(copy)
    (tmp_path / "copy.json").write_text(json.dumps(again))
    copy.write_bytes(copy.read_bytes() + b" ")
    with pytest.raises(BundleError, match=r"copy\.onnx.*copy\.json"):
        read_record(copy)
    (tmp_path / "copy.json").write_text("[]")
    with pytest.raises(BundleError, match=r"copy\.json"):
        read_record(copy)


@pytest.mark.parametrize("metrics", [[], {"PublicTest": {"truths": {"people": {}}}}])
def test_the_metrics_in_a_record_are_checked(metrics: object, tmp_path: Path) -> None:
    bundle = tmp_path / "copy.onnx"
    bundle.write_bytes(bundle_path("mien-xs").read_bytes())
    record = {"sha256": file_hash(bundle), "card": {"metrics": metrics}, "evaluations": {}}
    (tmp_path / "copy.json").write_text(json.dumps(record))
    for read in (read_record, accuracies):
        with pytest.raises(BundleError, match=r"copy\.json is not the record of a bundle"):
            read(bundle)


def test_models_lists_shows_verifies_and_finds(tmp_path: Path, cards: dict[str, ModelCard], run: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["models", "list"]).stdout
    for name in bundle_names():
        assert name in listed
    assert "evaluate use mien-s, because models has no finished model" in listed
    assert runner.invoke(app, ["models", "path", "mien-xs"]).stdout.strip() == str(bundle_path("mien-xs"))
    verified = runner.invoke(app, ["models", "verify"])
    assert verified.exit_code == 0
    assert verified.stdout.count("as recorded") == len(bundle_names())
    broken = tmp_path / "broken.onnx"
    broken.write_bytes((run / "fp32.onnx").read_bytes()[:-100])
    answer = runner.invoke(app, ["models", "verify", str(broken), str(run / "fp32.onnx")])
    assert answer.exit_code == 3
    assert "broken.onnx: error" in answer.stderr
    assert "fp32.onnx: valid" in answer.stdout


def test_the_page_of_a_card_says_what_is_known_and_what_is_not(cards: dict[str, ModelCard]) -> None:
    card = cards["fp32"]
    page = card_page(card, "abc", 123_456)
    for said in (
        "# tiny",
        "`abc`",
        "0.12 MB",
        "Not scored on PrivateTest",
        card.intended_use,
        card.excluded_use,
        "No FER+ votes",
    ):
        assert said in page
    of_labels = results_by_truth(card.metrics["PublicTest"])["own"]
    numbers = {"truths": {FER2013: {**of_labels, "views": {"clean": of_labels}, "mirrored": {"accuracy": 0.5}}}}
    scored = card_page(card, evaluations={"PrivateTest": numbers})
    assert "| clean | 42 |" in scored
    assert "mirror image: 50.0%" in scored


def test_the_model_card_in_the_documents_is_the_bundles_own() -> None:
    from conftest import REPOSITORY

    said = CliRunner().invoke(app, ["models", "card"]).stdout
    assert (REPOSITORY / "docs" / "model_card.md").read_text() == said


@pytest.mark.parametrize(("name", "megabytes", "parameters"), [("mien-s", 10.0, 3_200_000), ("mien-xs", 1.2, 550_000)])
def test_the_packaged_bundles_are_within_their_limits(name: str, megabytes: float, parameters: int) -> None:
    path = bundle_path(name)
    card = Predictor(path).card
    record = read_record(path)
    assert record is not None
    assert record["card"] == json.loads(card.to_json())
    assert path.stat().st_size <= megabytes * 1e6
    assert card.parameters <= parameters
    assert card.export["images"] >= 1000
    assert card.export["same_answer"] >= 0.999
    assert card.heads == ("people", "fer2013")
    for truth, above in (("people", 0.01), ("fer2013", 0.02)):
        # a perfectly calibrated model would show its floor, 1 to 2%, and 0.7 points more in one of twenty draws
        numbers = card.metrics["PublicTest"]["truths"][truth]
        assert numbers["ece"] <= numbers["ece_floor"] + above
    assert "PrivateTest" not in card.metrics
    private = record["evaluations"]["PrivateTest"]["truths"]
    assert {truth: numbers["n"] for truth, numbers in private.items()} == {"people": 2720, "fer2013": 3589}


def test_an_export_that_is_interrupted_leaves_the_bundle_before_it_usable(
    cards: dict[str, ModelCard], run: Path, dataset: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.onnx"
    for suffix in (".onnx", ".json"):
        shutil.copy(run / f"fp32{suffix}", target.with_suffix(suffix))
    before = target.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("mien.training.export.measure_parity", stopped)
        with pytest.raises(KeyboardInterrupt):
            export_model([run / "best.pt"], dataset, target, "m", "fp16")
    assert target.read_bytes() == before
    assert read_record(target) is not None
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"run\.json would be replaced"):
        export_model([run / "best.pt"], dataset, tmp_path / "run.onnx", "m")


def stopped(*_: object) -> None:
    raise KeyboardInterrupt
