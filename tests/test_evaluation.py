"""Views of a test split, the book of PrivateTest, and what evaluate prints."""

from __future__ import annotations

import csv
import json
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
from mien.emotions import EMOTIONS
from mien.evaluation.private_log import COLUMNS, append_scoring, log_place
from mien.evaluation.scores import Scores, score, score_mirrored
from mien.evaluation.views import views
from mien.vision.bundles import bundle_path
from mien.vision.predictor import Predictor


@pytest.fixture
def leaky() -> FaceDataset:
    """Images 0 and 1 of PrivateTest stand in Training and PublicTest."""
    dataset = make_dataset((2, 2, 2))
    images = dataset.images.copy()
    private = np.flatnonzero(dataset.splits == 2)
    images[private[0]] = images[0]
    images[private[1]] = images[np.flatnonzero(dataset.splits == 1)[3]]
    return replace(dataset, images=images)


def test_the_clean_view_leaves_copies_of_earlier_splits_out(leaky: FaceDataset) -> None:
    assert views(leaky, "PrivateTest")["clean"].tolist() == [False, False] + [True] * 12
    assert views(leaky, "PublicTest")["clean"].all()
    assert views(leaky, "Training") == {}


def test_on_fer2013_the_clean_view_leaves_out_what_was_counted_before(fer2013: FaceDataset) -> None:
    # 288 stand in Training, 44 in PublicTest, 18 in both
    assert int((~views(fer2013, "PrivateTest")["clean"]).sum()) == 314


def test_the_strict_and_the_consensus_view_come_from_files(leaky: FaceDataset, tmp_path: Path) -> None:
    columns = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    rows = []
    for i, name in enumerate(leaky.names):
        votes = dict.fromkeys(columns, 0)
        if i % 3 == 0:
            votes["happiness"] = 10
        elif i % 3 == 1:
            votes["NF"] = 10  # they agree that there is no face
        else:
            votes["anger"] = votes["fear"] = 5
        rows.append([name, *votes.values()])
    path = tmp_path / "votes.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([["path", *columns], *rows])
    private = np.flatnonzero(leaky.splits == 2)
    found = views(leaky, "PrivateTest", votes=path)
    assert found["consensus"].tolist() == [bool(i % 3 == 0) for i in private]


def test_mirrored_scores_are_the_mean_of_both() -> None:
    dataset = make_dataset((1, 1, 3)).split("PrivateTest")
    predictor = Predictor(bundle_path("mien-s"))
    plain = score(predictor, dataset)
    turned = predictor.predict(np.ascontiguousarray(dataset.images[:, None, :, ::-1])).probabilities
    both = score_mirrored(predictor, dataset, plain)
    assert np.allclose(both.probabilities, (plain.probabilities + turned) / 2, atol=1e-5)


def test_every_scoring_of_private_test_is_written_down(tmp_path: Path) -> None:
    labels = np.arange(7)
    numbers = {"model": "x", **Scores(labels, np.eye(7, dtype=np.float32)).as_dict(), "views": {}}
    numbers["views"] = {"clean": {"accuracy": 0.5}}
    log = tmp_path / "log.csv"
    assert append_scoring(log, "one", numbers) == 0
    assert append_scoring(log, "two", numbers) == 0
    assert append_scoring(log, "one", numbers) == 1
    with log.open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["bundle_sha256"] for row in rows] == ["one", "two", "one"]
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["accuracy"], rows[0]["clean"], rows[0]["strict"]) == ("1.0000", "0.5000", "")


def test_only_fer2013_itself_is_written_into_the_documents(tmp_path: Path) -> None:
    assert log_place(tmp_path, FER2013_HASH) == REPOSITORY / "docs" / "results" / "private_test_log.csv"
    assert log_place(tmp_path, "another") == tmp_path / "private_test_log.csv"


def test_evaluate_prints_views_and_ends_in_one_json_line(
    fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["evaluate", "--data", str(fer_folder), "--split", "PrivateTest"])
    assert answer.exit_code == 0, answer.output
    last = json.loads(answer.stdout.splitlines()[-1])
    assert last["n"] == 7
    assert last["views"]["clean"]["n"] == 7
    assert 0 <= last["mirrored"]["accuracy"] <= 1
    assert set(last["classes"]) == set(EMOTIONS)
    assert "Written down in results/evaluation/private_test_log.csv" in answer.stdout
    assert len((tmp_path / "results" / "evaluation" / "private_test_log.csv").read_text().splitlines()) == 2


def test_a_split_file_gives_the_strict_view(leaky: FaceDataset, tmp_path: Path) -> None:
    n = len(leaky)
    actions = np.array(["keep" if s == 0 else "clean" for s in leaky.splits], dtype=object)
    actions[np.flatnonzero(leaky.splits == 2)[5]] = "leaked"
    path = tmp_path / "split.csv"
    decisions = SplitFile(tuple(str(a) for a in actions), np.ones(n, np.float32), ("",) * n)
    path.write_text(split_text(leaky, decisions))
    assert int((~views(leaky, "PrivateTest", path)["strict"]).sum()) == 1
