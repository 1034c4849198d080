"""The original description's workflow, word for word: five scripts, in a copy of the repository as a fresh clone has it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from folders import fill

from mien.emotions import EMOTIONS
from mien.vision.bundles import accuracies

TINY = ("--epochs", "1", "--batch-size", "7", "--set", "widths=[8,8,8]", "--set", "blocks=[1,1,1]")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what git tracks, with a small data set where the documents say that FER2013 belongs."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    target = tmp_path / "clone"
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if name.startswith(("mien/", "pyproject")) or ("/" not in name and name.endswith(".py")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target / name)
    data = target / "data" / "fer2013"
    for split, prefix in (("train", "Training"), ("test", "PublicTest"), ("test", "PrivateTest")):
        fill(tmp_path / prefix, *EMOTIONS, count=4)
        for image in (tmp_path / prefix).rglob("*.png"):
            place = data / split / image.parent.name / f"{prefix}_{image.name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, place)
    return target


def script(clone: Path, name: str, *arguments: str, code: int = 0) -> str:
    """Run a script of the clone as its user does; return everything it printed."""
    kept = {
        key: os.environ[key]
        for key in ("PATH", "HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "OMP_NUM_THREADS")
        if key in os.environ
    }
    answer = subprocess.run(
        [sys.executable, name, *arguments], cwd=clone, env=kept, capture_output=True, text=True, timeout=900, check=False
    )
    assert answer.returncode == code, answer.stderr
    return answer.stdout + answer.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_five_scripts_do_what_the_description_says(clone: Path) -> None:
    said = script(clone, "prepare_fer2013_data.py", "--label-model", "none", "--no-faces")
    results = clone / "results" / "data_analysis"
    for name in ("class_distribution.png", "sample_images.png", "class_weights.txt", "data_preparation_report.txt"):
        assert (results / name).stat().st_size > 100, name
    assert "Training images:  28" in said
    assert "audit.html" in said
    assert "file://" in said

    said = script(clone, "train_model.py", *TINY)
    assert "training on" in said
    bundle = clone / "models" / "default" / "mien.onnx"
    assert bundle.is_file()
    assert list((clone / "logs" / "default").glob("events.*"))
    accuracy = next(iter(accuracies(bundle).values()))

    said = script(clone, "test_model.py")  # the model that was trained, not the packaged one
    assert f"model models/default/mien.onnx: labels of this data {accuracy:.1%} on PublicTest" in said
    assert "--model mien-s" in said
    assert json.loads((clone / "results" / "evaluation" / "metrics.json").read_text())["model"] == "default"

    live = ("--source", "demo", "--duration-s", "1", "--headless", "--out", "results/live")
    said = script(clone, "realtime_emotion_analytics.py", *live)
    assert "model models/default/mien.onnx: " in said
    assert json.loads((clone / "results" / "live" / "summary.json").read_text())["model"] == "default"
    said = script(
        clone,
        "realtime_emotion_analytics.py",
        "--source",
        "demo",
        "--duration-s",
        "1",
        "--headless",
        "--out",
        "results/b",
        "--model",
        "mien-s",
    )
    assert json.loads((clone / "results" / "b" / "summary.json").read_text())["model"] == "mien-s"

    said = script(
        clone, "face_emotion_system.py", "--source", "data/fer2013/train/happy", "--headless", "--out", "results/system"
    )
    assert "[x] model        models/default/mien.onnx" in said
    assert "[x] data report" in said
    assert "SESSION SUMMARY" in said
    if accuracy < 0.6:
        assert "warning: this model is right less than 60% of the time" in said


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_workflow_goes_on_where_it_stopped(clone: Path) -> None:
    live = ("--all", "--epochs", "1", "--source", "data/fer2013/train/happy", "--headless")
    recipe = clone / "mien" / "training" / "recipes" / "default.toml"  # as large as the test can wait for
    recipe.write_text("epochs = 1\nbatch_size = 7\nwidths = [8, 8, 8]\nblocks = [1, 1, 1]\n")
    said = script(clone, "face_emotion_system.py", *live, "--out", "results/one")
    for step in ("1. Preparing the data", "2. Training", "3. Testing", "Starting a live session"):
        assert step in said
    assert json.loads((clone / "results" / "one" / "summary.json").read_text())["model"] == "default"
    (clone / "models" / "default" / "mien.json").unlink()  # a training that was stopped before it was exported
    said = script(clone, "face_emotion_system.py", *live, "--out", "results/two")
    assert "1. Data: prepared" in said
    assert "2. Training …" in said
    assert "resuming after step" in said
    said = script(clone, "face_emotion_system.py", *live, "--out", "results/three")
    assert "2. Training: done" in said
    assert "3. Test: done" in said
