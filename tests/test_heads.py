"""Two heads on one network: what people see, and what FER2013's label would be. They are never mixed up."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from conftest import REPOSITORY
from datasets import TINY, make_dataset, no_bars, pattern, take_for_fer2013
from test_cli import mien

from mien.data.dataset import FaceDataset
from mien.data.votes import Votes, read_votes
from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError, UsageError
from mien.evaluation.agreement import ferplus_accuracy, human_agreement
from mien.evaluation.calibration import thresholds_by_class
from mien.evaluation.evaluate import Evaluation, evaluate_bundle
from mien.evaluation.report_text import evaluation_text
from mien.evaluation.truths import truths_about
from mien.lifecycle import export_model, train_model
from mien.modelcard import FER2013, FER2013_OUTPUT, PEOPLE, read_card, results_by_truth
from mien.retraining.gates import PairedPredictions, evaluate_gates
from mien.training.augment import DRAWS_PER_FACE, augment
from mien.training.camera import DRAWS_PER_FACE as CAMERA_DRAWS
from mien.training.camera import blurred, camera_effects, jpeg
from mien.training.checkpoint import load_checkpoint, save_checkpoint
from mien.training.export import choose_adjustment, logits_of
from mien.training.from_bundle import networks_of
from mien.training.network import FaceNet, network_from
from mien.training.origins import starting_network
from mien.training.settings import AugmentSettings
from mien.vision.bundles import packaged_bundle
from mien.vision.predictor import Predictor

NEUTRAL, SAD, HAPPY = (EMOTIONS.index(name) for name in ("neutral", "sad", "happy"))
SPLITS = ("Training", "PublicTest", "PrivateTest")
COLUMNS = ("path", *EMOTIONS, "contempt", "unknown", "NF")


def fer2013_like(folder: Path) -> tuple[FaceDataset, Path]:
    """Return patterns under FER2013's names, and votes for them.

    What people see as neutral the data set calls sad. Some images are noise that people call no face.
    """
    images, labels, splits, names, rows = [], [], [], [], []
    for split, count in enumerate((36, 12, 6)):
        for seen in range(len(EMOTIONS)):
            for k in range(count):
                label = SAD if seen == NEUTRAL else seen
                number = 1000 * seen + k
                images.append(pattern(seen, 1000 * split + k))
                labels.append(label)
                splits.append(split)
                names.append(f"{'train' if split == 0 else 'test'}/{EMOTIONS[label]}/{SPLITS[split]}_{number}.jpg")
                votes = [0] * 10
                votes[seen], votes[(seen + 1) % 7], votes[8] = 8, 1, 1
                rows.append((names[-1], *votes))
        for k in range(count):
            images.append(np.random.default_rng(10_000 * split + k).integers(0, 256, (48, 48)).astype(np.uint8))
            labels.append(HAPPY)
            splits.append(split)
            names.append(f"{'train' if split == 0 else 'test'}/happy/{SPLITS[split]}_{90_000 + k}.jpg")
            rows.append((names[-1], *([0] * 9), 10))
    path = folder / "votes.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([COLUMNS, *rows])
    return FaceDataset(np.stack(images), np.array(labels), np.array(splits), tuple(names)), path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, FaceDataset, Path]]:
    """A run with both heads, its data, and the votes; its images count as FER2013's."""
    folder = tmp_path_factory.mktemp("run")
    dataset, votes = fer2013_like(folder)
    settings = replace(TINY, epochs=8, augment=replace(TINY.augment, camera=0.1))
    with pytest.MonkeyPatch.context() as patch:
        take_for_fer2013(dataset, patch)
        train_model(dataset, settings, folder, device="cpu", logs=folder / "logs", votes=votes)
        export_model([folder / "best.pt"], dataset, folder / "both.onnx", "both", votes=votes)
        yield folder, dataset, votes


@pytest.fixture(scope="module")
def evaluation(run: tuple[Path, FaceDataset, Path]) -> Evaluation:
    folder, dataset, votes = run
    return evaluate_bundle(folder / "both.onnx", dataset, "PublicTest", no_bars, votes=votes)


