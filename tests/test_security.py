"""What comes from outside: hostile archives, tables, pictures and models; and no way out to the network."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from conftest import REPOSITORY
from datasets import pattern
from onnx import TensorProto, helper

from mien.data.decoding import decode_face
from mien.data.reader import read_dataset
from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError, UsageError
from mien.training.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from mien.training.recipe import read_recipe
from mien.vision.predictor import Predictor

# readers touch what they are given and nothing else
WATCHED = """
import json, os, sys
touched, written = [], []

def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        name = os.path.realpath(os.fsdecode(args[0]))
        touched.append(name)
        if (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(name)
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "subprocess.Popen"):
        written.append(f"{event} {args!r}")

from mien.data.class_table import read_class_table
from mien.data.reader import read_dataset
from mien.data.split_file import read_split_file
from mien.data.votes import read_votes
from mien.errors import MienError
from mien.evaluation.groups import read_groups
from pathlib import Path

data, extra = sys.argv[1:3]
"".encode("cp437"), "".encode("utf-8-sig")  # Python loads these when they are first used
sys.addaudithook(watch)
said = "fine"
try:
    classes = read_class_table(Path(extra)) if extra.endswith("classes.csv") else None
    dataset = read_dataset(Path(data), None, classes).dataset
    if extra.endswith("votes.csv"):
        read_votes(Path(extra), dataset)
    elif extra.endswith("split.csv"):
        read_split_file(Path(extra), dataset)
    elif extra.endswith("groups.csv"):
        read_groups(Path(extra), dataset.names)
except MienError as error:
    said = str(error)
