"""Retraining with a real bundle and real faces: fine-tuning, gates, resuming after a stop, and invalid input."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, MienHere
from datasets import TINY, make_dataset, no_bars, pattern, take_for_fer2013, varied
from typer.testing import CliRunner

from mien import metrics
from mien.cli import app
from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError, UsageError
from mien.files import file_hash
from mien.lifecycle import export_model, train_model
from mien.locks import only_writer
from mien.monitoring.reference_file import read_reference, reference_path
from mien.retraining.candidate import BUNDLE_NAME, RECORD_NAME, Candidate, write_candidate
from mien.retraining.gates import Gate, PairedPredictions, _largest_by_chance, evaluate_gates
from mien.retraining.new_data import prepare_new_faces
from mien.retraining.retrain import RetrainOptions, _evaluate, retrain
from mien.training.export import logits_of, people_probabilities
from mien.training.from_bundle import networks_of
from mien.vision.bundles import packaged_bundle
from mien.vision.predictor import Predictor

SETTINGS = replace(TINY, epochs=2, batch_size=20, optimiser="sgd", peak_lr=0.02)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble of two tiny networks trained on the patterns."""
    folder = tmp_path_factory.mktemp("parent")
    for number in range(2):
        train_model(make_dataset(), replace(TINY, seed=number), folder / str(number), device="cpu", logs=folder / "logs")
    export_model([folder / str(k) / "best.pt" for k in range(2)], make_dataset(), folder / "parent.onnx", "parent")
    return folder / "parent.onnx"


def new_faces(count: int = 20, first: int = 5000, negative: bool = True) -> FaceDataset:
    """Return patterns of the same classes with inverted grey levels, which the parent cannot classify."""
    images, labels = [], []
    for label in range(len(EMOTIONS)):
        for k in range(count):
            image = pattern(label, first + k)
            images.append(255 - image if negative else image)
            labels.append(label)
    names = tuple(f"new-{k}" for k in range(len(labels)))
    return FaceDataset(varied(np.stack(images), first), np.array(labels, np.int64), np.zeros(len(labels), np.int64), names)


def options(parent: Path, **changes: Any) -> RetrainOptions:
    return RetrainOptions(bundle=parent, name="parent", **({"settings": SETTINGS} | changes))


@pytest.mark.parametrize("name", ["mien-s", "mien-xs"])
def test_the_networks_of_a_bundle_predict_as_it_does_and_have_real_statistics(name: str, fer2013: FaceDataset) -> None:
    training, faces = fer2013.split("Training").images[:300], fer2013.split("PublicTest").images[:200]
    bundle = packaged_bundle(name)
    networks = networks_of(bundle, training)
    predictor = Predictor(bundle)
    card, logits = predictor.card, logits_of(networks, faces)
    people = people_probabilities(logits.people, card.temperature, list(card.logit_offsets.values()))
    assert np.abs(people - predictor.predict(faces[:, None]).probabilities).max() < 1e-4
    labels = metrics.softmax(logits.labels / card.fer2013_temperature)
    assert np.abs(labels - predictor.predict_fer2013(faces[:, None])).max() < 1e-4
    for network in networks:  # with batch statistics (training mode) the predictions must be nearly the same
        network.train()
        network.dropout.eval()
    by_batch = logits_of(networks, faces)
    assert (by_batch.people.argmax(1) == logits.people.argmax(1)).mean() > 0.85


def test_an_int8_bundle_cannot_be_fine_tuned(parent: Path, tmp_path: Path) -> None:
    export_model([parent.parent / "0" / "best.pt"], make_dataset(), tmp_path / "small.onnx", "small", "int8")
    with pytest.raises(BundleError, match=r"small\.onnx.*int8"):
        networks_of(tmp_path / "small.onnx", make_dataset().images)


