"""Data sets as people have them: other split names, CSV files saved again, archives, renamed images, no validation split."""

from __future__ import annotations

import csv
import gzip
import io
import shlex
import tarfile
from pathlib import Path

import numpy as np
import pytest
from datasets import make_dataset, pattern
from folders import encoded, fill, packed
from typer.testing import CliRunner

from mien.cli import app
from mien.data.dataset import SPLITS, FaceDataset
from mien.data.holdout import apply_held_out, held_out, hold_out, nothing_decided
from mien.data.reader import has_folders, read_dataset
from mien.data.split_file import read_split_file, split_text
from mien.emotions import EMOTIONS, FER2013_CODES
from mien.errors import DataError, UsageError
from mien.sources.recorded import PictureSource
from mien.start import main as start

FER_CODES = {name: code for code, name in enumerate(FER2013_CODES)}


def csv_text(rows: list[tuple[str, str, str]], head: str = "emotion,pixels,Usage", delimiter: str = ",") -> str:
    """Return a CSV of (emotion, usage, split of the name) rows, an image each."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(head.split(","))
    for number, (emotion, usage, _) in enumerate(rows):
        pixels = " ".join(map(str, pattern(number % 7, number).ravel()))
        writer.writerow([emotion, pixels, usage][: len(head.split(","))])
    return out.getvalue()


ROWS = [(str(FER_CODES[name]), usage, usage) for name in EMOTIONS for usage in SPLITS]


def counted(dataset: FaceDataset) -> tuple[dict[str, int], dict[str, int]]:
    return dataset.split_counts(), dataset.class_counts()


WHOLE_CSV = ({"Training": 7, "PublicTest": 7, "PrivateTest": 7}, dict.fromkeys(EMOTIONS, 3))


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev", "development"])
@pytest.mark.parametrize("zipped", [False, True])
def test_every_common_name_of_a_validation_folder_is_read(tmp_path: Path, name: str, zipped: bool) -> None:
    root = place = fill(tmp_path / "set", *(f"{split}/{emotion}" for split in ("train", name) for emotion in EMOTIONS))
    if zipped:
        place = packed(tmp_path / "set.zip", {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.png")})
    result = read_dataset(place)
    assert result.dataset.split_counts() == {"Training": 14, "PublicTest": 14, "PrivateTest": 0}
    assert result.skipped_folders == {}
    assert result.notice == ""


def test_every_folder_with_images_that_is_not_read_is_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", *(f"{split}/{emotion}" for split in ("train", "test") for emotion in EMOTIONS))
    fill(root, "holdout/happy", "holdout/sad", "train/happy/more", "notes", count=3)
    (root / "cover.jpg").write_bytes(encoded(pattern(0, 1), ".jpg"))
    (root / "docs").mkdir()
    result = read_dataset(root)
    assert result.dataset.split_counts() == {"Training": 14, "PublicTest": 0, "PrivateTest": 14}
    assert result.skipped_folders == {"": 1, "holdout": 6, "notes": 3, "train/happy/more": 3}
    assert "holdout (6 images)" in result.notice
    assert "valid" in result.notice


def test_nothing_is_scored_on_training_unless_asked(tmp_path: Path) -> None:
    only_training = read_dataset(fill(tmp_path / "a", *(f"train/{name}" for name in EMOTIONS))).dataset
    with pytest.raises(UsageError, match=r"only Training images.*--split Training"):
        only_training.usual_test_split()
    assert len(only_training.split("Training")) == 14
    unsplit = read_dataset(fill(tmp_path / "b", "happy", "sad")).dataset
    assert unsplit.usual_test_split() == "all"
    assert len(unsplit.split("all")) == 4
    with pytest.raises(UsageError, match="unknown split 'all'"):
        only_training.split("all")
    assert make_dataset((2, 2, 2)).usual_test_split() == "PublicTest"


def test_an_empty_split_says_what_the_data_hold_and_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"holds Training 14, PrivateTest 7\. Hold out.*--validation 0\.1.*val/CLASS"):
        make_dataset((2, 0, 1)).split("PublicTest")


@pytest.mark.parametrize(
    "text",
    [
        csv_text(ROWS).encode("utf-8-sig"),
        csv_text(ROWS).encode("utf-16"),
        csv_text(ROWS, delimiter=";").encode(),
        csv_text(ROWS, delimiter="\t").encode(),
        csv_text([(f"{code}.0", usage, "") for code, usage, _ in ROWS]).encode(),
        csv_text([(FER2013_CODES[int(code)].upper(), usage, "") for code, usage, _ in ROWS]).encode(),
        csv_text(
            [(code, dict(zip(SPLITS, ("train", "val", "test"), strict=True))[usage], "") for code, usage, _ in ROWS]
        ).encode(),
        csv_text(ROWS).replace("\n", "\r\n").encode(),
        (csv_text(ROWS) + "\n\n").encode(),
    ],
    ids=["mark", "utf-16", "semicolons", "tabs", "floats", "names", "usage", "windows", "blank lines"],
)
def test_a_csv_that_another_program_saved_again_is_read(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "fer2013.csv").write_bytes(text)
    result = read_dataset(tmp_path / "fer2013.csv")
    assert counted(result.dataset) == WHOLE_CSV
    assert result.unreadable == ()
    assert np.array_equal(result.dataset.images[1], pattern(1, 1))


def test_a_csv_without_usage_has_no_splits(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(csv_text(ROWS, head="emotion,pixels"))
    dataset = read_dataset(tmp_path / "train.csv").dataset
    assert dataset.unsplit
    assert dataset.split_counts()["Training"] == 21


def test_what_is_wrong_with_the_rows_is_said(tmp_path: Path) -> None:
    (tmp_path / "big.csv").write_text("emotion,pixels,Usage\n3,1 2 3,Training\n")
    with pytest.raises(DataError, match=r"big\.csv:2 the first \(3 pixels, not 48 x 48\)"):
        read_dataset(tmp_path / "big.csv")
    (tmp_path / "code.csv").write_text(csv_text([("7", "Training", "")]))
    with pytest.raises(DataError, match="'7' is not a class from 0 to 6"):
        read_dataset(tmp_path / "code.csv")
    (tmp_path / "use.csv").write_text(csv_text([("3", "extra", "")]))
    with pytest.raises(DataError, match="usage 'extra'"):
        read_dataset(tmp_path / "use.csv")


def tar_of(target: Path, entries: dict[str, bytes], mode: str) -> Path:
    with tarfile.open(target, mode) as archive:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target


@pytest.mark.parametrize("kind", ["zip", "kaggle zip", "tar.gz", "tar called csv", "csv.gz", "csv.xz", "folder of an archive"])
def test_a_csv_in_an_archive_is_read_in_place(tmp_path: Path, kind: str) -> None:
    text = csv_text(ROWS).encode("utf-8-sig")
    inside = {"fer2013/README": b"faces", "fer2013/fer2013.csv": text, "fer2013/fer2013.bib": b""}
    if kind == "zip":
        place = packed(tmp_path / "archive.zip", {"fer2013.csv": text})
    elif kind == "kaggle zip":
        place = packed(tmp_path / "c.zip", {"test.csv": b"pixels\n", "icml_face_data.csv": text, "fer2013.tar.gz": b"\x1f\x8b"})
    elif kind == "tar.gz":
        place = tar_of(tmp_path / "fer2013.tar.gz", inside, "w:gz")
    elif kind == "tar called csv":
        place = tar_of(tmp_path / "fer2013.csv", inside, "w")
    elif kind == "csv.gz":
        place = tmp_path / "fer2013.csv.gz"
        place.write_bytes(gzip.compress(text))
    elif kind == "csv.xz":
        import lzma

        place = tmp_path / "fer2013.csv.xz"
        place.write_bytes(lzma.compress(text))
    else:
        place = tmp_path / "unpacked"
        (place / "fer2013").mkdir(parents=True)
        (place / "fer2013" / "fer2013.csv").write_bytes(text)
    result = read_dataset(place)
    assert counted(result.dataset) == WHOLE_CSV
    assert result.dataset.names[0].rpartition(":")[2] == "2"
    assert ".csv:" in result.dataset.names[0]
    assert not has_folders(place)
    with pytest.raises(UsageError, match="is a CSV"):
        read_dataset(place, classes={"joy": "happy"})


def test_archives_that_are_not_looked_into_are_named_with_the_way_out(tmp_path: Path) -> None:
    outer = packed(tmp_path / "outer.zip", {"train.zip": b"PK", "test.zip": b"PK"})
    with pytest.raises(DataError, match=r"outer\.zip contains test\.zip, train\.zip.*Unpack it"):
        read_dataset(outer)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "archive.7z").write_bytes(b"7z")
    with pytest.raises(DataError, match=r"contains archive\.7z.*Unpack it"):
        read_dataset(folder)
    (tmp_path / "faces.rar").write_bytes(b"Rar!\x1a\x07\x00" + bytes(300))
    with pytest.raises(DataError, match=r"a RAR archive.*Unpack it"):
        read_dataset(tmp_path / "faces.rar")
    images = tar_of(tmp_path / "images.tar.gz", {"train/happy/1.png": encoded(pattern(3, 1))}, "w:gz")
    with pytest.raises(DataError, match=r"a tar archive without FER2013's CSV; it holds train/happy/1\.png\. Unpack it"):
        read_dataset(images)


def test_archives_that_are_cut_short_or_bombs_end_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tar_of(tmp_path / "fer2013.tar.gz", {"fer2013.csv": csv_text(ROWS).encode()}, "w:gz").read_bytes()
    for name, data in {
        "cut.tar.gz": whole[: len(whole) // 2],
        "cut.csv.gz": gzip.compress(csv_text(ROWS).encode())[:-20],
        "line.csv.gz": gzip.compress(b"emotion,pixels,Usage\n" + b"1" * (1 << 24)),
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            read_dataset(tmp_path / name)
    row = "3," + "0 " * 48 * 48 + ",Training\n"
    (tmp_path / "many.csv.gz").write_bytes(gzip.compress(("emotion,pixels,Usage\n" + row * 100).encode()))
    monkeypatch.setattr("mien.data.fer_csv._MAX_BYTES", 100_000)
    with pytest.raises(DataError, match="unpacks to more than 100,000 characters"):
        read_dataset(tmp_path / "many.csv.gz")


@pytest.mark.parametrize("wrapper", ["train", "images"])
def test_a_split_that_was_unpacked_into_a_folder_of_its_own_is_read(tmp_path: Path, wrapper: str) -> None:
    root = tmp_path / "set"
    for split in ("train", "test"):
        below = split if wrapper == "train" else wrapper
        fill(root, *(f"{split}/{below}/{name}" for name in EMOTIONS))
    assert read_dataset(root).dataset.split_counts() == {"Training": 14, "PublicTest": 0, "PrivateTest": 14}
    with pytest.raises(DataError, match="unknown class folder train/bored"):
        read_dataset(fill(tmp_path / "own", "train/bored"), classes={"sad": "sad"})


# --- a validation split is held out
def test_the_same_share_of_every_class_is_held_out_and_copies_stay_together() -> None:
    dataset = make_dataset((20, 0, 5))
    images = dataset.images.copy()
    images[1] = images[0]  # a copy
    dataset = FaceDataset(images, dataset.labels, dataset.splits, dataset.names)
    groups = np.arange(len(dataset))
    groups[1] = 0
    split = hold_out(dataset, groups, 0.1, seed=0)
    assert split.split_counts() == {"Training": 126, "PublicTest": 14, "PrivateTest": 35}
    assert set(split.split("PublicTest").class_counts().values()) == {2}
    assert hold_out(dataset, groups, 0.1, seed=0).splits.tolist() == split.splits.tolist()
    assert hold_out(dataset, groups, 0.1, seed=1).splits.tolist() != split.splits.tolist()
    for seed in range(20):
        found = held_out(dataset.labels, groups, 0.5, seed)
        assert found[0] == found[1]


def test_a_class_of_one_stays_in_training_and_others_lose_one_at_least() -> None:
    labels = np.array([0, 1, 1, 2, 2, 2], np.int64)
    found = held_out(labels, np.arange(6), 0.1, seed=3)
    assert [int(found[labels == label].sum()) for label in range(3)] == [0, 1, 1]


@pytest.mark.parametrize(("share", "said"), [(0.0, "0.01 to 0.5"), (0.9, "0.01 to 0.5"), (0.1, "has 7 images of PublicTest")])
def test_a_split_that_cannot_be_held_out_is_refused(share: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        hold_out(make_dataset((2, 1, 0)), np.arange(21), share, 0)


def test_a_split_that_is_written_down_is_the_same_for_every_command(tmp_path: Path) -> None:
    dataset = make_dataset((20, 0, 0))
    split = hold_out(dataset, np.arange(len(dataset)), 0.2, 0)
    path = tmp_path / "split.csv"
    path.write_text(split_text(split, nothing_decided(split)))
    again = apply_held_out(path, dataset)
    assert again.splits.tolist() == split.splits.tolist()
    assert again.content_hash() == split.content_hash() != dataset.content_hash()
    assert set(read_split_file(path, again).actions) == {"keep", "clean"}
    assert apply_held_out(path, split) is split  # it has a validation split already


def run(*arguments: str) -> str:
    """Run a command in this process; return all that it printed."""
    answer = CliRunner().invoke(app, list(arguments))
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        return f"{answer.output}error: {answer.exception}"
    return answer.output


def test_renamed_images_and_own_folders_lead_to_a_split_and_not_to_a_dead_end(here: Path) -> None:
    fill(here / "set", *(f"{split}/{name}" for split in ("train", "test") for name in EMOTIONS), count=10)
    fast = ("--label-model", "none", "--no-faces", "--out", "p")
    prepared = run("prepare", "--data", "set", *fast)
    assert "has no validation split" in prepared
    assert "mien prepare --data set --validation 0.1" in prepared
    assert "Next: mien train" not in prepared
    tiny = (
        "--epochs",
        "1",
        "--batch-size",
        "7",
        "--set",
        "widths=[8,8,8]",
        "--set",
        "blocks=[1,1,1]",
        "--out",
        "r",
        "--logs",
        "l",
    )
    trained = run("train", "--data", "set", *tiny)
    assert "--validation 0.1" in trained
    assert "val/CLASS" in trained
    prepared = run("prepare", "--data", "set", *fast, "--validation", "0.2")
    assert "Next: mien train --data set --split-file p/clean_split.csv --batch-size 8, or " in prepared
    with (here / "p" / "clean_split.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [sum(row["split"] == split for row in rows) for split in SPLITS] == [56, 14, 70]
    assert "r/mien.onnx, PublicTest" in run("train", "--data", "set", *tiny, "--split-file", "p/clean_split.csv")
    assert '"n": 14' in run(
        "evaluate", "--data", "set", "--model", "r/mien.onnx", "--split-file", "p/clean_split.csv", "--out", "e"
    )


def test_the_next_commands_run_as_they_are_printed(here: Path) -> None:
    fill(here / "my faces", *"1234567", count=4)
    (here / "a table.csv").write_text("folder,class\n" + "".join(f"{k},{name}\n" for k, name in enumerate(EMOTIONS, 1)))
    data = ("--data", "my faces", "--classes", "a table.csv")
    fast = ("--label-model", "none", "--no-faces", "--out", "p")
    line = run("prepare", *data, *fast).splitlines()[-1]
    assert "mien prepare --data 'my faces' --classes 'a table.csv' --validation 0.1, then train" in line
    line = run("prepare", *data, *fast, "--validation", "0.25").splitlines()[-1]
    commands = line.removeprefix("Next: ").removesuffix(" to score the packaged model").split(", or ")
    train, evaluate = (shlex.split(command)[1:] for command in commands)
    assert train[0] == "train"
    small = ("--epochs", "1", "--set", "widths=[8,8,8]", "--set", "blocks=[1,1,1]", "--out", "r", "--logs", "l")
    assert "training on cpu: 21 images" in run(*train, *small)
    assert '"n": 7' in run(*evaluate, "--out", "e")
    assert "mien train --batch-size" in run("train", *train[1:-2], *small, "--out", "s")


def test_the_working_folder_has_a_name_as_a_source(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(here / "my_faces", *EMOTIONS, count=2)
    monkeypatch.chdir(here / "my_faces")
    said = run("prepare", "--data", ".", "--label-model", "none", "--no-faces", "--out", "../p")
    assert "Source:           my_faces\n" in said
    assert PictureSource(Path("happy")).name == "happy"
    monkeypatch.chdir("happy")
    assert PictureSource(Path()).name == "happy"


def test_training_can_hold_out_its_own_validation_part(here: Path) -> None:
    fill(here / "set", *EMOTIONS, count=10)
    tiny = ("--epochs", "1", "--batch-size", "7", "--set", "widths=[8,8,8]", "--set", "blocks=[1,1,1]", "--logs", "l")
    said = run("train", "--data", "set", *tiny, "--validation", "0.1", "--out", "models/own")
    assert "held out 7 of 70 training images by class, seed 0: models/own/split.csv" in said
    assert "models/own/mien.onnx, PublicTest" in said
    scored = run("evaluate", "--data", "set", "--split-file", "models/own/split.csv", "--out", "e")
    assert "model models/own/mien.onnx: " in scored  # the newest model of one's own
    assert '"n": 7' in scored


def test_a_class_table_is_taken_wherever_it_is_advised(here: Path) -> None:
    folders = dict(zip("1234567", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), strict=True))
    fill(here / "set", *(f"{split}/{name}" for split in ("train", "val") for name in folders), count=3)
    (here / "table.csv").write_text("folder,class\n" + "".join(f"{folder},{name}\n" for folder, name in folders.items()))
    tiny = (
        "--epochs",
        "1",
        "--batch-size",
        "7",
        "--set",
        "widths=[8,8,8]",
        "--set",
        "blocks=[1,1,1]",
        "--out",
        "r",
        "--logs",
        "l",
    )
    assert "--classes TABLE" in run("train", "--data", "set", *tiny)
    table = ("--classes", "table.csv")
    assert "r/mien.onnx, PublicTest" in run("train", "--data", "set", *tiny, *table)
    assert '"n": 21' in run("evaluate", "--data", "set", *table, "--model", "r/mien.onnx", "--out", "e")
    assert "x.onnx: 0." in run("export", "r/best.pt", "--data", "set", *table, "--out", "x.onnx", "--no-reference")
    assert '"images": 42' in run("labels", "set", *table, "--model", "r/mien.onnx")


def test_macro_f1_is_over_the_classes_that_occur_and_says_so(here: Path) -> None:
    fill(here / "set", "happy", "sad", "neutral", count=4)
    said = run("evaluate", "--data", "set", "--model", "mien-xs", "--labels", "own", "--out", "e")
    assert "over the 3 of 7 classes that occur" in said
    import json

    (numbers,) = json.loads((here / "e" / "metrics.json").read_text())["truths"].values()
    f1 = [row["f1"] for row in numbers["classes"].values() if row["support"]]
    assert len(f1) == 3
    assert numbers["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert "over the 3 of 7 classes that occur" in (here / "e" / "report.html").read_text()


def test_prepare_without_the_audit_packages_writes_the_four_files(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(here / "set", *(f"{split}/{name}" for split in ("train", "val") for name in EMOTIONS))
    monkeypatch.setattr("mien.errors.find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    said = run("prepare", "--data", "set", "--out", "p")
    four = {"class_distribution.png", "sample_images.png", "class_weights.txt", "data_preparation_report.txt"}
    assert {path.name for path in (here / "p").iterdir()} == four
    assert "Total images:     28" in said
    assert "Not audited" in said
    assert "[audit]'" in said
    assert "Next: mien train" in said


def test_a_plain_python_says_in_one_line_how_to_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mien.cli", None)

    def missing(name: str, *rest: object, **options: object) -> object:
        if name == "mien.cli":
            raise ModuleNotFoundError("No module named 'typer'", name="typer")
        return real(name, *rest, **options)

    import builtins

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SystemExit) as end:
        start("train")
    said = capsys.readouterr().err
    assert end.value.code == 4
    assert said.count("\n") == 1
    assert "typer" in said
    assert ".venv" in said