print(json.dumps({"touched": touched, "written": written, "said": said}))
"""


def watched(data: Path, extra: Path | str = "") -> dict[str, list[str]]:
    """Return which files a process touches and writes while it reads ``data`` and a table."""
    answer = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED, str(data), str(extra)], cwd=data.parent, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def png() -> bytes:
    return cv2.imencode(".png", pattern(3, 7))[1].tobytes()


def hostile_zip(path: Path, *entries: tuple[str, bytes, int]) -> Path:
    """Return a zip of all classes with further entries: name, content, Unix mode."""
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("train", "test"):
            for emotion in EMOTIONS:
                archive.writestr(f"{split}/{emotion}/{'Training' if split == 'train' else 'PublicTest'}_1.png", png())
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.filename = name
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


HOSTILE_ENTRIES = {
    "up": ("../secret.txt", b"x", 0o100644),
    "up inside": ("train/happy/../../../secret.png", b"x", 0o100644),
    "absolute": ("/etc/passwd", b"x", 0o100644),
    "drive": ("C:/Windows/x.png", b"x", 0o100644),
    "backslashes": ("train\\happy\\..\\..\\..\\secret.png", b"x", 0o100644),
    "link to a file": ("train/happy/Training_2.png", b"/etc/passwd", 0o120777),
    "link to the secret": ("train/happy/Training_2.png", b"../../../secret.txt", 0o120777),
    "link to a folder": ("train/happy2", b"/etc", 0o120777),
    "device": ("train/happy/Training_2.png", b"", 0o020666),
    "quoted": ("train/happy/..%2f..%2fsecret.png", b"x", 0o100644),
    "set-uid": ("train/happy/Training_2.png", b"#!/bin/sh", 0o104755),
}


@pytest.mark.parametrize("name", HOSTILE_ENTRIES)
def test_a_zip_is_read_in_place_and_leads_nowhere(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "in").mkdir()
    archive = hostile_zip(tmp_path / "in" / "faces.zip", HOSTILE_ENTRIES[name])
    found = watched(archive)
    assert found["written"] == []
    assert set(found["touched"]) <= {str(archive.resolve())}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["faces.zip", "in", "secret.txt"]
    if name in ("up", "up inside", "absolute", "drive", "backslashes"):
        assert "leads out of the archive" in found["said"]


HOSTILE_TABLES = {
    "votes.csv": "path," + ",".join([*EMOTIONS, "contempt", "unknown", "NF"]) + "\n../../secret.txt" + ",1" * 10 + "\n",
    "split.csv": "name,split,label,action,weight,reasons\n../../secret.txt,Training,happy,keep,1,\n",
    "groups.csv": "image,group\n/etc/passwd,a\n",
    "classes.csv": "folder,class\n../../../etc,happy\n",
}


@pytest.mark.parametrize("name", HOSTILE_TABLES)
def test_names_in_tables_are_never_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "in").mkdir()
    archive = hostile_zip(tmp_path / "in" / "faces.zip")
    table = tmp_path / "in" / name
    table.write_text(HOSTILE_TABLES[name])
    found = watched(archive, table)
    assert set(found["touched"]) <= {str(archive.resolve()), str(table.resolve())}
    assert found["written"] == []
    assert found["said"] != "fine"


def test_links_to_folders_in_a_folder_are_not_followed(fer_folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.move(fer_folder / "train" / "happy", outside)
    (fer_folder / "train" / "happy").symlink_to(outside)
    with pytest.raises(DataError, match="links to folders are not followed"):
        read_dataset(fer_folder)
    assert not any(str(outside) in name for name in watched(fer_folder)["touched"])


def test_the_watch_sees_what_it_should(tmp_path: Path) -> None:
    archive = hostile_zip(tmp_path / "faces.zip")
    assert str(archive.resolve()) in watched(archive)["touched"]


# models that carry code or reach for files


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("form", ["torch", "pickle", "in a field"])
def test_a_checkpoint_that_carries_code_is_refused_unrun(form: str, tmp_path: Path) -> None:
    path, trap = tmp_path / "evil.pt", tmp_path / "ran"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Evil(trap), protocol=2))
    else:
        torch.save({"format": FORMAT, "facts": Evil(trap)} if form == "in a field" else Evil(trap), path)
    with pytest.raises(BundleError, match="not a complete checkpoint"):
        load_checkpoint(path)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Evil(trap), protocol=2))
    assert trap.is_dir()  # the trap works


def test_a_good_checkpoint_is_still_read(tmp_path: Path) -> None:
    state = {"ema": {"w": torch.ones(2)}, "settings": {}, "facts": {}, "history": []}
    save_checkpoint(tmp_path / "good.pt", state)
    assert load_checkpoint(tmp_path / "good.pt")["ema"]["w"].tolist() == [1, 1]


@pytest.mark.parametrize("location", ["secret.bin", "../secret.bin", "/etc/passwd", "ABSOLUTE"])
def test_a_bundle_cannot_reach_for_other_files(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    for folder in (tmp_path, tmp_path / "in"):
        (folder / "secret.bin").write_bytes(np.ones(4096, np.float32).tobytes())
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4096], data_location=TensorProto.EXTERNAL)
    name = str(tmp_path / "secret.bin") if location == "ABSOLUTE" else location
    for key, value in (("location", name), ("offset", "0"), ("length", str(4 * 4096))):
        weights.external_data.add(key=key, value=value)
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [4096]) for end in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "in" / "evil.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError):
        Predictor(tmp_path / "in" / "evil.onnx")
    assert isinstance(onnx.load(str(tmp_path / "in" / "evil.onnx"), load_external_data=False), onnx.ModelProto)


def test_deep_toml_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("x = " + "[" * 50_000)
    with pytest.raises((DataError, UsageError)):
        read_recipe(str(tmp_path / "deep.toml"))


FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads"),
    *("shelve.open", "yaml.load", "shutil.unpack_archive", "archive.extractall", "archive.extract"),
}


def test_the_source_has_no_call_that_runs_or_unpacks_what_it_reads() -> None:
    found = []
    for path in [*(REPOSITORY / "mien").rglob("*.py"), *(REPOSITORY / "tools").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name, keys = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
            wrong = name in FORBIDDEN_CALLS or name.endswith((".extractall", ".extract"))
            wrong |= name == "torch.load" and keys.get("weights_only") != "True"
            wrong |= keys.get("allow_pickle", "False") != "False" or keys.get("shell") == "True"
            if wrong:
                found.append(f"{path.name}:{node.lineno} {name}")
    assert found == []


def test_errors_of_a_reader_are_bytes_of_nothing(tmp_path: Path) -> None:
    """Random bytes under every ending: an answer or one of our errors, never another exception."""
    random = np.random.default_rng(3)
    for number in range(60):
        data = random.integers(0, 256, int(random.integers(0, 3000)), dtype=np.uint8).tobytes()
        for head in (b"", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF89a", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP"):
            decode_face(head + data)
        for name in ("x.zip", "x.csv"):
            path = tmp_path / f"{number}{name}"
            path.write_bytes((b"PK\x03\x04" if name == "x.zip" else b"emotion,pixels,Usage\n") + data)
            with pytest.raises(DataError):
                read_dataset(path)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("train/happy/1.png", b"")
    (tmp_path / "small.zip").write_bytes(archive.getvalue())
    with pytest.raises(DataError):
        read_dataset(tmp_path / "small.zip")
