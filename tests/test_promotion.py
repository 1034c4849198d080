"""Promotion and rollback of candidates, also by two processes at once; invalid candidates are refused and change nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_cli import mien
from test_training import with_card
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import BundleError, DataError, DeviceError, StorageError, UsageError
from mien.files import file_hash
from mien.monitoring.reference_file import read_reference, reference_path, write_reference
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.retraining.candidate import BUNDLE_NAME, PAGE_NAME, RECORD_NAME, read_candidate, write_candidate
from mien.retraining.gates import Gate
from mien.retraining.promotion import promote_candidate, roll_back
from mien.vision import promoted
from mien.vision.bundles import bundle_path, packaged_bundle, write_record
from mien.vision.predictor import Predictor
from mien.vision.promoted import history, promoted_file

PASSED = Gate(name="new faces better", passed=True, before=0.5, after=0.7, noise=0.02, sentence="accuracy: 50% before, 70% after")
FAILED = Gate(
    name="PublicTest not worse, fer2013",
    passed=False,
    before=0.7,
    after=0.5,
    noise=0.02,
    sentence="accuracy: 70% before, 50% after",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def candidate(folder: Path, name: str, *gates: Gate, parent: str | None = None) -> Path:
    """Return the folder of a candidate that predicts as mien-xs does, with a different card."""
    folder.mkdir()
    packaged = packaged_bundle("mien-xs")
    with_card(packaged, folder / BUNDLE_NAME, '"name": "mien-xs"', f'"name": "{name}"')
    data = {"to_learn": 70, "to_judge": 30, "replayed": 100, "problems": ["no face of disgust"]}
    whose = {"name": "mien-xs", "sha256": parent or file_hash(packaged)}
    write_candidate(folder, {"parent": whose, "request": None, "data": data}, gates or (PASSED,))
    return folder


def test_promotions_are_undone_one_by_one(tmp_path: Path) -> None:
    packaged = bundle_path("mien-xs")
    first = candidate(tmp_path / "a", "better")
    change = promote_candidate(first, tmp_path)
    assert file_hash(bundle_path("mien-xs")) == change.sha256 == file_hash(first / BUNDLE_NAME)
    assert bundle_path("mien-s") == packaged_bundle("mien-s")
    shutil.rmtree(first)  # a deployed bundle does not depend on the candidate's folder
    assert bundle_path("mien-xs").is_file()
    second = candidate(tmp_path / "b", "best", parent=change.sha256)
    promote_candidate(second, tmp_path)
    assert file_hash(bundle_path("mien-xs")) == file_hash(second / BUNDLE_NAME)
    roll_back("mien-xs", tmp_path)
    assert file_hash(bundle_path("mien-xs")) == change.sha256
    roll_back("mien-xs", tmp_path)
    assert bundle_path("mien-xs") == packaged
    with pytest.raises(UsageError, match="mien-xs"):
        roll_back("mien-xs", tmp_path)
    assert [row.action for row in history()] == ["promote", "promote", "rollback", "rollback"]
    log = AuditLog(state_folder(tmp_path))
    assert [event["event"] for event in log.events()] == [*["model-promoted"] * 2, *["model-rolled-back"] * 2]
    assert not log.verify().fault


def test_the_drift_reference_is_promoted_with_the_bundle(tmp_path: Path) -> None:
    first = candidate(tmp_path / "a", "better")
    packaged = packaged_bundle("mien-xs")
    held = read_reference(reference_path(packaged), file_hash(packaged))
    write_reference(reference_path(first / BUNDLE_NAME), replace(held, bundle_sha256=file_hash(first / BUNDLE_NAME)))
    with_one = CliRunner().invoke(app, ["models", "promote", str(first), "--sessions", str(tmp_path)])
    assert with_one.exit_code == 0
    listed = CliRunner().invoke(app, ["models", "list"]).output
    assert "mien-xs is a promoted bundle. To undo the promotion: mien models rollback mien-xs" in listed
    assert "mien-s is a promoted" not in listed
    assert "no drift reference" not in with_one.output
    assert reference_path(bundle_path("mien-xs")).is_file()
    second = candidate(tmp_path / "b", "best", parent=file_hash(first / BUNDLE_NAME))
    without = CliRunner().invoke(app, ["models", "promote", str(second), "--sessions", str(tmp_path)])
    assert "no drift reference" in without.output
    assert "mien monitor reference --model mien-xs --votes ferplus_votes.csv\n" in without.output


def test_a_candidate_is_finished_once_its_page_is_written(tmp_path: Path) -> None:
    (tmp_path / "a" / PAGE_NAME).mkdir(parents=True)  # so that the page cannot be written
    (tmp_path / "a" / BUNDLE_NAME).touch()
    data = {"to_learn": 70, "to_judge": 30, "replayed": 100, "problems": []}
    lineage = {"parent": {"name": "mien-xs", "sha256": ""}, "request": None, "data": data}
    with pytest.raises(DeviceError, match=PAGE_NAME):
        write_candidate(tmp_path / "a", lineage, [PASSED])
    assert not (tmp_path / "a" / RECORD_NAME).exists()


def test_a_candidate_that_failed_a_gate_is_not_deployed(tmp_path: Path) -> None:
    old = replace(FAILED, name="live answers kept", sentence="live predictions: 85% equal the parent's. Failed")
    with pytest.raises(UsageError, match=r"deployed: accuracy: 70% before, 50% after; live predictions: 85% equal the parent's$"):
        promote_candidate(candidate(tmp_path / "a", "worse", PASSED, FAILED, old), tmp_path)
    page = (tmp_path / "a" / "candidate.html").read_text()
    assert ">PublicTest not worse, FER2013 labels<" in page
    assert "accuracy on PublicTest, FER2013 labels" in page
    assert "accuracy on the held-out new faces" in page
    assert history() == []


def test_a_candidate_of_an_older_version_is_promoted(tmp_path: Path) -> None:
    old = [replace(PASSED, sentence=f"{PASSED.sentence}. Passed"), replace(PASSED, name="live answers kept")]
    assert promote_candidate(candidate(tmp_path / "a", "better", *old), tmp_path).action == "promote"


@pytest.mark.parametrize(("name", "said"), [("tiny", "there is no packaged bundle tiny"), ("mien-s", "mien-s is the packaged")])
def test_only_a_promotion_of_a_packaged_bundle_is_undone(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        roll_back(name, tmp_path)


def test_what_cannot_be_logged_is_not_done(tmp_path: Path) -> None:
    change = promote_candidate(candidate(tmp_path / "a", "better"), tmp_path)
    second = candidate(tmp_path / "b", "best", parent=change.sha256)
    log = AuditLog(state_folder(tmp_path)).path
    intact = log.read_bytes()
    log.write_bytes(intact + b"garbage\n")
    for _ in range(2):
        with pytest.raises(DataError, match=r"audit\.jsonl"):
            promote_candidate(second, tmp_path)
        with pytest.raises(DataError, match=r"audit\.jsonl"):
            roll_back("mien-xs", tmp_path)
    assert history() == [change]
    log.write_bytes(intact)
    promote_candidate(second, tmp_path)
    assert roll_back("mien-xs", tmp_path).sha256 == change.sha256


def stop_at(path: Path, error: BaseException) -> Callable[[Path, Any], None]:
    """Return a function that writes JSON files as usual, and raises an error for one of them."""
    write = promoted.write_json

    def stopping(target: Path, document: Any) -> None:
        if target == path:
            raise error
        write(target, document)

    return stopping


def test_a_change_that_was_logged_and_failed_is_logged_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = stop_at(promoted_file(), StorageError("no space left"))
    first = candidate(tmp_path / "a", "better")
    packaged = file_hash(packaged_bundle("mien-xs"))
    with monkeypatch.context() as patch:
        patch.setattr("mien.vision.promoted.write_json", refused)
        with pytest.raises(StorageError, match="no space"):
            promote_candidate(first, tmp_path)
    change = promote_candidate(first, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("mien.vision.promoted.write_json", refused)
        with pytest.raises(StorageError, match="no space"):
            roll_back("mien-xs", tmp_path)
    events = [(event["event"], event["model"]) for event in AuditLog(state_folder(tmp_path)).events()]
    promotion = ("model-promoted", change.sha256)
    assert events == [
        promotion,
        ("model-unchanged", packaged),
        promotion,
        ("model-rolled-back", packaged),
        ("model-unchanged", change.sha256),
    ]
    assert history() == [change]


@pytest.mark.parametrize("after", ["next change", "other log", "no log"])
def test_a_change_that_a_kill_prevented_is_logged_as_such_by_the_next(
    after: str, tmp_path: Path, mien_here: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, packaged = candidate(tmp_path / "a", "better"), file_hash(packaged_bundle("mien-xs"))
    with monkeypatch.context() as killed:
        killed.setattr(promoted, "write_json", stop_at(promoted_file(), KeyboardInterrupt()))
        killed.setattr(promoted, "_settle", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            promote_candidate(first, Path("first"))
    assert history() == []
    for _ in range(2):
        code, said, warned = mien_here("models", "history")
        assert (code, said.startswith("No promotions")) == (0, True)
        assert "was interrupted and did not take effect" in warned
    if after == "no log":
        shutil.rmtree("first")
    change = promote_candidate(first, Path("first" if after == "next change" else "second"))
    events = {
        root: [(event["event"], event["model"]) for event in AuditLog(state_folder(Path(root))).events()]
        for root in ("first", "second")
    }
    promotion, unchanged = ("model-promoted", change.sha256), ("model-unchanged", packaged)
    assert (
        events
        == {
            "next change": {"first": [promotion, unchanged, promotion], "second": []},
            "other log": {"first": [promotion, unchanged], "second": [promotion]},
            "no log": {"first": [], "second": [unchanged, promotion]},
        }[after]
    )
    assert "interrupted" not in mien_here("models", "history")[2]


def test_nobody_goes_back_to_a_bundle_that_is_missing_or_was_changed(tmp_path: Path) -> None:
    first = promote_candidate(candidate(tmp_path / "a", "better"), tmp_path)
    copy = bundle_path("mien-xs")
    content = copy.read_bytes()
    promote_candidate(candidate(tmp_path / "b", "best", parent=first.sha256), tmp_path)
    log = AuditLog(state_folder(tmp_path)).path
    before = history(), log.read_bytes(), bundle_path("mien-xs")
    for damage, said in ((copy.unlink, "is missing"), (lambda: copy.write_bytes(b"garbage"), "was changed")):
        damage()
        with pytest.raises(BundleError, match=said):
            roll_back("mien-xs", tmp_path)
        assert (history(), log.read_bytes(), bundle_path("mien-xs")) == before
    copy.write_bytes(content)
    roll_back("mien-xs", tmp_path)
    assert bundle_path("mien-xs") == copy


@pytest.mark.parametrize(
    ("companion", "content", "said"),
    [
        ("candidate.json", b"{", "not the record of a bundle"),
        ("candidate.json", packaged_bundle("mien-xs").with_suffix(".json").read_bytes(), "is not the file that candidate.json"),
        ("candidate.reference.npz", b"garbage", "drift reference"),
        ("candidate.reference.npz", reference_path(packaged_bundle("mien-xs")).read_bytes(), "of another bundle"),
    ],
)
def test_a_candidate_with_a_damaged_or_foreign_companion_is_refused(
    companion: str, content: bytes, said: str, tmp_path: Path
) -> None:
    folder = candidate(tmp_path / "a", "better")
    (folder / companion).write_bytes(content)
    with pytest.raises(DataError, match=said):
        promote_candidate(folder, tmp_path)
    assert history() == []
    assert bundle_path("mien-xs") == packaged_bundle("mien-xs")
    (folder / companion).unlink()
    promote_candidate(folder, tmp_path)


def test_no_companion_of_an_earlier_copy_stays_in_use(tmp_path: Path) -> None:
    folder = candidate(tmp_path / "a", "better")
    write_record(folder / BUNDLE_NAME, Predictor(folder / BUNDLE_NAME).card)
    promote_candidate(folder, tmp_path)
    copies = bundle_path("mien-xs").parent
    roll_back("mien-xs", tmp_path)
    assert sorted(path.suffix for path in copies.iterdir()) == [".json", ".onnx"]
    (copies / f".{file_hash(folder / BUNDLE_NAME)}-abcdefgh.onnx").touch()  # left by a kill
    (folder / BUNDLE_NAME).with_suffix(".json").unlink()
    promote_candidate(folder, tmp_path)
    assert [path.name for path in copies.iterdir()] == [bundle_path("mien-xs").name]


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/deeper"])
def test_without_a_home_folder_the_packaged_bundle_is_used(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", home)
    assert bundle_path("mien-xs") == packaged_bundle("mien-xs")
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
    ("kind", "error", "named"),
    [
        ("cut", BundleError, BUNDLE_NAME),
        ("other bundle", BundleError, BUNDLE_NAME),
        ("labels", BundleError, "disgust"),
        ("passed by hand", UsageError, "70% before, 50% after"),
        ("stale", UsageError, "000000000000"),
        ("other form", DataError, RECORD_NAME),
    ],
)
def test_a_tampered_candidate_is_refused(kind: str, error: type[Exception], named: str, tmp_path: Path) -> None:
    folder = candidate(tmp_path / "a", "other", *([FAILED] if kind == "passed by hand" else [PASSED]))
    tamper(folder, kind)
    with pytest.raises(error, match=named):
        promote_candidate(folder, tmp_path)
    assert bundle_path("mien-xs") == packaged_bundle("mien-xs")
    assert history() == []


def test_a_missing_candidate_and_a_broken_history_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        read_candidate(tmp_path)
    promoted_file().parent.mkdir(parents=True)
    promoted_file().write_text("[{]")
    with pytest.raises(BundleError, match=str(promoted_file())):
        bundle_path("mien-xs")


def test_a_missing_promoted_bundle_can_be_rolled_back(tmp_path: Path) -> None:
    promote_candidate(candidate(tmp_path / "a", "better"), tmp_path)
    bundle_path("mien-xs").unlink()
    with pytest.raises(BundleError, match="mien models rollback mien-xs"):
        bundle_path("mien-xs")
    roll_back("mien-xs", tmp_path)
    assert bundle_path("mien-xs") == packaged_bundle("mien-xs")


def test_one_of_two_concurrent_promotions_succeeds(tmp_path: Path, home: Path) -> None:
    folders = [candidate(tmp_path / name, name) for name in ("a", "b")]
    program = "import sys; from mien.cli import main; main()"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, "models", "promote", str(folder)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        for folder in folders
    ]
    errors = [run.communicate(timeout=900)[1] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], errors
    (change,) = history()
    assert any(change.sha256[:12] in text for text in errors)
    assert change.sha256 in [file_hash(folder / BUNDLE_NAME) for folder in folders]


def test_the_commands_promote_and_roll_back(tmp_path: Path, home: Path) -> None:
    place: Any = {"cwd": tmp_path, "XDG_DATA_HOME": str(home)}
    candidate(tmp_path / "a", "better")
    assert json.loads(mien("models", "history", "--json", **place).stdout) == []
    promoted = mien("models", "promote", "a", **place)
    assert promoted.returncode == 0, promoted.stderr
    assert "mien-xs" in promoted.stdout
    live = mien("live", "--source", "demo", "--model", "mien-xs", "--headless", "--duration-s", "0.2", "--out", "out", **place)
    assert live.returncode == 0, live.stderr
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["model"] == "better"
    assert mien("models", "rollback", "mien-xs", **place).returncode == 0
    (first, second) = json.loads(mien("models", "history", "--json", **place).stdout)
    assert (first["action"], second["action"]) == ("promote", "rollback")
