"""Names that were read from a file lead nowhere: not on the disk, not in an archive, not to another bundle."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from fuzz_kinds import UNLOGGED
from kept_sessions import kept
from typer.testing import CliRunner
from writing import frames, recorder

from mien.cli import app
from mien.errors import BundleError, DataError, DeviceError
from mien.files import file_hash
from mien.places import data_folder
from mien.privacy.audit_log import AuditLog
from mien.sessions.archive import Archive
from mien.sessions.database import Database
from mien.summaries.views import write_views
from mien.vision.bundles import bundle_path, packaged_bundle
from mien.vision.promoted import promote, promoted_file

LEADING_OUT = ("../../up", "/tmp/mien-outside", "..", "a/../../up", "..\\up", "C:up", "", "a\nb")


def a_session(root: Path, session_id: str) -> Path:
    """Return the folder of a finished session whose summary gives it another name."""
    folder = root / "2026-03-04_09-30-00-k3f9"
    running = recorder(folder)
    for result in frames(20):
        running.update(result)
    running.finish("ended")
    document = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(document | {"session_id": session_id}))
    return folder


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_session_that_calls_itself_by_a_path_is_not_exported_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = here / "work" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    folder = a_session(inside / "sessions", "")
    before = everything(here)
    for name in LEADING_OUT:
        document = json.loads((folder / "summary.json").read_text())
        (folder / "summary.json").write_text(json.dumps(document | {"session_id": name}))
        for form in ("csv", "zip"):
            answer = CliRunner().invoke(app, ["sessions", "export", "last", "--sessions", "sessions", "--format", form])
            assert isinstance(answer.exception, DataError), (name, answer.output)
            assert everything(here) == before
        listed = CliRunner().invoke(app, ["sessions", "list", "--sessions", "sessions"])
        assert (listed.exit_code, folder.name in listed.stdout) == (0, True)
    # it goes by its folder's name, and can be deleted by it
    assert CliRunner().invoke(app, ["sessions", "delete", "2026-03-04", "--yes", "--sessions", "sessions"]).exit_code == 0
    assert [path.name for path in (inside / "sessions").iterdir()] == ["privacy"]  # the audit log


def test_a_database_that_calls_a_session_by_a_path_writes_nothing_there(here: Path) -> None:
    with closing(Database(f"sqlite:///{here / 's.db'}")) as database:
        database.save(kept("fine", folder=""))
        database.save(kept("evil", folder=""))
    with closing(sqlite3.connect(here / "s.db")) as raw, raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("UPDATE sessions SET session_id = '../../up' WHERE session_id = 'evil'")
    with closing(Database(f"sqlite:///{here / 's.db'}")) as database:
        assert [item.record.session_id for item in Archive(here, database).sessions()] == ["fine"]


def test_names_in_an_archive_of_a_session_stand_below_one_folder(here: Path) -> None:
    a_session(here / "sessions", "lesson 1")
    assert CliRunner().invoke(app, ["sessions", "export", "last", "--sessions", "sessions"]).exit_code == 0
    with zipfile.ZipFile(here / "lesson 1.zip") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"lesson 1"}


@pytest.mark.parametrize("field", ["sha256", "before"])
@pytest.mark.parametrize("value", ["../../../outside", "/etc/passwd", "x", "A" * 64, 3, None])
def test_a_hash_that_is_none_becomes_no_path(field: str, value: object, tmp_path: Path) -> None:
    packaged = file_hash(packaged_bundle("mien-s"))
    change = promote("mien-s", packaged_bundle("mien-xs"), packaged, packaged, UNLOGGED)
    promoted_file().write_text(json.dumps([asdict(change) | {field: value}]))
    with pytest.raises(BundleError, match=r"promoted\.json"):
        bundle_path("mien-s")


def test_a_promoted_bundle_that_was_changed_is_not_used(tmp_path: Path) -> None:
    packaged = file_hash(packaged_bundle("mien-s"))
    change = promote("mien-s", packaged_bundle("mien-xs"), packaged, packaged, UNLOGGED)
    stored = bundle_path("mien-s")
    assert stored == data_folder() / "models" / f"{change.sha256}.onnx"
    stored.write_bytes(packaged_bundle("mien-s").read_bytes())  # whole, and another one
    with pytest.raises(BundleError, match="mien models rollback"):
        bundle_path("mien-s")
    live = CliRunner().invoke(
        app, ["live", "--source", "demo", "--duration-s", "0.2", "--view", "none", "--out", str(tmp_path / "s")]
    )
    assert isinstance(live.exception, BundleError)
    assert CliRunner().invoke(app, ["models", "rollback", "mien-s", "--sessions", str(tmp_path)]).exit_code == 0
    assert bundle_path("mien-s") == packaged_bundle("mien-s")


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[1]", '[{"at": "x"}]', '[{"at": NaN}]', "null"])
def test_a_broken_list_of_promotions_is_said_in_a_sentence(text: str, here: Path) -> None:
    promoted_file().parent.mkdir(parents=True, exist_ok=True)
    promoted_file().write_text(text)
    answer = CliRunner().invoke(app, ["live", "--source", "demo", "--duration-s", "0.2", "--view", "none"])
    assert isinstance(answer.exception, BundleError)
    assert "promoted.json" in str(answer.exception)


# links, which an archive of somebody else's can hold as well


@pytest.mark.parametrize("name", ["events.jsonl", "observations.partial.csv", "summary.png", "drift.html"])
def test_a_link_in_the_folder_of_a_session_is_neither_written_nor_handed_on(name: str, tmp_path: Path) -> None:
    folder = a_session(tmp_path / "sessions", "2026-03-04_09-30-00-k3f9")
    (folder / "summary.json").unlink()  # it was cut off, and is finished when it is opened
    if not name.startswith("observations"):
        (folder / "observations.csv").rename(folder / "observations.partial.csv")
    mine = tmp_path / "mine"
    mine.write_text("geheim, and no line's end")
    mine.chmod(0o644)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(mine)
    archive = Archive(tmp_path / "sessions")
    found = archive.find("last")
    with pytest.raises(DataError, match=rf"{name} is a link"):
        archive.load(found, write_views)
    assert (mine.read_text(), mine.stat().st_mode & 0o777) == ("geheim, and no line's end", 0o644)
    archive.eraser.erase([found], spare_foreign=True)
    assert mine.exists()


def test_a_session_writes_through_no_link_that_lies_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "observations.partial.csv").symlink_to(tmp_path / "elsewhere")  # leads nowhere yet
    with pytest.raises(DeviceError):
        recorder(tmp_path / "s")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("content", ["geheim", ""])
def test_no_log_is_written_through_a_link(content: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text(content)
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(DataError, match=r"audit\.jsonl"):
        AuditLog(tmp_path).record("exported", sessions=1)
    assert (tmp_path / "mine").read_text() == content