def test_each_head_answers_its_own_truth(run: tuple[Path, FaceDataset, Path]) -> None:
    folder, dataset, votes = run
    part = dataset.split("PublicTest")
    majority = read_votes(votes, part).majority
    predictor = Predictor(folder / "both.onnx")
    assert predictor.card.heads == (PEOPLE, FER2013)
    people = predictor.predict(part.images[:, None]).probabilities
    labels = predictor.predict_fer2013(part.images[:, None])
    seen_neutral = majority == NEUTRAL
    assert (people.argmax(1)[seen_neutral] == NEUTRAL).mean() > 0.8
    assert (labels.argmax(1)[seen_neutral] == SAD).mean() > 0.8
    for rows in (people, labels):
        assert np.allclose(rows.sum(1), 1, atol=1e-5)
    # what people call no face leaves no confidence in any expression
    noise = majority < 0
    assert noise.sum() == 12
    assert people[noise].max(1).mean() < 0.5 < people[~noise].max(1).mean()


def test_the_evaluation_states_both_truths_the_crowd_first_and_mixes_none(evaluation: Evaluation) -> None:
    truths = evaluation.facts["truths"]
    assert list(truths) == [PEOPLE, FER2013]
    assert [row["head"] for row in truths.values()] == [PEOPLE, FER2013]
    assert truths[PEOPLE]["n"] == 7 * 12  # the images on which people agree
    assert truths[FER2013]["n"] == 8 * 12
    assert truths[PEOPLE]["classes"]["neutral"]["support"] == 12
    assert truths[FER2013]["classes"]["neutral"]["support"] == 0
    text = evaluation_text(evaluation.facts)
    assert text.index("Agreement with people") < text.index("FER2013 labels")
    assert "FER+" in text
    selective = evaluation.facts["selective"]
    none = selective | {"at_card_thresholds": {"coverage": 0.0, "error": 0.0}, "card_thresholds": dict.fromkeys(EMOTIONS, 0.9)}
    assert "no prediction reaches the threshold of its class" in evaluation_text(evaluation.facts | {"selective": none})
    by_hand = (evaluation.predictions.of(PEOPLE).argmax(1) == evaluation.truths[0].labels)[evaluation.truths[0].known].mean()
    assert truths[PEOPLE]["accuracy"] == pytest.approx(by_hand)


def test_without_votes_fer2013s_labels_judge_the_label_head_alone(run: tuple[Path, FaceDataset, Path]) -> None:
    folder, dataset, _ = run
    found = evaluate_bundle(folder / "both.onnx", dataset, "PublicTest", no_bars)
    assert [(truth.name, truth.head) for truth in found.truths] == [(FER2013, FER2013)]
    assert "agreement with people" not in evaluation_text(found.facts).lower()


