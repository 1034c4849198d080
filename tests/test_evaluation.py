"""Views of a test split, the log of PrivateTest, and the output of evaluate."""

from __future__ import annotations

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from datasets import make_dataset
from typer.testing import CliRunner

from mien.cli import app
from mien.data.dataset import FaceDataset
from mien.data.fer2013 import FER2013_HASH
from mien.data.split_file import SplitFile, split_text
from mien.data.votes import read_votes
from mien.emotions import EMOTIONS
from mien.evaluation.private_log import COLUMNS, append_scoring, log_scoring, release_log_folder
from mien.evaluation.scores import Scores, predict_heads, predict_mirrored
from mien.evaluation.truths import truths_about
from mien.evaluation.views import views
from mien.files import file_hash
from mien.modelcard import FER2013, PEOPLE
from mien.vision.bundles import bundle_path
from mien.vision.predictor import Predictor


@pytest.fixture
def leaky() -> FaceDataset:
    """Images 0 and 1 of PrivateTest also occur in Training and PublicTest."""
    dataset = make_dataset((2, 2, 2))
    images = dataset.images.copy()
    private = np.flatnonzero(dataset.splits == 2)
    images[private[0]] = images[0]
    images[private[1]] = images[np.flatnonzero(dataset.splits == 1)[3]]
    return replace(dataset, images=images)


def test_the_clean_view_excludes_copies_of_earlier_splits(leaky: FaceDataset) -> None:
    assert views(leaky, "PrivateTest")["clean"].tolist() == [False, False] + [True] * 12
    assert views(leaky, "PublicTest")["clean"].all()
    assert views(leaky, "Training") == {}


def test_the_clean_view_of_fer2013_excludes_the_known_copies(fer2013: FaceDataset) -> None:
    # 288 occur in Training, 44 in PublicTest, 18 in both
    assert int((~views(fer2013, "PrivateTest")["clean"]).sum()) == 314


def test_the_people_truth_is_the_majority_vote(leaky: FaceDataset, tmp_path: Path) -> None:
    columns = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    rows = []
    for i, name in enumerate(leaky.names):
        votes = dict.fromkeys(columns, 0)
        if i % 3 == 0:
            votes["happiness"] = 10
        elif i % 3 == 1:
            votes["NF"] = 10  # a majority for no face
        else:
            votes["anger"] = votes["fear"] = 5
        rows.append([name, *votes.values()])
    path = tmp_path / "votes.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([["path", *columns], *rows])
    private = np.flatnonzero(leaky.splits == 2)
    scored = leaky.split("PrivateTest")
    first, second = truths_about(scored, read_votes(path, scored), (PEOPLE, FER2013), fer2013_labels=True)
    assert (first.name, first.head, second.name, second.head) == (PEOPLE, PEOPLE, FER2013, FER2013)
    assert first.labels.tolist() == [EMOTIONS.index("happy") if i % 3 == 0 else -1 for i in private]
    assert second.known.all()
    clean = first.views(views(leaky, "PrivateTest"))["clean"]
    assert clean.known.sum() == (first.known & views(leaky, "PrivateTest")["clean"]).sum()


def test_mirrored_scores_are_the_mean_of_both() -> None:
    dataset = make_dataset((1, 1, 3)).split("PrivateTest")
    predictor = Predictor(bundle_path("mien-s"))
    plain = predict_heads(predictor, dataset)
    mirrored = predictor.predict(np.ascontiguousarray(dataset.images[:, None, :, ::-1])).probabilities
    both = predict_mirrored(predictor, dataset, plain)
    first = predictor.card.heads[0]
    assert np.allclose(both.of(first), (plain.of(first) + mirrored) / 2, atol=1e-5)


def test_scorings_at_the_same_time_are_all_logged(tmp_path: Path) -> None:
    numbers = {"model": "x", "truths": {"fer2013": {**Scores(np.arange(7), np.eye(7, dtype=np.float32)).as_dict(), "views": {}}}}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: append_scoring(tmp_path / "log.csv", str(k), numbers), range(12)))
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 13


