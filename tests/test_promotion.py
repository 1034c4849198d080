"""Candidates put into use and taken back, by two programs at once too; whatever is wrong is refused and changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_cli import mien
from test_training import with_card

from mien.errors import BundleError, DataError, UsageError
from mien.files import file_hash
from mien.privacy.audit_log import AuditLog
from mien.privacy.sessions import state_folder
from mien.retraining.candidate import BUNDLE_NAME, RECORD_NAME, read_candidate, write_candidate
from mien.retraining.gates import Gate
from mien.retraining.promotion import promote_candidate, roll_back
from mien.vision.bundles import bundle_path, packaged_bundle
from mien.vision.promoted import history, promoted_file

PASSED = Gate("new faces better", True, 0.5, 0.7, 0.02, "accuracy 50 % before, 70 % after. Passed")
FAILED = Gate("PublicTest not worse", False, 0.7, 0.5, 0.02, "accuracy 70 % before, 50 % after. Not passed")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def candidate(folder: Path, name: str, *gates: Gate, parent: str | None = None) -> Path:
    """Return the folder of a candidate that answers as mien-xs does, with another card."""
    folder.mkdir()
    packaged = packaged_bundle("mien-xs")
    with_card(packaged, folder / BUNDLE_NAME, '"name": "mien-xs"', f'"name": "{name}"')
    data = {"to_learn": 70, "to_judge": 30, "replayed": 100, "problems": ["no face of disgust"]}
    whose = {"name": "mien-xs", "sha256": parent or file_hash(packaged)}
    write_candidate(folder, {"parent": whose, "request": None, "data": data}, gates or (PASSED,))
    return folder


def test_there_and_back(tmp_path: Path) -> None:
    packaged = bundle_path("mien-xs")
    first = candidate(tmp_path / "a", "better")
    change = promote_candidate(first, tmp_path)
    assert file_hash(bundle_path("mien-xs")) == change.sha256 == file_hash(first / BUNDLE_NAME)
    assert bundle_path("mien-s") == packaged_bundle("mien-s")
    shutil.rmtree(first)  # what is in use does not depend on where it was made
    assert bundle_path("mien-xs").is_file()
    second = candidate(tmp_path / "b", "best", parent=change.sha256)
    promote_candidate(second, tmp_path)
    assert file_hash(bundle_path("mien-xs")) == file_hash(second / BUNDLE_NAME)
    roll_back("mien-xs", tmp_path)
    assert file_hash(bundle_path("mien-xs")) == change.sha256
    roll_back("mien-xs", tmp_path)
    assert bundle_path("mien-xs") == packaged
    with pytest.raises(UsageError, match="nothing to go back from"):
        roll_back("mien-xs", tmp_path)
    assert [row.action for row in history()] == ["promote", "promote", "rollback", "rollback"]
    log = AuditLog(state_folder(tmp_path))
    assert [event["event"] for event in log.events()] == [*["model-promoted"] * 2, *["model-rolled-back"] * 2]
    assert not log.verify().fault


def test_what_failed_a_gate_is_explained_and_not_put_into_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="70 % before, 50 % after"):
        promote_candidate(candidate(tmp_path / "a", "worse", PASSED, FAILED), tmp_path)
    assert "**not passed**" in (tmp_path / "a" / "candidate.md").read_text()
    assert history() == []


def tamper(folder: Path, kind: str) -> None:
    record = json.loads((folder / RECORD_NAME).read_text())
    bundle = folder / BUNDLE_NAME
    if kind == "cut":
        bundle.write_bytes(bundle.read_bytes()[:1000])
    elif kind == "other bundle":
        shutil.copy(packaged_bundle("mien-s"), bundle)
    elif kind == "labels":
        with_card(bundle, bundle, '"angry", "disgust"', '"disgust", "angry"')
        record["sha256"] = file_hash(bundle)
    elif kind == "passed by hand":
        record["passed"] = True
    elif kind == "stale":
        record["parent"]["sha256"] = "0" * 64
    elif kind == "other form":
        record["format"] = "mien-candidate-99"
    (folder / RECORD_NAME).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("cut", BundleError, "not the bundle that was judged"),
        ("other bundle", BundleError, "not the bundle that was judged"),
        ("labels", BundleError, "disgust"),
        ("passed by hand", UsageError, "does not pass its gates"),
        ("stale", UsageError, "Retrain from that one"),
        ("other form", DataError, "no candidate of mien retrain"),
    ],
)
def test_what_is_not_what_was_judged_is_refused(kind: str, error: type[Exception], said: str, tmp_path: Path) -> None:
    folder = candidate(tmp_path / "a", "other", *([FAILED] if kind == "passed by hand" else [PASSED]))
    tamper(folder, kind)
    with pytest.raises(error, match=said):
        promote_candidate(folder, tmp_path)
    assert bundle_path("mien-xs") == packaged_bundle("mien-xs")
    assert history() == []


def test_nothing_there_and_a_broken_history_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mien retrain makes one"):
        read_candidate(tmp_path)
    promoted_file().parent.mkdir(parents=True)
    promoted_file().write_text("[{]")
    with pytest.raises(BundleError, match="is broken"):
        bundle_path("mien-xs")


def test_a_promoted_bundle_that_is_gone_says_how_to_go_back(tmp_path: Path) -> None:
    promote_candidate(candidate(tmp_path / "a", "better"), tmp_path)
    bundle_path("mien-xs").unlink()
    with pytest.raises(BundleError, match="mien models rollback mien-xs"):
        bundle_path("mien-xs")
    roll_back("mien-xs", tmp_path)
    assert bundle_path("mien-xs") == packaged_bundle("mien-xs")


def test_of_two_programs_that_promote_at_once_one_wins_and_the_other_is_told(tmp_path: Path, home: Path) -> None:
    folders = [candidate(tmp_path / name, name) for name in ("a", "b")]
    program = "import sys; from mien.cli import main; main()"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, "models", "promote", str(folder)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        for folder in folders
    ]
    said = [run.communicate(timeout=120)[1] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], said
    assert any("Retrain from that one" in text for text in said)
    (change,) = history()
    assert change.sha256 in [file_hash(folder / BUNDLE_NAME) for folder in folders]


def test_the_commands_say_what_they_did(tmp_path: Path, home: Path) -> None:
    place: Any = {"cwd": tmp_path, "XDG_DATA_HOME": str(home)}
    candidate(tmp_path / "a", "better")
    assert "Nothing was promoted" in mien("models", "history", **place).stdout
    promoted = mien("models", "promote", "a", **place)
    assert promoted.returncode == 0, promoted.stderr
    assert "mien-xs is " in promoted.stdout
    live = mien("live", "--source", "demo", "--model", "mien-xs", "--headless", "--seconds", "0.2", "--out", "out", **place)
    assert live.returncode == 0, live.stderr
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["model"] == "better"
    assert "the packaged bundle again" in mien("models", "rollback", "mien-xs", **place).stdout
    (first, second) = json.loads(mien("models", "history", "--json", **place).stdout)
    assert (first["action"], second["action"]) == ("promote", "rollback")