def test_fine_tuning_improves_new_faces_and_writes_the_lineage(parent: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=10, peak_lr=0.1)
    found = retrain(options(parent, settings=settings, new_share=0.5), new_faces(40), make_dataset(), tmp_path / "out", no_bars)
    record = json.loads((tmp_path / "out" / RECORD_NAME).read_text())
    gates = {gate["name"]: gate for gate in record["gates"]}
    assert gates["new faces better"]["after"] > gates["new faces better"]["before"] + 0.2
    assert found.passed == all(gate["passed"] for gate in record["gates"])
    assert record["parent"] == {"name": "parent", "sha256": file_hash(parent)}
    data = record["data"]
    assert data["to_judge"] == 84
    assert data["to_judge"] + data["to_learn"] + sum(data["taken_out"].values()) == data["new"] == 280
    assert found.sha256 == file_hash(tmp_path / "out" / BUNDLE_NAME)
    assert '>new faces better</td><td class="text">passed<' in (tmp_path / "out" / "candidate.html").read_text()
    with pytest.raises(UsageError, match=str(tmp_path / "out")):
        retrain(options(parent), new_faces(), make_dataset(), tmp_path / "out", no_bars)


def test_a_folder_takes_one_run_at_a_time(tmp_path: Path, fer_folder: Path) -> None:
    data = [f"--data={fer_folder}", f"--new-data={fer_folder / 'train'}", f"--out={tmp_path / 'out'}"]
    with only_writer(tmp_path / "out"):
        answer = CliRunner().invoke(app, ["retrain", *data])
    assert isinstance(answer.exception, UsageError)
    assert "another process" in str(answer.exception)


def test_a_finished_folder_is_refused_before_anything_is_read(tmp_path: Path, mien_here: MienHere) -> None:
    (tmp_path / RECORD_NAME).touch()
    code, _, err = mien_here("retrain", "--new-data", "nosuch", "--data", "nosuch", "--out", str(tmp_path))
    assert code == 2
    assert "holds a finished candidate" in err


