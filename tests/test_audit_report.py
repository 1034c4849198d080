"""Output of the audit: text, page, datasheet, documents, and the split file in train and evaluate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, MienHere
from datasets import make_dataset, no_bars, varied

from mien.audit.audit import Audit, run_audit
from mien.audit.datasheet import OPEN, datasheet_text
from mien.audit.findings_text import MAX_LINES, findings_text, worst_facts
from mien.audit.labels import assign_folds, ridge_probabilities
from mien.audit.page import most_suspicious, page_html
from mien.data.dataset import FaceDataset
from mien.data.votes import Votes


def distinct_faces(per_class: tuple[int, int, int]) -> FaceDataset:
    """Class patterns with a random background each, so that no two are near copies."""
    dataset = make_dataset(per_class)
    return FaceDataset(varied(dataset.images), dataset.labels, dataset.splits, dataset.names)


def flawed_dataset() -> FaceDataset:
    """Distinct faces with two leaked copies, one black image and one wrong label."""
    dataset = distinct_faces((30, 5, 5))
    images, labels = dataset.images.copy(), dataset.labels.copy()
    test = np.flatnonzero(dataset.splits == 1)
    images[test[:2]] = images[:2]
    images[10] = 0
    labels[100] = (labels[100] + 3) % 7
    return FaceDataset(images, labels, dataset.splits, dataset.names)


@pytest.fixture(scope="module")
def audit() -> Audit:
    dataset = flawed_dataset()
    counts = np.zeros((len(dataset), 10), np.float32)
    counts[np.arange(len(dataset)), make_dataset((30, 5, 5)).labels] = 10
    return run_audit(
        dataset,
        ("train/sad/broken.jpg",),
        no_bars,
        votes=Votes(counts, counts.sum(1) == 0),
        label_model=("ridge", ridge_probabilities),
    )


class Page(HTMLParser):
    """Collects tags, image sources and links, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.sources += [values["src"] or ""] if "src" in values else []
        self.links += [values["href"] or ""] if "href" in values else []
        self.anchors |= {values["id"] or ""} if "id" in values else set()
        if tag not in ("meta", "img", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass


def test_the_page_is_complete_and_self_contained(audit: Audit) -> None:
    text = page_html(audit, "<script>alert(1)</script>")
    page = Page(text)
    assert page.open == []
    assert "<script" not in text
    assert len(page.sources) > 60
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert {link.removeprefix("#") for link in page.links} <= page.anchors
    assert not re.search(r"url\(|@import|https?://", text)
    for number, sentence in worst_facts(audit.facts):
        assert f"<b>{number}</b>{sentence}" in text


def test_the_most_suspicious_labels_contain_the_planted_error_and_no_blank_image(audit: Audit) -> None:
    shown = most_suspicious(audit)
    assert 100 in shown
    assert audit.labels is not None
    suspicion = audit.labels.suspicion
    assert suspicion[100] > np.percentile(suspicion, 80)
    assert 10 not in shown
    assert len(set(audit.copies.photo[shown])) == len(shown)


def test_findings_are_short_and_contain_the_planted_faults(audit: Audit) -> None:
    lines = findings_text(audit.facts).splitlines()
    assert len(lines) <= MAX_LINES
    text = "\n".join(lines)
    assert re.search(r"Exact duplicates: +2 .* 4 .* 2 redundant, 0 ", text)
    assert "Training > PublicTest 2, Training > PrivateTest 0" in text
    assert re.search(r"Labels: +\d+ ", text)
    assert "leaked 2" in text
    assert max(map(len, lines)) <= 130


def test_json_and_manifest_contain_the_documented_fields(audit: Audit) -> None:
    facts = json.loads(json.dumps(audit.facts, allow_nan=False))
    assert facts["images"] == {"total": 280, "train": 210, "test": 70, "unreadable": ["train/sad/broken.jpg"]}
    assert facts["manifest"]["dataset_hash"] == facts["dataset_hash"] == audit.dataset.content_hash()
    assert {"read", "crop"} <= set(facts["manifest"]["steps"])
    assert {"exact_duplicates", "near_duplicates", "quality", "label_noise", "balance", "clean_split", "seconds"} <= set(facts)
    assert facts["seconds"]["total"] == pytest.approx(sum(v for k, v in facts["seconds"].items() if k != "total"), abs=0.02)


def test_a_datasheet_of_other_data_leaves_questions_open(audit: Audit) -> None:
    text = datasheet_text(audit.facts)
    assert text.count(OPEN) >= 5
    assert re.search(r"\b280\b", text)
    assert "Montréal" not in text


def test_the_data_page_contains_the_audit_of_fer2013() -> None:
    facts = json.loads((REPOSITORY / "docs" / "results" / "fer2013_audit.json").read_text())
    page = (REPOSITORY / "docs" / "explanation" / "data.md").read_text()
    assert findings_text(facts) in page
    assert datasheet_text(facts).split("\n", 2)[2].strip() in page
    assert OPEN not in page
    cross = facts["exact_duplicates"]["cross_split"]
    assert (cross["Training>PublicTest"], cross["Training>PrivateTest"], cross["PublicTest>PrivateTest"]) == (280, 288, 44)


def test_train_and_evaluate_use_the_clean_split(fer_folder: Path, tmp_path: Path, mien_here: MienHere) -> None:
    for path, image in zip(sorted(fer_folder.rglob("*.png")), distinct_faces((3, 2, 1)).images, strict=True):
        cv2.imwrite(str(path), image)
    copied = cv2.imread(str(fer_folder / "train/happy/Training_0.png"))
    cv2.imwrite(str(fer_folder / "test/happy/PublicTest_0.png"), copied)
    cv2.imwrite(str(fer_folder / "train/happy/Training_9.png"), copied)
    common = ("--data", str(fer_folder))
    code, _, err = mien_here("prepare", *common, "--no-faces", "--label-model", "none")
    assert code == 0, err
    split = "results/data_analysis/clean_split.csv"
    rows = (tmp_path / split).read_text().splitlines()
    assert "test/happy/PublicTest_0.png,PublicTest,happy,leaked,1,same pixels in an earlier split" in rows
    assert any(row.startswith("train/happy/Training_9.png,Training,happy,drop,0,exact copy") for row in rows)

    short = ("--epochs", "1", "--batch-size", "7", "--out", "models/mine", "--split-file", split)
    code, out, err = mien_here("train", *common, *short)
    assert code == 0, err
    assert "21 images" in out  # 22 without the dropped copy
    run = json.loads((tmp_path / "models/mine/run.json").read_text())
    assert re.fullmatch(r"[0-9a-f]{64}", run["split_file"])
    card = json.loads((tmp_path / "models/mine/mien.json").read_text())["card"]
    assert card["training"][0]["split_file"] == run["split_file"]
    assert card["data_steps"] == run["data_steps"]

    code, out, err = mien_here("evaluate", *common, "--model", "models/mine/mien.onnx", "--split-file", split)
    assert code == 0, err
    last = json.loads(out.splitlines()[-1])
    numbers = last["truths"]["own"]
    assert (numbers["n"], numbers["views"]["strict"]["n"], last["manifest_differences"]) == (14, 13, [])

    (tmp_path / split).write_text("\n".join(rows[:-3]))
    code, _, err = mien_here("evaluate", *common, "--split-file", split)
    assert (code, err.count("\n")) == (3, 1)
    assert split in err


def test_other_faces_are_audited_with_a_table_of_class_names(tmp_path: Path, mien_here: MienHere) -> None:
    random = np.random.default_rng(0)
    for folder in ("радость", "Wut", "bored", "leer"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
        for k in range(0 if folder == "leer" else 4):
            picture = cv2.resize(random.integers(0, 255, (9, 12, 3), np.uint8), (120, 90), interpolation=cv2.INTER_CUBIC)
            cv2.imencode(".png", picture)[1].tofile(tmp_path / "mine" / folder / f"лицо_{k}.png")
    (tmp_path / "mine" / "радость" / "nothing.jpg").write_bytes(b"")
    table = tmp_path / "table.csv"
    table.write_text("folder,class\nрадость,happiness\nWut,angry\nleer,sad\n", encoding="utf-8")
    asked = ("prepare", "--data", "mine", "--classes", "table.csv", "--no-faces")
    code, _, err = mien_here(*asked)
    assert (code, err.count("\n")) == (3, 1)
    assert "bored,-" in err
    table.write_text(table.read_text(encoding="utf-8") + "bored,-\n", encoding="utf-8")
    code, out, err = mien_here(*asked)
    assert code == 0, err
    facts = json.loads((tmp_path / "results/data_analysis/audit.json").read_text())
    assert facts["images"]["unreadable"] == ["радость/nothing.jpg"]
    assert (facts["classes"]["total"]["happy"], facts["classes"]["total"]["angry"], facts["classes"]["total"]["sad"]) == (4, 4, 0)
    assert facts["source_sizes"] == {"120x90": 8}
    assert facts["label_noise"]["model"] is None  # eight images are too few for a label model
    assert "радость/лицо_0.png,Training,happy,keep,1," in (tmp_path / "results/data_analysis/clean_split.csv").read_text()
    assert not out.startswith("FER2013")


def test_an_unknown_label_model_is_refused_before_reading(mien_here: MienHere) -> None:
    code, _, err = mien_here("prepare", "--data", "nowhere", "--label-model", "oracle")
    assert code == 2
    assert "oracle" in err


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread: with two, tiny networks take minutes on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_the_network_predicts_out_of_fold_and_resumes(tmp_path: Path) -> None:
    from mien.training.out_of_fold import network_probabilities
    from mien.training.settings import TrainSettings

    dataset = make_dataset((8, 1, 1))
    folds = assign_folds(np.arange(len(dataset)), dataset.labels)
    settings = TrainSettings(epochs=2, batch_size=16, widths=(8, 8, 8), ema_decay=0.5)
    whole = network_probabilities(dataset, folds, lambda done, total: None, folder=tmp_path / "whole", settings=settings)
    assert not (tmp_path / "whole").exists()
    assert np.allclose(whole.sum(1), 1, atol=1e-3)

    class Stop(Exception):
        pass

    def stop_in_the_second_fold(done: int, total: int) -> None:
        if done > 0.3 * total:
            raise Stop

    with pytest.raises(Stop):
        network_probabilities(dataset, folds, stop_in_the_second_fold, folder=tmp_path / "again", settings=settings)
    assert (tmp_path / "again" / "fold-0" / "last.pt").exists()
    steps: list[int] = []
    resumed = network_probabilities(
        dataset, folds, lambda done, total: steps.append(done), folder=tmp_path / "again", settings=settings
    )
    assert np.allclose(resumed, whole, atol=1e-6)
    assert min(steps) > 1  # the first fold was not trained again


@pytest.mark.usefixtures("one_thread")
def test_a_weight_of_one_half_counts_half(tmp_path: Path) -> None:
    import torch

    from mien.training.loop import Trainer
    from mien.training.settings import TrainSettings

    dataset = make_dataset((4, 1, 1))
    training = dataset.split("Training")
    settings = TrainSettings(epochs=1, batch_size=len(training), widths=(8, 8, 8), dropout=0.0)

    def loss(weights: np.ndarray) -> float:
        seen: list[float] = []
        part = FaceDataset(training.images, training.labels, training.splits, training.names, weights.astype(np.float32))
        trainer = Trainer(part, dataset.split("PublicTest"), settings, tmp_path, torch.device("cpu"), {})
        trainer.run(lambda epoch, step, steps, value: seen.append(value), lambda row, best: None)
        return seen[0]

    ones, half = np.ones(len(training)), np.ones(len(training))
    half[training.labels < 3] = 0.5
    only, rest = (training.labels < 3).astype(float) + 1e-9, (training.labels >= 3).astype(float) + 1e-9
    a, b = loss(only), loss(rest)
    share = (training.labels < 3).mean()
    assert loss(ones) == pytest.approx(share * a + (1 - share) * b, rel=1e-4)
    assert loss(half) == pytest.approx((0.5 * share * a + (1 - share) * b) / (1 - 0.5 * share), rel=1e-4)
