from __future__ import annotations

import csv
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from datasets import make_dataset, pattern

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.fer2013 import fingerprints, has_fer2013_labels, is_named_fer2013, known_fingerprints
from mien.data.preparation import class_weights, findings, report_text, weights_text
from mien.data.reader import find_data, read_dataset
from mien.emotions import EMOTIONS, FER2013_CODES, canonical_name
from mien.errors import DataError, UsageError


def test_a_folder_and_its_zip_are_the_same_data(fer_folder: Path, fer_zip: Path) -> None:
    folder, archive = read_dataset(fer_folder).dataset, read_dataset(fer_zip).dataset
    assert folder.split_counts() == {"Training": 21, "PublicTest": 14, "PrivateTest": 7}
    assert folder.content_hash() == archive.content_hash()
    assert sorted(folder.names) == sorted(archive.names)
    at = folder.names.index("test/happy/PublicTest_1.png")
    assert np.array_equal(folder.images[at], pattern(EMOTIONS.index("happy"), 101))
    assert SPLITS[folder.splits[at]] == "PublicTest"


def test_a_zip_with_a_top_folder_and_leftovers_is_read_too(fer_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "wrapped.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for path in fer_folder.rglob("*.png"):
            archive.write(path, f"archive/{path.relative_to(fer_folder).as_posix()}")
        archive.writestr("__MACOSX/archive/train/happy/._Training_0.png", b"junk")
        archive.writestr("archive/train/happy/.DS_Store", b"junk")
    assert len(read_dataset(target).dataset) == 42


def write_csv(path: Path, head: tuple[str, ...], dataset: FaceDataset) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(head)
        for image, label, split in zip(dataset.images, dataset.labels, dataset.splits, strict=True):
            values = {
                "emotion": FER2013_CODES.index(EMOTIONS[label]),
                "pixels": " ".join(map(str, image.ravel())),
                "usage": SPLITS[split],
            }
            writer.writerow([values[column.strip().lower()] for column in head])


@pytest.mark.parametrize("head", [("emotion", "pixels", "Usage"), ("emotion", " Usage", " pixels")])
def test_both_original_csv_files_give_the_same_data(tmp_path: Path, head: tuple[str, ...]) -> None:
    dataset = make_dataset((2, 1, 1))
    write_csv(tmp_path / "fer2013.csv", head, dataset)
    read = read_dataset(tmp_path / "fer2013.csv").dataset
    assert read.content_hash() == dataset.content_hash()
    assert read.names[0] == "fer2013.csv:2"
    assert np.array_equal(read.labels, dataset.labels)


def test_broken_csv_rows_are_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    write_csv(path, ("emotion", "pixels", "Usage"), make_dataset((30, 1, 1)))
    with path.open("a") as handle:
        handle.write("-1,1 2 3,Training\n")
    result = read_dataset(path)
    assert result.unreadable == ("fer2013.csv:226",)
    assert len(result.dataset) == 224


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: shutil.rmtree(root / "train" / "fear"), "class folder missing: train/fear"),
        (lambda root: (root / "test" / "bored").mkdir(), "unknown class folder test/bored"),
        (lambda root: [p.unlink() for p in (root / "train" / "sad").iterdir()], "class folder empty: train/sad"),
        (lambda root: shutil.rmtree(root / "train"), "no folder 'train'"),
        (lambda root: (root / "train/sad/Training_0.png").write_bytes(b"\x89PNG broken"), "train/sad/Training_0.png"),
    ],
)
def test_every_fault_of_the_layout_is_named(fer_folder: Path, damage: object, said: str) -> None:
    damage(fer_folder)  # parametrised as object
    with pytest.raises(DataError, match=said.replace("(", r"\(")):
        read_dataset(fer_folder)


def test_one_unreadable_image_among_many_is_left_out_and_named(fer_folder: Path) -> None:
    for k in range(100, 300):
        cv2.imwrite(str(fer_folder / f"train/happy/Training_{k}.png"), pattern(3, k))
    (fer_folder / "train/happy/Training_100.png").write_bytes(b"")
    result = read_dataset(fer_folder)
    assert result.unreadable == ("train/happy/Training_100.png",)
    assert len(result.dataset) == 42 + 199
    assert "Training_100.png" in report_text(findings(result.dataset, result.unreadable, ""), "here")