@pytest.mark.parametrize("stage", ["reading", "checking new faces", "predicting targets with the bundle"])
def test_ctrl_c_says_what_is_saved(
    stage: str, fer_folder: Path, here: Path, mien_here: MienHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def stopping(heading: str) -> Iterator[Callable[[int, int], None]]:
        if heading == stage:
            raise KeyboardInterrupt
        yield lambda done, total: None

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.cli.progress.logged_progress", stopping)
    if stage == "reading":
        monkeypatch.setattr("mien.cli.reading.read_new_faces", stop)
    faces = new_faces(10)
    for label, name in enumerate(EMOTIONS):
        (here / "new" / name).mkdir(parents=True)
        for k in np.flatnonzero(faces.labels == label):
            cv2.imwrite(str(here / "new" / name / f"{k}.png"), faces.images[k])
    code, _, err = mien_here("retrain", "--new-data", "new", "--data", str(fer_folder), "--model", "mien-xs", "--out", "out")
    assert code == 130
    saved = "saved in out. The same command resumes" in err
    assert saved == (here / "out" / "plan.json").exists() == stage.startswith("predicting")
    assert ("nothing was" in err) != saved


@pytest.mark.parametrize(("more", "passed", "made"), [([], True, True), (["--no-reference"], True, False), ([], False, False)])
def test_a_candidate_that_passes_gets_a_drift_reference(
    more: list[str], passed: bool, made: bool, fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    reference = packaged_bundle("mien-xs").with_suffix(".reference.npz")
    known = read_reference(reference, file_hash(packaged_bundle("mien-xs")))

    def candidate(
        options: RetrainOptions, new: FaceDataset, old: FaceDataset, folder: Path, bars: object, on_passed: Callable[[Path], None]
    ) -> Candidate:
        shutil.copy(packaged_bundle("mien-xs"), folder / BUNDLE_NAME)
        if passed:
            on_passed(folder / BUNDLE_NAME)
        gate = Gate(name="new faces better", passed=passed, before=0.5, after=0.7, noise=0.02, sentence="better. Passed")
        data = {"to_learn": 70, "to_judge": 30, "replayed": 100, "problems": []}
        return write_candidate(folder, {"parent": {"name": "mien-xs", "sha256": "0" * 64}, "request": None, "data": data}, [gate])

    monkeypatch.setattr("mien.retraining.retrain.retrain", candidate)
    monkeypatch.setattr("mien.watch.make_reference", lambda bundle, dataset, split, *rest, **more: known)
    data = [f"--data={fer_folder}", f"--new-data={fer_folder / 'train'}", f"--out={out}"]
    answer = CliRunner().invoke(app, ["retrain", *data, *more])
    assert answer.exit_code == (0 if passed else 11), answer.output
    assert reference_path(out / BUNDLE_NAME).is_file() is made
    assert ("drift reference" in answer.output) is made


def test_the_truth_of_the_gates_is_that_of_the_whole_data(monkeypatch: pytest.MonkeyPatch) -> None:
    old = make_dataset()
    take_for_fer2013(old, monkeypatch)
    bundle = packaged_bundle("mien-xs")
    gates = _evaluate(options(bundle), bundle, old, new_faces(2))
    assert {gate.name for gate in gates if "not worse" in gate.name} == {"PublicTest not worse, fer2013"}


def test_a_candidate_without_a_gain_fails_its_gate(parent: Path, tmp_path: Path) -> None:
    still = replace(SETTINGS, epochs=1, peak_lr=1e-9, weight_decay=0.0)
    found = retrain(options(parent, settings=still), new_faces(), make_dataset(), tmp_path / "out", no_bars)
    assert not found.passed
    gates = {gate["name"]: gate for gate in json.loads((tmp_path / "out" / RECORD_NAME).read_text())["gates"]}
    assert gates["new faces better"]["sentence"] in found.failed


def test_a_stopped_run_resumes_to_the_same_candidate(parent: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    @contextmanager
    def stopping(heading: str) -> Iterator[Callable[[int, int], None]]:
        steps = itertools.count()

        def progress(done: int, total: int) -> None:
            if "network 2" in heading and next(steps) == 5:
                raise Stopped

        yield progress

    data = new_faces()
    whole = retrain(options(parent), data, make_dataset(), tmp_path / "whole", no_bars)
    with pytest.raises(Stopped):
        retrain(options(parent), data, make_dataset(), tmp_path / "cut", stopping)
    with pytest.raises(UsageError, match="seed"):
        retrain(options(parent, seed=1), data, make_dataset(), tmp_path / "cut", no_bars)
    again = retrain(options(parent), data, make_dataset(), tmp_path / "cut", no_bars)
    assert again.sha256 == whole.sha256


def test_a_run_stopped_after_its_gates_passed_is_not_finished(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(name="new faces better", passed=True, before=0.5, after=0.7, noise=0.02, sentence="better. Passed")
    monkeypatch.setattr("mien.retraining.retrain._fine_tune", lambda *rest: [])
    monkeypatch.setattr("mien.retraining.retrain.export_model", lambda nets, data, out, *rest, **more: shutil.copy(parent, out))
    monkeypatch.setattr("mien.retraining.retrain._evaluate", lambda *rest: [gate])

    def stop(bundle: Path) -> None:
        assert bundle.is_file()
        raise KeyboardInterrupt

    run = (options(parent), new_faces(), make_dataset(), tmp_path / "out", no_bars)
    with pytest.raises(KeyboardInterrupt):
        retrain(*run, stop)
    told: list[Path] = []
    for name in (".candidate-abcdefgh.onnx", ".candidate.lineage-abcdefgh.json"):  # left by a kill
        (tmp_path / "out" / name).touch()
    assert retrain(*run, told.append).passed
    assert list((tmp_path / "out").glob(".candidate*")) == []
    assert told == [tmp_path / "out" / BUNDLE_NAME]


@pytest.mark.timeout(15)
def test_noise_of_many_differing_predictions_is_exact_and_quick() -> None:
    binomial = pytest.importorskip("scipy.stats").binom
    for differing in (20, 1_000, 20_000):
        gained = (_largest_by_chance(differing, 0.95) + differing) // 2
        assert binomial.sf(gained, differing, 0.5) <= 0.05 < binomial.sf(gained - 1, differing, 0.5)


def test_copies_of_test_images_are_removed(parent: Path) -> None:
    old = make_dataset()
    leaked = old.split("PrivateTest")
    fresh = new_faces(15)
    both = FaceDataset(
        np.concatenate([fresh.images, leaked.images]),
        np.concatenate([fresh.labels, leaked.labels]),
        np.concatenate([fresh.splits, leaked.splits]),
        (*fresh.names, *leaked.names),
    )
    answers = np.full((len(both), 7), 1 / 7, np.float32)
    found = prepare_new_faces(both, old, answers, held_out_share=0.3, seed=0)
    assert found.audit["taken_out"]["copies_of_old_images"] >= len(leaked)
    known = {image.tobytes() for image in leaked.images}
    assert not any(image.tobytes() in known for part in (found.training, found.held_out) for image in part.images)
    assert found.audit["problems"]
    sides = [{image.tobytes() for image in part.images} for part in (found.training, found.held_out)]
    assert not sides[0] & sides[1]


def test_too_few_faces_or_classes_are_refused(parent: Path, tmp_path: Path) -> None:
    few, one = new_faces(3), new_faces(100).take(np.arange(100))
    for data in (few, one):
        with pytest.raises(DataError, match=f"of {len(data)} "):
            retrain(options(parent), data, make_dataset(), tmp_path / "out", no_bars)


@pytest.mark.parametrize(
    ("content", "named"),
    [("[]", ""), ("{", ""), ('{"what": "picture"}', "in_words"), (None, "")],
)
def test_a_broken_request_is_refused(content: str | None, named: str, parent: Path, tmp_path: Path) -> None:
    path = tmp_path / "retrain_request.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=rf"retrain_request\.json.*{named}"):
        retrain(options(parent, request=path), new_faces(), make_dataset(), tmp_path / "out", no_bars)


def test_a_request_for_another_bundle_is_refused(parent: Path, tmp_path: Path) -> None:
    path = tmp_path / "retrain_request.json"
    path.write_text(json.dumps({"what": "picture", "in_words": "x", "drifted": [], "model": {"name": "y", "sha256": "0" * 64}}))
    with pytest.raises(DataError, match="000000000000"):
        retrain(options(parent, request=path), new_faces(), make_dataset(), tmp_path / "out", no_bars)


def predictions(right_before: np.ndarray, right_after: np.ndarray, labels: np.ndarray) -> PairedPredictions:
    def probabilities(right: np.ndarray) -> np.ndarray:
        rows = np.full((len(labels), 7), 0.05)
        rows[np.arange(len(labels)), np.where(right, labels, (labels + 1) % 7)] = 0.7
        return rows

    return PairedPredictions(labels, probabilities(right_before), probabilities(right_after))


@pytest.mark.parametrize(
    ("lost", "passes"), [(0, True), (20, True), (150, False)], ids=["the same", "within the noise", "far worse"]
)
def test_a_loss_on_publictest_beyond_its_noise_fails(lost: int, passes: bool) -> None:
    labels = np.arange(3500) % 7
    before = np.random.default_rng(0).random(3500) < 0.7
    after = before.copy()
    swapped = np.random.default_rng(1).permutation(3500)[:300]  # predictions that change without getting worse
    after[swapped] = before[np.random.default_rng(2).permutation(swapped)]
    after[np.flatnonzero(after)[:lost]] = False
    gates = {
        gate.name: gate
        for gate in evaluate_gates([("fer2013", predictions(before, after, labels))], predictions(before, after, labels))
    }
    assert gates["PublicTest not worse, fer2013"].passed is passes
    assert not gates["new faces better"].passed


@pytest.mark.parametrize(("won", "passes"), [(26, False), (40, True)], ids=["within the noise", "beyond it"])
def test_a_gain_on_new_faces_beyond_its_noise_passes(won: int, passes: bool) -> None:
    """With 50 changed predictions, chance explains a gain of up to 12 of them (31 won, 19 lost)."""
    labels = np.arange(350) % 7
    before, after = np.ones(350, np.bool_), np.ones(350, np.bool_)
    before[:won] = False
    after[won:50] = False
    gates = {gate.name: gate for gate in evaluate_gates([], predictions(before, after, labels))}
    assert gates["new faces better"].after > gates["new faces better"].before
    assert gates["new faces better"].passed is passes


def test_a_lost_class_fails_its_gate_although_accuracy_rises() -> None:
    labels = np.arange(3500) % 7
    before = np.random.default_rng(0).random(3500) < 0.6
    after = before | (np.random.default_rng(1).random(3500) < 0.5)
    after[labels == EMOTIONS.index("fear")] = False
    gates = {
        gate.name: gate
        for gate in evaluate_gates([("fer2013", predictions(before, after, labels))], predictions(before, after, labels))
    }
    assert gates["PublicTest not worse, fer2013"].passed
    assert gates["new faces better"].passed
    assert [name for name, gate in gates.items() if "recall" in name and not gate.passed] == ["recall of fear kept, fer2013"]


@pytest.mark.parametrize(
    ("gained", "lost", "passes"), [(30, 24, False), (60, 24, True), (1, 0, False), (31, 19, False), (32, 18, True)]
)
def test_new_faces_are_better_only_beyond_their_noise(gained: int, lost: int, passes: bool) -> None:
    labels = np.arange(700) % 7
    before = np.arange(700) < 400
    after = before.copy()
    after[:lost] = False
    after[400 : 400 + gained] = True
    gate = next(gate for gate in evaluate_gates([], predictions(before, after, labels)) if gate.name == "new faces better")
    assert gate.after > gate.before
    assert gate.noise == pytest.approx(1.6449 * np.sqrt(gained + lost) / 700, abs=1.01 / 700)
    assert gate.passed is passes


@pytest.mark.parametrize("differing", [*range(1, 31), 100, 999])
def test_chance_passes_a_gate_in_one_of_twenty_cases_at_most(differing: int) -> None:
    labels = np.arange(1000) % 7

    def passes(gained: int) -> bool:
        before, after = np.arange(1000) < 0, np.arange(1000) < gained
        before[gained:differing] = True
        (gate,) = evaluate_gates([], predictions(before, after, labels))
        return gate.passed

    least = next((gained for gained in range(differing // 2, differing + 1) if passes(gained)), differing + 1)
    of_chance = sum(math.comb(differing, gained) for gained in range(least, differing + 1)) / 2**differing
    assert of_chance <= 0.05 < of_chance + math.comb(differing, least - 1) / 2**differing


def test_few_lost_images_of_a_class_are_within_its_noise() -> None:
    labels = np.arange(3500) % 7
    before = np.ones(3500, np.bool_)
    for lost, passes in ((7, True), (8, False)):  # by chance, 7 of 7 are lost with a probability of 0.8%, above 5% / 7
        after = before.copy()
        after[np.flatnonzero(labels == EMOTIONS.index("disgust"))[:lost]] = False
        gates = evaluate_gates([("fer2013", predictions(before, after, labels))], predictions(before, after, labels))
        assert {gate.name: gate.passed for gate in gates}["recall of disgust kept, fer2013"] is passes


def test_privatetest_is_not_used() -> None:
    for path in (REPOSITORY / "mien" / "retraining").glob("*.py"):
        code = path.read_text()
        assert 'split("PrivateTest")' not in code, path