def test_every_scoring_of_private_test_is_logged(tmp_path: Path) -> None:
    labels = np.arange(7)
    scores = Scores(labels, np.eye(7, dtype=np.float32)).as_dict()
    both = {"fer2013": {**scores, "views": {"clean": {"accuracy": 0.5}}}, "people": {**scores, "ferplus": {"accuracy": 0.25}}}
    numbers = {"model": "x", "truths": both}
    log = tmp_path / "log.csv"
    assert append_scoring(log, "one", numbers) == 0
    assert append_scoring(log, "two", numbers) == 0
    assert append_scoring(log, "one", numbers) == 1
    with log.open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["bundle_sha256"] for row in rows] == ["one", "two", "one"]
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["accuracy"], rows[0]["clean"], rows[0]["strict"]) == ("1.0000", "0.5000", "")
    assert (rows[0]["people"], rows[0]["people_n"], rows[0]["ferplus"]) == ("1.0000", "7", "0.2500")


def test_a_log_of_version_0_1_is_extended_with_new_columns(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("date,model,bundle_sha256,code,n,accuracy,consensus\n2026-01-01,old,one,c,3589,0.7001,0.77\n")
    scores = Scores(np.arange(7), np.eye(7, dtype=np.float32)).as_dict()
    assert append_scoring(log, "one", {"model": "x", "truths": {"fer2013": {**scores, "views": {}}}}) == 1
    with log.open() as handle:
        rows = list(csv.DictReader(handle))
    assert (rows[0]["accuracy"], rows[0]["consensus"], rows[0]["people"]) == ("0.7001", "0.77", "")
    assert rows[1]["accuracy"] == "1.0000"


def test_the_checkout_log_is_for_packaged_bundles_on_fer2013_only(tmp_path: Path) -> None:
    packaged, candidate = bundle_path("mien-s"), tmp_path / "mien-s.onnx"
    candidate.write_bytes(packaged.read_bytes())
    assert release_log_folder(packaged, FER2013_HASH) == REPOSITORY / "docs" / "results"
    assert release_log_folder(packaged, "another") is None
    assert release_log_folder(candidate, FER2013_HASH) is None


def test_a_scoring_of_fer2013_is_logged_beside_its_results(tmp_path: Path) -> None:
    released = REPOSITORY / "docs" / "results" / "private_test_log.csv"
    before = released.read_bytes()
    scores = Scores(np.arange(7), np.eye(7, dtype=np.float32)).as_dict()
    facts = {"model": "mien-s", "dataset_hash": FER2013_HASH, "truths": {"fer2013": {**scores, "views": {}}}}
    assert str(tmp_path / "private_test_log.csv") in log_scoring(tmp_path, file_hash(bundle_path("mien-s")), facts)
    with (tmp_path / "private_test_log.csv").open() as handle:
        assert [row["model"] for row in csv.DictReader(handle)] == ["mien-s"]
    assert released.read_bytes() == before


def test_evaluate_prints_views_and_ends_in_one_json_line(
    fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["evaluate", "--data", str(fer_folder), "--split", "PrivateTest"])
    assert answer.exit_code == 0, answer.output
    last = json.loads(answer.stdout.splitlines()[-1])
    numbers = last["truths"]["own"]
    assert numbers["n"] == 7
    assert numbers["views"]["clean"]["n"] == 7
    assert 0 <= numbers["mirrored"]["accuracy"] <= 1
    assert set(numbers["classes"]) == set(EMOTIONS)
    assert len((tmp_path / "results" / "evaluation" / "private_test_log.csv").read_text().splitlines()) == 2


def test_a_split_file_gives_the_strict_view(leaky: FaceDataset, tmp_path: Path) -> None:
    n = len(leaky)
    actions = np.array(["keep" if s == 0 else "clean" for s in leaky.splits], dtype=object)
    actions[np.flatnonzero(leaky.splits == 2)[5]] = "leaked"
    path = tmp_path / "split.csv"
    decisions = SplitFile(tuple(str(a) for a in actions), np.ones(n, np.float32), ("",) * n)
    path.write_text(split_text(leaky, decisions))
    assert int((~views(leaky, "PrivateTest", path)["strict"]).sum()) == 1