def test_other_names_sizes_and_colours_are_brought_to_one_form(fer_folder: Path) -> None:
    (fer_folder / "train" / "happy").rename(fer_folder / "train" / "Happiness")
    large = cv2.cvtColor(cv2.resize(pattern(3, 0), (192, 192), interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2BGR)
    cv2.imwrite(str(fer_folder / "train" / "Happiness" / "лицо.png"), large)
    dataset = read_dataset(fer_folder).dataset
    at = dataset.names.index("train/Happiness/лицо.png")
    assert EMOTIONS[dataset.labels[at]] == "happy"
    assert np.abs(dataset.images[at].astype(int) - pattern(3, 0)).max() <= 1


def test_a_cut_zip_and_no_data_say_what_to_do(fer_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fer_zip.read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not a complete zip archive"):
        read_dataset(cut)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"kaggle\.com.*data/fer2013\.zip"):
        read_dataset()
    with pytest.raises(DataError, match=r"no file or folder .*fer.zip\. Did you mean 'fer2013.zip'\?"):
        read_dataset(fer_zip.with_name("fer.zip"))


def test_data_is_found_beside_the_name_given(fer_zip: Path, tmp_path: Path) -> None:
    assert find_data(tmp_path / "fer2013") == tmp_path / "fer2013"
    shutil.rmtree(tmp_path / "fer2013")
    assert find_data(tmp_path / "fer2013") == fer_zip


def test_the_hash_tells_content_and_nothing_else() -> None:
    dataset = make_dataset((3, 1, 1))
    shuffled = dataset.take(np.random.default_rng(0).permutation(len(dataset)))
    assert shuffled.content_hash() == dataset.content_hash()
    images = dataset.images.copy()
    images[5, 3, 3] ^= 1
    changed = FaceDataset(images, dataset.labels, dataset.splits, dataset.names)
    assert changed.content_hash() != dataset.content_hash()


def test_splits_that_are_not_there_are_refused() -> None:
    dataset = make_dataset((2, 0, 1))
    with pytest.raises(UsageError, match="PublicTest is empty"):
        dataset.split("PublicTest")
    with pytest.raises(UsageError, match="unknown split 'Test'"):
        dataset.split("Test")


def test_class_weights_level_the_classes() -> None:
    counts = dict(zip(EMOTIONS, (3995, 436, 4097, 7215, 4965, 4830, 3171), strict=True))
    weights = class_weights(counts)
    totals = [weights[name] * counts[name] for name in EMOTIONS]
    assert np.allclose(totals, 28709 / 7)
    assert weights_text(weights).splitlines()[1].startswith("1 disgust 9.406")


def test_names_from_elsewhere() -> None:
    assert [canonical_name(n) for n in ("ANGER", "surprised", "neutral", "contempt")] == ["angry", "surprise", "neutral", None]
    assert sorted(FER2013_CODES) == sorted(EMOTIONS)


def test_fer2013_is_recognised_by_its_images(fer2013: FaceDataset) -> None:
    assert np.array_equal(known_fingerprints(), np.unique(fingerprints(fer2013.images, fer2013.labels)))
    few = fer2013.take(np.arange(0, len(fer2013), 90))
    few = replace(few, names=tuple(f"mine/{k}.png" for k in range(len(few))))
    assert has_fer2013_labels(few)
    larger = [cv2.resize(image, (224, 224)) for image in few.images]
    files = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 75])[1] for image in larger]
    again = [cv2.resize(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), (48, 48), interpolation=cv2.INTER_AREA) for file in files]
    assert has_fer2013_labels(replace(few, images=np.stack(again)))
    others = np.where(np.arange(len(few)) % 8 == 0, (few.labels + 1) % 7, few.labels)
    assert not has_fer2013_labels(replace(few, labels=others))


def test_images_that_are_only_named_like_fer2013_are_not_taken_for_it(fer_folder: Path) -> None:
    dataset = read_dataset(fer_folder).dataset
    assert is_named_fer2013(dataset)
    assert not has_fer2013_labels(dataset)
    assert has_fer2013_labels(dataset.take(np.zeros(len(dataset), np.bool_))) is False


def test_fer2013_has_the_counts_everyone_knows(fer2013: FaceDataset) -> None:
    assert fer2013.split_counts() == {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
    assert fer2013.class_counts()["disgust"] == 547
    found = findings(fer2013, (), "")
    assert found["images"] == {"total": 35887, "train": 28709, "test": 7178, "unreadable": []}
    assert "28,709" in report_text(found, "fer2013.zip")
    assert "7,178" in report_text(found, "fer2013.zip")