def test_folders_of_ones_own_judge_the_people_head(run: tuple[Path, FaceDataset, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, dataset, _ = run
    own = dataset.split("PublicTest")
    monkeypatch.setattr("mien.data.fer2013.known_fingerprints", lambda: np.empty(0, np.uint32))
    found = evaluate_bundle(folder / "both.onnx", own, "PublicTest", no_bars)
    assert [(truth.name, truth.head) for truth in found.truths] == [("own", PEOPLE)]
    forced = evaluate_bundle(folder / "both.onnx", own, "PublicTest", no_bars, fer2013_labels=True)
    assert [truth.name for truth in forced.truths] == [FER2013]


def swapped(source: Path, target: Path) -> Path:
    """Write a bundle whose two heads have changed names."""
    model = onnx.load(source)
    names = {"probabilities": FER2013_OUTPUT, FER2013_OUTPUT: "probabilities"}
    for node in model.graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(name, name) for name in ends]
    for output in model.graph.output:
        output.name = names.get(output.name, output.name)
    onnx.save(model, target)
    return target


def test_swapped_heads_are_caught(run: tuple[Path, FaceDataset, Path], tmp_path: Path) -> None:
    folder, dataset, votes = run
    many = FaceDataset(
        *(np.concatenate([getattr(dataset, name)] * 3) for name in ("images", "labels", "splits")), dataset.names * 3
    )
    evaluate_bundle(folder / "both.onnx", many, "PublicTest", no_bars, votes=votes)
    bad = swapped(folder / "both.onnx", tmp_path / "swapped.onnx")
    with pytest.raises(BundleError, match="heads of both are swapped"):
        evaluate_bundle(bad, many, "PublicTest", no_bars, votes=votes)


@pytest.mark.parametrize("name", ["mien-s", "mien-xs"])
def test_the_shipped_bundles_read_faces_as_people_do(name: str, fer2013: FaceDataset, votes_file: Path) -> None:
    """Where people and FER2013's label disagree, the people head sides with people and the label head with the label."""
    part = fer2013.split("PublicTest")
    part = part.take(np.arange(0, len(part), 4))
    majority = read_votes(votes_file, part).majority
    predictor = Predictor(packaged_bundle(name))
    people = predictor.predict(part.images[:, None]).probabilities.argmax(1)
    labels = predictor.predict_fer2013(part.images[:, None]).argmax(1)
    agreed = majority >= 0
    apart = agreed & (majority != part.labels)
    assert apart.sum() > 150
    assert (people == majority)[apart].mean() > (labels == majority)[apart].mean() + 0.15
    assert (labels == part.labels)[apart].mean() > (people == part.labels)[apart].mean() + 0.15
    assert (people == majority)[agreed].mean() > 0.86
    neutral = majority == NEUTRAL
    assert (people == NEUTRAL)[neutral].mean() > 0.8  # 0.54 by the bundles that knew labels alone


def test_a_bundle_of_the_older_kind_is_read_and_says_what_it_is(run: tuple[Path, FaceDataset, Path], tmp_path: Path) -> None:
    _, dataset, votes = run
    train_model(dataset, replace(TINY, epochs=3), tmp_path / "old", device="cpu", logs=tmp_path)
    export_model([tmp_path / "old" / "best.pt"], dataset, tmp_path / "old.onnx", "old")
    model = onnx.load(tmp_path / "old.onnx")
    card = json.loads(model.metadata_props[0].value)
    for newer in ("heads", "fer2013_temperature", "logit_adjustment", "logit_offsets"):
        del card[newer]
    card["uncertain_below"] = 0.6
    model.metadata_props[0].value = json.dumps(card)
    onnx.save(model, tmp_path / "old.onnx")
    (tmp_path / "old.json").unlink()  # the record is of the file as it was
    predictor = Predictor(tmp_path / "old.onnx")
    assert predictor.card.heads == (FER2013,)
    assert predictor.card.uncertain_below == dict.fromkeys(EMOTIONS, 0.6)
    faces = dataset.images[:5, None]
    assert np.array_equal(predictor.predict_fer2013(faces), predictor.predict(faces).probabilities)
    found = evaluate_bundle(tmp_path / "old.onnx", dataset, "PublicTest", no_bars, votes=votes)
    assert [(truth.name, truth.head) for truth in found.truths] == [(PEOPLE, FER2013), (FER2013, FER2013)]
    assert "This model has only the label head" in evaluation_text(found.facts)
    said = mien("models", "card", str(tmp_path / "old.onnx"), cwd=tmp_path)
    assert "label head: the label of FER2013" in said.stdout
    assert "people head" not in said.stdout


def test_numbers_of_version_0_1_are_shown_as_fer2013_labels() -> None:
    assert results_by_truth({"accuracy": 0.7, "n": 10}) == {FER2013: {"accuracy": 0.7, "n": 10}}
    assert results_by_truth({"truths": {PEOPLE: {"n": 3}}}) == {PEOPLE: {"n": 3}}


def test_a_people_head_needs_votes_for_its_calibration(run: tuple[Path, FaceDataset, Path], tmp_path: Path) -> None:
    folder, dataset, _ = run
    with pytest.raises(UsageError, match="--votes"):
        export_model([folder / "best.pt"], dataset, tmp_path / "x.onnx", "x")
    assert not (tmp_path / "x.onnx").exists()
    parent = Predictor(folder / "both.onnx").card
    kept = export_model([folder / "best.pt"], dataset, tmp_path / "kept.onnx", "kept", parent=parent)
    assert (kept.temperature, kept.uncertain_below) == (parent.temperature, parent.uncertain_below)
    assert list(kept.metrics["PublicTest"]["truths"]) == [FER2013]


def test_the_epoch_is_chosen_by_the_votes(run: tuple[Path, FaceDataset, Path]) -> None:
    folder, _, _ = run
    history = load_checkpoint(folder / "last.pt")["history"]
    kept = len(load_checkpoint(folder / "best.pt")["history"])
    losses = [row["people_loss"] for row in history]
    assert kept == 1 + int(np.argmin(losses))
    assert "people_loss" in (folder / "history.csv").read_text().splitlines()[0]


def test_a_bundle_with_two_heads_can_learn_on(run: tuple[Path, FaceDataset, Path]) -> None:
    folder, dataset, _ = run
    (network,) = networks_of(folder / "both.onnx", dataset.split("Training").images)
    found = logits_of([network], dataset.images[:50])
    exact = logits_of([_network(folder)], dataset.images[:50])
    assert np.abs(found.people - exact.people).max() < 1e-2
    assert np.abs(found.labels - exact.labels).max() < 1e-2


def test_a_label_head_with_its_own_stage_learns_alone(run: tuple[Path, FaceDataset, Path], tmp_path: Path) -> None:
    folder, dataset, votes = run
    part = dataset.split("PublicTest").images[:, None]
    alone = replace(TINY, epochs=3, own_label_stage=True, only_labels=True)
    with pytest.raises(UsageError, match="--model"):
        train_model(dataset, alone, tmp_path / "fresh", device="cpu", logs=tmp_path / "logs", votes=votes)
    # sad is now labelled happy: only the label head may learn that
    changed = replace(dataset, labels=np.where(dataset.labels == SAD, HAPPY, dataset.labels))
    train_model(changed, alone, tmp_path, device="cpu", logs=tmp_path / "logs", votes=votes, start=str(folder / "best.pt"))
    export_model([tmp_path / "last.pt"], dataset, tmp_path / "own.onnx", "own", votes=votes)
    before, after = Predictor(folder / "both.onnx"), Predictor(tmp_path / "own.onnx")
    for one, other in zip(before.explain(part)[0:1], after.explain(part)[0:1], strict=True):
        assert np.allclose(one.embedding, other.embedding, atol=1e-5)
        assert (one.probabilities.argmax(1) == other.probabilities.argmax(1)).all()
    sad = dataset.split("PublicTest").labels == SAD
    assert (before.predict_fer2013(part)[sad].argmax(1) == SAD).mean() > 0.8
    assert (after.predict_fer2013(part)[sad].argmax(1) == HAPPY).mean() > 0.8
    # and the way back from the bundle keeps both
    network = networks_of(tmp_path / "own.onnx", part[:, 0])[0]
    assert network.label_stage is not None
    with pytest.raises(UsageError, match="own_label_stage"):
        starting_network(str(tmp_path / "own.onnx"), TINY, dataset, votes=True)


def test_a_teacher_may_enlarge_its_faces_and_lack_a_label_head(run: tuple[Path, FaceDataset, Path], tmp_path: Path) -> None:
    folder, dataset, votes = run
    settings = replace(TINY, epochs=3, people_share=1.0, input_size=64, small_until=0.4, small_size=40)
    where = tmp_path / "teacher"
    train_model(dataset, settings, where, device="cpu", logs=tmp_path / "logs", votes=votes, start=str(folder / "best.pt"))
    teacher = _network(where)
    assert (teacher.heads, teacher.input_size) == ((PEOPLE,), 64)
    assert teacher.features(torch.zeros(1, 1, 48, 48))[0].shape[2:] == (8, 8)  # an eighth of 64, not of 48
    part = dataset.split("PublicTest")
    majority = read_votes(votes, part).majority
    answers = logits_of([teacher], part.images).people.argmax(1)
    assert (answers == majority)[majority >= 0].mean() > 0.8
    with pytest.raises(UsageError, match="input_size=64"):
        export_model([where / "best.pt"], dataset, tmp_path / "x.onnx", "x", votes=votes)
    assert not (tmp_path / "x.onnx").exists()
    student = tmp_path / "student"
    alone = replace(TINY, epochs=1, teacher_share=1.0)
    train_model(dataset, alone, student, device="cpu", logs=tmp_path / "logs", votes=votes, teachers=[str(where / "best.pt")])
    assert _network(student).heads == (PEOPLE, FER2013)
    alone = FaceNet(widths=TINY.widths, blocks=TINY.blocks, heads=(FER2013,))
    old = {"network": alone.state_dict(), "ema": alone.state_dict(), "settings": TINY.as_dict(), "history": [], "facts": {}}
    save_checkpoint(tmp_path / "labels.pt", old)
    assert starting_network(str(tmp_path / "labels.pt"), settings, dataset, votes=True).heads == (PEOPLE,)
    for wrong in (0, -48, "abc", None, 50, 4096):
        save_checkpoint(tmp_path / "wrong.pt", {**old, "settings": {**TINY.as_dict(), "input_size": wrong}})
        with pytest.raises(BundleError, match=r"(does|do) not fit"):
            network_from(load_checkpoint(tmp_path / "wrong.pt"))
    with pytest.raises(UsageError, match="people_share"):
        replace(settings, own_label_stage=True)
    with pytest.raises(UsageError, match="input_size"):
        replace(settings, input_size=50)


def _network(folder: Path) -> FaceNet:
    return network_from(load_checkpoint(folder / "best.pt"))


def test_a_network_that_knew_labels_alone_is_given_a_people_head() -> None:
    network = FaceNet(widths=(8, 8, 16), blocks=(1, 1, 1), heads=(FER2013,)).eval()
    assert network.heads == (FER2013,)
    network.add_people_head()
    assert network.heads == (PEOPLE, FER2013)
    answer = network(torch.rand(3, 1, 48, 48) * 255)
    assert torch.allclose(answer.people[:, :7], answer.labels)


def test_rare_expressions_are_given_their_due_by_macro_f1() -> None:
    random = np.random.default_rng(0)
    prior = np.array([0.03, 0.01, 0.03, 0.4, 0.4, 0.08, 0.05])
    majority = random.choice(7, 4000, p=prior)
    logits = np.zeros((4000, 8))
    logits[np.arange(4000), majority] = 2.5  # evidence, before the prior speaks
    logits[:, :7] += np.log(prior) + random.normal(0, 1, (4000, 7))
    assert choose_adjustment(logits, majority, prior) > 0
    logits[:, :7] -= np.log(prior)
    assert choose_adjustment(logits, majority, prior) == 0


def test_the_threshold_of_certainty_is_each_classs_own() -> None:
    answers = np.zeros((400, 7))
    truth = np.zeros(400, np.int64)
    answers[:200, 0] = np.linspace(0.3, 0.9, 200)  # angry: the less sure half is wrong
    truth[:100] = NEUTRAL
    answers[200:390, HAPPY] = np.linspace(0.3, 0.9, 190)  # happy: always right
    truth[200:390] = HAPPY
    answers[390:, 1] = 0.9  # disgust: too few to tell
    truth[390:] = 1
    found = thresholds_by_class(answers, truth, error=0.1)
    assert found["angry"] > found["happy"]
    assert 0.5 < found["angry"] < 0.62
    over_all = min(found.values())
    assert found["happy"] == found["disgust"] == over_all


def test_agreement_counts_as_by_hand() -> None:
    counts = np.zeros((4, 10), np.float32)
    counts[0, [HAPPY, SAD]] = 9, 1  # clear
    counts[1, [HAPPY, SAD]] = 5, 5  # no majority
    counts[2, [7, NEUTRAL]] = 8, 2  # contempt: FER+ counts it, nobody of seven can be right
    counts[3, [NEUTRAL, 8]] = 6, 4  # six of ten
    assert Votes(counts, counts.sum(1) == 0).majority.tolist() == [HAPPY, -1, -1, NEUTRAL]
    answers = np.full((4, 7), 0.02)
    answers[[0, 1, 2, 3], [HAPPY, HAPPY, NEUTRAL, SAD]] = 0.88
    plus = ferplus_accuracy(counts, answers.astype(np.float32))
    assert (plus["n"], plus["accuracy"]) == (3, pytest.approx(1 / 3))
    found = human_agreement(counts, answers.astype(np.float32))
    assert found is not None
    assert found["one_rater"] == pytest.approx((9 + 6) / 20)


def test_a_model_of_labels_alone_and_a_model_of_votes_alone_share_no_truth_without_votes() -> None:
    dataset = make_dataset((2, 2, 2)).split("PublicTest")
    with pytest.raises(UsageError, match="--votes"):
        truths_about(dataset, None, (PEOPLE,), fer2013_labels=True)


def test_a_card_with_unknown_heads_is_refused(run: tuple[Path, FaceDataset, Path]) -> None:
    card = json.loads(Predictor(run[0] / "both.onnx").card.to_json())
    with pytest.raises(BundleError, match="has the heads"):
        read_card(json.dumps(card | {"heads": ["fer2013", "people"]}), "x")
    with pytest.raises(BundleError, match="uncertain_below"):
        read_card(json.dumps(card | {"uncertain_below": {"angry": 0.4}}), "x")


def test_a_candidate_must_keep_both_heads() -> None:
    labels = np.arange(700) % 7
    right, wrong = np.full((700, 7), 0.02), np.full((700, 7), 0.02)
    right[np.arange(700), labels] = 0.88
    wrong[np.arange(700), (labels + 1) % 7] = 0.88
    better = PairedPredictions(labels, wrong, right)
    gates = evaluate_gates(
        [(PEOPLE, PairedPredictions(labels, right, right)), (FER2013, PairedPredictions(labels, right, wrong))], better
    )
    failed = {gate.name for gate in gates if not gate.passed}
    assert "PublicTest not worse, fer2013" in failed
    assert not any("people" in name for name in failed)
    kept = {gate.name: gate.passed for gate in evaluate_gates([], better, agreement=0.85)}
    assert kept == {"new faces better": True, "live predictions kept": False}


# what cameras do
def draws(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, CAMERA_DRAWS, generator=generator), torch.randn(n, 1, 48, 48, generator=generator)


def test_the_cameras_effects_are_those_drawn_and_stay_a_picture() -> None:
    faces = torch.from_numpy(make_dataset((2, 1, 1)).images)[:, None].float()
    numbers, noise = draws(len(faces))
    assert torch.allclose(camera_effects(faces, 0.0, numbers, noise), faces, atol=0.2)
    changed = camera_effects(faces, 1.0, numbers, noise)
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert ((changed - faces).abs().mean((1, 2, 3)) > 2).all()
    assert torch.equal(changed[1::2], camera_effects(faces[1::2], 1.0, numbers[1::2], noise[1::2]))
    both = torch.rand(len(faces), DRAWS_PER_FACE, generator=torch.Generator().manual_seed(3))
    small = augment(faces, AugmentSettings(camera=0.5), both, 32, torch.randn(len(faces), 1, 32, 32))
    assert small.shape == (len(faces), 1, 32, 32)


def test_blur_takes_detail_and_keeps_light() -> None:
    faces = torch.from_numpy(np.stack([pattern(6, k) for k in range(4)]))[:, None].float()
    soft = blurred(faces, torch.tensor([0.001, 0.5, 1.0, 1.5]).reshape(4, 1, 1, 1))
    assert torch.allclose(soft[0], faces[0], atol=1e-3)
    left = soft.var((2, 3)) / faces.var((2, 3))
    assert (left.diff(dim=0) < 0).all()
    assert torch.allclose(soft.mean((2, 3)), faces.mean((2, 3)), atol=2)


def test_jpeg_is_what_a_real_encoder_leaves() -> None:
    faces = np.stack([pattern(label, 1) for label in range(7)])
    for quality in (15, 40, 70):
        ours = jpeg(torch.from_numpy(faces)[:, None].float(), torch.full((7, 1, 1, 1), float(quality)))[:, 0].numpy()
        real = np.stack(
            [
                cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
                for face in faces
            ]
        )
        assert np.abs(ours - real).mean() < 1.0, quality
        assert np.abs(ours - real).mean() < 0.25 * np.abs(faces.astype(float) - real).mean(), quality


def test_the_documents_name_both_truths() -> None:
    for name in ("README.md", "docs/model_card.md", "docs/explanation/training.md"):
        text = (REPOSITORY / name).read_text(encoding="utf-8").lower()
        assert "agreement with people" in text, name
        assert "fer2013 labels" in text, name


def test_own_images_without_votes_are_unknown_and_images_of_fer2013_are_no_faces(tmp_path: Path) -> None:
    dataset, path = fer2013_like(tmp_path)
    rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(row for row in rows if "Training_0.jpg" not in row), encoding="utf-8")
    names = list(dataset.names)
    own = names.index("train/angry/Training_1.jpg")
    names[own] = "train/angry/mine.jpg"
    votes = read_votes(path, replace(dataset, names=tuple(names)))
    left_out = dataset.names.index("train/angry/Training_0.jpg")
    assert not votes.known[[own, left_out]].any()
    assert votes.not_a_face[left_out]
    assert not votes.not_a_face[own]


def test_votes_without_a_majority_on_public_test_are_refused_before_training(tmp_path: Path) -> None:
    dataset, path = fer2013_like(tmp_path)
    rows = path.read_text(encoding="utf-8").splitlines()
    split = [",".join([row.split(",")[0], *["1"] * 10]) if "PublicTest" in row else row for row in rows]
    path.write_text("\n".join(split), encoding="utf-8")
    with pytest.raises(DataError, match="more than half of the votes"):
        train_model(dataset, TINY, tmp_path / "run", votes=path)
