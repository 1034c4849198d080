"""Class folders, tables and archives as people have them, and as those have them who mean harm."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from datasets import make_dataset, pattern
from folders import NOISE, encoded, fill, packed

from mien.data.class_table import read_class_table
from mien.data.dataset import SPLITS, FaceDataset
from mien.data.reader import read_dataset
from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError

NEEDS_PERMISSIONS = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def class_counts(dataset: FaceDataset) -> dict[str, int]:
    return {name: n for name, n in dataset.class_counts().items() if n}


def table(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# --- where class folders may stand
@pytest.mark.parametrize("wrapper", ["", "faces", "archive/faces", "my train set"])
@pytest.mark.parametrize("zipped", [False, True])
def test_class_folders_without_splits_are_all_training(tmp_path: Path, wrapper: str, zipped: bool) -> None:
    place = root = fill(tmp_path / "set", *(f"{wrapper}/{name}".lstrip("/") for name in ("Happy", "anger", "neutral")))
    if zipped:
        place = packed(tmp_path / "set.zip", {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.png")})
    result = read_dataset(place)
    assert class_counts(result.dataset) == {"angry": 2, "happy": 2, "neutral": 2}
    assert result.dataset.split_counts() == {"Training": 6, "PublicTest": 0, "PrivateTest": 0}
    assert result.sizes == {(48, 48): 6}
    at = result.dataset.names.index(f"{wrapper}/Happy/1.png".lstrip("/"))
    assert np.array_equal(result.dataset.images[at], pattern(0, 1))


def test_leftovers_and_files_that_are_no_pictures_do_no_harm(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "happy", "sad", ".ipynb_checkpoints", "__MACOSX")
    (root / "README.txt").write_text("faces")
    (root / "happy" / "Thumbs.db").write_bytes(b"junk")
    (root / "happy" / ".DS_Store").write_bytes(b"junk")
    assert class_counts(read_dataset(root).dataset) == {"happy": 2, "sad": 2}


def test_a_table_gives_folders_their_classes_and_leaves_others_out(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "Радость", "WUT", "bored", "sad")
    classes = read_class_table(table(tmp_path, "folder,class\nрадость,happy\n Wut ,anger\nbored,-\n"))
    assert class_counts(read_dataset(root, classes=classes).dataset) == {"angry": 2, "happy": 2, "sad": 2}
    assert class_counts(read_dataset(root, classes={"РАДОСТЬ": "happy", "wut": None, "Bored ": "neutral"}).dataset) == {
        "happy": 2,
        "neutral": 2,
        "sad": 2,
    }


def test_a_table_goes_before_the_names_of_classes_and_splits(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "train/happy", "train/sad", "test/happy")
    assert class_counts(read_dataset(root, classes={"sad": "fear", "test": None}).dataset) == {"fear": 2, "happy": 2}


def test_with_a_table_split_folders_may_lack_classes_and_hold_empty_ones(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "wrap/train/joy", "wrap/train/tired", "wrap/val/joy", "wrap/test/joy")
    (root / "wrap/train/sad").mkdir()
    dataset = read_dataset(root, classes={"tired": "neutral"}).dataset
    assert dataset.split_counts() == {"Training": 4, "PublicTest": 2, "PrivateTest": 2}
    assert class_counts(dataset) == {"happy": 6, "neutral": 2}
    with pytest.raises(DataError, match=r"class folder missing: wrap/train/fear.*--classes TABLE"):
        read_dataset(fill(tmp_path / "other", "wrap/train/joy"))


def test_both_spellings_of_an_accent_are_one_folder(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "cole\u0300re")  # as macOS writes it
    assert class_counts(read_dataset(root, classes=read_class_table(table(tmp_path, "folder;class\ncolère;angry"))).dataset)


def test_names_of_a_zip_from_macos_or_windows_are_understood(tmp_path: Path) -> None:
    face = encoded(pattern(3, 0))
    path = packed(tmp_path / "set.zip", {"XX\\1.png": face, "./XX/2.png": face})
    path.write_bytes(path.read_bytes().replace(b"XX", "ё".encode()))  # UTF-8 that is not flagged as such
    assert sorted(read_dataset(path, classes={"Ё": "happy"}).dataset.names) == ["ё/1.png", "ё/2.png"]


# --- faults of the layout
@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("happy", "bored"), r"unknown class folder bored .*--classes TABLE.*'bored,-'"),
        (("wrap/happy", "wrap/bored", "wrap/tired"), r"wrap/bored .*; unknown class folder wrap/tired .*'bored,-'"),
        (("bored", "tired"), r"no class folder; it holds bored, tired\. .*--classes TABLE"),
        (("anna/happy", "ben/happy"), r"class folders were found in 2 places: anna, ben\. .*--data"),
        (("happy/anna", "happy"), r"2 images in happy/anna are not read: move them up"),
        (("happy", "more/train/happy"), r"unknown class folder more"),
        (("a/b/c/happy",), r"no class folder"),
        ((".",), r"no class folder; it holds no folder"),
    ],
)
def test_faults_of_ones_own_folders_are_named(tmp_path: Path, folders: tuple[str, ...], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_dataset(fill(tmp_path / "set", *folders))


def test_a_folder_beside_the_splits_is_not_skipped(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "train/happy", "validate/happy")
    with pytest.raises(DataError, match="unknown class folder validate"):
        read_dataset(root, classes={})
    assert len(read_dataset(root, classes={"validate": None}).dataset) == 2


def test_no_image_at_all_is_an_error(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "happy", "sad", count=0)
    with pytest.raises(DataError, match="no images in the class folders"):
        read_dataset(root)
    fill(root, "happy")
    with pytest.raises(DataError, match="no images in the class folders"):
        read_dataset(root, classes={"happy": None})


def test_a_table_for_a_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(UsageError, match="--classes maps folders"):
        read_dataset(tmp_path / "fer2013.csv", classes={})


# --- the class table
@pytest.mark.parametrize(
    "text",
    [
        "folder,class\nBored,-\njoyful,Happiness\n",
        "\ufefffolder;class\r\n\r\nBORED;-\r\njoyful;happy\r\n",
        'Folder\tClass\n"bored"\t-\n joyful \tjoy\njoyful\thappy\n',
    ],
)
def test_a_class_table_may_have_commas_semicolons_or_tabs(tmp_path: Path, text: str) -> None:
    assert read_class_table(table(tmp_path, text)) == {"bored": None, "joyful": "happy"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bored,-\n", r"begins with 'bored,-'; its first line must be 'folder,class'"),
        ("", r"first line must be 'folder,class'"),
        ("folder,class\njoyful,hapy\n", r"line 2: unknown class 'hapy' \(one of angry"),
        ("folder,class\na,happy\nb,-\nA,sad\n", r"line 4: 'A' is 'sad' here and 'happy' in line 2; keep one"),
        ("folder,class\njoyful\n", r"line 2 is 'joyful', not a folder and a class"),
        ("folder,class\n,happy\nx,hapy", r"line 2 is ' \| happy', not.*; line 3: unknown class 'hapy'"),
        ("folder,class\ntrain/joyful,happy\n", r"'train/joyful' is a path"),
        ("folder,class\nрадость,happy\n".encode("cp1251"), r"is not UTF-8 text .*CSV UTF-8"),
        (None, r"cannot read the class table .*No such file.*'folder,class'"),
    ],
)
def test_every_fault_of_a_class_table_says_where_it_is(tmp_path: Path, text: str | bytes | None, said: str) -> None:
    path = tmp_path / "none.csv" if text is None else table(tmp_path, text)
    with pytest.raises(DataError, match=said):
        read_class_table(path)
    with pytest.raises(DataError, match="cannot read the class table"):
        read_class_table(tmp_path)


def test_a_csv_has_sizes_too(tmp_path: Path) -> None:
    rows = [f"3,{' '.join(map(str, image.ravel()))},Training" for image in make_dataset((2, 0, 0)).images]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    assert read_dataset(tmp_path / "fer2013.csv").sizes == {(48, 48): 14}


# --- links, permissions, and archives that mean harm
def test_a_linked_image_is_read_and_a_linked_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere", "joy")
    root = fill(tmp_path / "set", "happy")
    (root / "happy" / "linked.png").symlink_to(elsewhere / "joy" / "0.png")
    (root / "happy" / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    (root / "happy" / "round.png").symlink_to(root / "happy" / "round.png")
    result = read_dataset(root)
    assert (len(result.dataset), result.unreadable) == (3, ("happy/dangling.png", "happy/round.png"))
    (root / "sad").symlink_to(elsewhere / "joy", target_is_directory=True)
    with pytest.raises(DataError, match="sad is a link, and links to folders are not followed"):
        read_dataset(root)


def test_a_link_to_its_own_parent_ends(tmp_path: Path, fer_folder: Path) -> None:
    root = fill(tmp_path / "set", "happy")
    (root / "loop").symlink_to(root, target_is_directory=True)
    with pytest.raises(DataError, match=r"loop is a link, and links to folders are not followed.*'loop,-'"):
        read_dataset(root)
    assert len(read_dataset(root, classes={"loop": None}).dataset) == 2
    (root / "happy" / "again").symlink_to(root, target_is_directory=True)
    with pytest.raises(DataError, match="happy/again is a link"):
        read_dataset(root, classes={"loop": None})
    (fer_folder / "loop").symlink_to(fer_folder, target_is_directory=True)
    assert len(read_dataset(fer_folder).dataset) == 42


def test_a_linked_class_folder_of_fer2013_says_why_it_is_empty(fer_folder: Path) -> None:
    (fer_folder / "train" / "sad").rename(fer_folder / "moved")
    (fer_folder / "train" / "sad").symlink_to(fer_folder / "moved", target_is_directory=True)
    with pytest.raises(DataError, match="class folder empty: train/sad; train/sad is a link"):
        read_dataset(fer_folder)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "happy")
    os.mkfifo(root / "happy" / "pipe.jpg")
    assert read_dataset(root).unreadable == ("happy/pipe.jpg",)


@NEEDS_PERMISSIONS
def test_files_and_folders_that_may_not_be_read_are_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "happy", "sad")
    (root / "happy" / "0.png").chmod(0)
    assert read_dataset(root).unreadable == ("happy/0.png",)
    for closed, said in ((root / "sad", "sad cannot be opened"), (root, "cannot open")):
        closed.chmod(0)
        with pytest.raises(DataError, match=said):
            read_dataset(root)
        closed.chmod(0o700)
    archive = packed(tmp_path / "set.zip", {"happy/1.png": encoded(NOISE)})
    csv = tmp_path / "fer2013.csv"
    csv.write_text("emotion,pixels,Usage\n")
    for path in (archive, csv):
        path.chmod(0)
        with pytest.raises(DataError, match="Check its permissions"):
            read_dataset(path)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path / "set", "happy", "sad")
    listing: Callable[[str], object] = os.scandir
    closed = "sad"

    def refuse(path: str) -> object:
        if str(path).endswith(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"sad cannot be opened \(Permission denied\)"):
        read_dataset(root)
    closed = "set"
    with pytest.raises(DataError, match="cannot open the folder"):
        read_dataset(root)


def test_a_name_that_is_not_utf8_can_be_read_and_written_about(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "happy")
    Path(os.fsdecode(os.fsencode(root) + b"/happy/\xe9t\xe9.png")).write_bytes(encoded(NOISE))
    dataset = read_dataset(root).dataset
    assert len(dataset) == 3
    assert "happy/\\xe9t\\xe9.png" in dataset.names
    "".join(dataset.names).encode()


@pytest.mark.parametrize("name", ["/happy/1.png", "../happy/1.png", "happy/../../1.png", "C:/happy/1.png", "..\\happy\\1.png"])
def test_a_zip_whose_names_lead_out_of_it_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="leads out of the archive"):
        read_dataset(packed(tmp_path / "set.zip", {"happy/0.png": encoded(NOISE), name: encoded(NOISE)}))


def test_a_zip_that_stores_its_own_folder_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(packed(tmp_path / "set.zip", {"./happy/0.png": encoded(NOISE)}), "a") as archive:
        archive.writestr("./", b"")
        archive.writestr(".", b"")
    assert len(read_dataset(tmp_path / "set.zip").dataset) == 1


def test_links_in_a_zip_are_not_followed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("happy/0.png", encoded(NOISE))
        for name in ("sad", "happy/passwd.png"):
            link = zipfile.ZipInfo(name)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="sad is a link"):
        read_dataset(tmp_path / "set.zip")
    assert read_dataset(tmp_path / "set.zip", classes={"sad": None}).unreadable == ("happy/passwd.png",)


def test_an_entry_that_is_too_large_broken_or_a_lie_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("happy/0.png", encoded(NOISE))
        archive.writestr("happy/broken.png", encoded(255 - NOISE))
        archive.writestr("happy/large.png", bytes(65 * 1024 * 1024))
        archive.writestr("happy/liar.png", bytes(50 * 1024 * 1024))
        at = archive.getinfo("happy/broken.png").header_offset + 200
    data = bytearray(path.read_bytes())
    data[at : at + 20] = bytes(20)
    path.write_bytes(bytes(data).replace((50 * 1024 * 1024).to_bytes(4, "little"), (3000).to_bytes(4, "little")))
    assert read_dataset(path).unreadable == ("happy/broken.png", "happy/large.png", "happy/liar.png")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"no zip", encoded(NOISE)])
def test_what_is_no_zip_says_what_a_data_set_is(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "faces.jpg").write_bytes(data)
    with pytest.raises(DataError, match=r"not a complete zip archive.*folder, a zip of it, or FER2013's CSV"):
        read_dataset(tmp_path / "faces.jpg")


# --- size
@pytest.mark.slow
def test_a_hundred_thousand_images_are_read(tmp_path: Path) -> None:
    faces = [[encoded(cv2.resize(pattern(label, k), (24, 24))) for k in range(3)] for label in range(len(EMOTIONS))]
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(100_000):
            archive.writestr(f"{EMOTIONS[i % 7]}/{i:06d}.png", faces[i % 7][i % 3])
    steps: list[tuple[int, int]] = []
    result = read_dataset(path, lambda done, total: steps.append((done, total)))
    assert (len(result.dataset), result.unreadable, result.sizes) == (100_000, (), {(24, 24): 100_000})
    assert steps[-1] == (100_000, 100_000)
    assert (result.dataset.splits == SPLITS.index("Training")).all()
    assert min(result.dataset.class_counts().values()) == 100_000 // 7


def test_fer2013_keeps_its_hash(fer2013: FaceDataset) -> None:
    assert fer2013.content_hash() == "e71e8999b38d4126427ff71691b1842d872e69b6982c4dbb79102f2a0343cdc0"
