"""Erasures that a kill, a database in use or a folder without permission interrupts are finished and logged by a repeat."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MienHere
from kept_sessions import kept
from test_rights import bytes_below, make_session
from test_rights_databases import ADA, NOTICE, ROOT, SESSION, MakeStored, make_stored, rows

from mien.errors import UsageError
from mien.privacy.audit_log import AuditLog
from mien.privacy.consent import ConsentLedger
from mien.sessions.archive import Archive
from mien.sessions.begun import Begun, BegunErasures, check_erasures
from mien.sessions.database import Database
from mien.sessions.eraser import Eraser
from mien.sessions.layout import ANALYSIS_NAME, PICTURE_NAME, index_path, set_aside
from mien.sessions.rights import Rights
from mien.summaries.index import index_page

__all__ = ["make_stored"]

ERASE = ("privacy", "erase", "--person", ADA, "--yes")
BEGUN = ROOT / "privacy" / "erasing.json"


def logged() -> list[tuple[Any, ...]]:
    """Return the erasures in the audit log: their events, sessions and files."""
    log = AuditLog(ROOT / "privacy")
    assert log.verify().fault == ""
    return [(each["event"], each["sessions"], each["files"]) for each in log.events() if each["event"].endswith("erased")]


def assert_nothing_left(folder: Path) -> None:
    assert not folder.exists()
    assert rows() == []
    assert ADA not in ConsentLedger(ROOT / "privacy").people()
    assert not BEGUN.exists()
    for trace in (SESSION.encode(), b"ada-"):
        assert trace not in bytes_below(Path())


@contextmanager
def held(statement: str) -> Iterator[None]:
    """Hold the database as another program does."""
    with closing(sqlite3.connect("s.db", isolation_level=None)) as other:
        other.execute(statement)
        other.execute("SELECT count(*) FROM sessions").fetchone()
        yield


@contextmanager
def in_use(name: str) -> Iterator[None]:
    """Hold the lock of a file in the privacy folder as another program does."""
    with (ROOT / "privacy" / f"{name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held by others is given up soon."""
    monkeypatch.setattr(Database, "WAIT_S", 0.1)
    monkeypatch.setattr("mien.sessions.erasure.erase_deleted.__defaults__", (0.1,))
    monkeypatch.setattr("mien.locks.WAIT_S", 0.1)


def killed(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Do something in a process that ends at once when it calls a function."""
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(where, lambda *arguments, **named: os._exit(9))
        try:
            act()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.parametrize(
    "where",
    [
        "mien.sessions.erasure._erase_tree",
        "mien.sessions.eraser.Eraser._delete_rows",
        "mien.sessions.database.erase_deleted",
        "mien.sessions.erasure.Path.rmdir",
        "mien.sessions.eraser.Eraser._settle",
        "mien.privacy.consent.ConsentLedger.forget",
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_killed_erasure_is_finished_and_logged_by_the_next(
    where: str, elsewhere: bool, mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_stored()
    if elsewhere:  # only its row leads to it
        folder = folder.rename(Path("lesson"))
        shutil.rmtree(folder / "more")  # it is not Mien's, so it would stay
        (folder / "summary.json").write_text(json.dumps({"session_id": SESSION, "source": "ada-folder"}))
        with closing(Database("sqlite:///s.db")) as database:
            database.save(kept(SESSION, person=ConsentLedger(ROOT / "privacy").random_name(ADA), folder=str(folder.absolute())))

    def erase() -> None:
        with closing(Database("sqlite:///s.db")) as database:
            Rights(Archive(ROOT, database)).erase_person(ADA)

    if where.endswith("_erase_tree") and elsewhere:
        where = "mien.sessions.erasure._erase_own_files"
    killed(erase, monkeypatch, where)
    assert "erasure not finished" in mien_here("privacy", "status", "--db", "s.db")[1] or where.endswith("forget")
    code, out, err = mien_here(*ERASE, "--db", "s.db")
    assert (code, err) == (0, ""), out
    assert_nothing_left(folder)
    assert [each[:2] for each in logged()] == [("erased", 1)]
    assert logged()[0][2] >= (3 if elsewhere else 4)


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN"])
@pytest.mark.parametrize("has_folder", [True, False])
def test_an_erasure_from_a_database_in_use_can_be_repeated(
    statement: str, has_folder: bool, mien_here: MienHere, make_stored: MakeStored, soon: None
) -> None:
    folder = make_stored()
    if not has_folder:
        shutil.rmtree(folder)
        with closing(Database("sqlite:///s.db")) as database:
            database.save(kept(SESSION, person=ConsentLedger(ROOT / "privacy").random_name(ADA), source="ada-row", folder=""))
    with held(statement):
        for _ in range(2):
            code, out, err = mien_here(*ERASE, "--db", "s.db")
            assert code == 4
            assert out.startswith("erased 0 sessions")
            assert "not erased completely: 1 session" in out
            assert f"{SESSION} was not erased" in err
            assert ADA in ConsentLedger(ROOT / "privacy").people()
    assert mien_here(*ERASE, "--db", "s.db")[::2] == (0, "")
    assert_nothing_left(folder)
    assert [each[:2] for each in logged()] == [("not-erased", 1), ("not-erased", 1), ("erased", 1)]


def test_retention_finishes_what_was_begun_and_nothing_else(mien_here: MienHere, make_stored: MakeStored, soon: None) -> None:
    shutil.rmtree(make_stored())
    with closing(Database("sqlite:///s.db")) as database:
        database.delete(SESSION)
    folder, other = make_session(ROOT, "new"), make_session(ROOT, "other")
    with held("BEGIN IMMEDIATE"):
        assert mien_here("privacy", "erase", "new", "--yes", "--db", "s.db")[0] == 4
    status = mien_here("privacy", "status", "--db", "s.db")[1]
    assert "no participant  erasure not finished\n" in status
    assert "mien privacy retention\n" in status
    dry = mien_here("privacy", "retention", "--dry-run", "--db", "s.db")[1]
    assert dry == "would erase 0 sessions older than 30 days\nwould erase new: erasure not finished\n"
    code, out, _ = mien_here("privacy", "retention", "--db", "s.db")
    assert (code, out.splitlines()[0]) == (0, "erased 0 sessions older than 30 days; 2 files in all")
    assert "not finished): new\n" in out
    assert not folder.exists()
    assert (other / "observations.csv").is_file()
    assert "not finished" not in mien_here("privacy", "status", "--db", "s.db")[1]


def test_a_folder_that_cannot_be_removed_is_reported_until_it_can(
    mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_stored()
    rmdir = Path.rmdir

    def refused(self: Path) -> None:
        if self.name == folder.name:
            raise PermissionError(13, "Permission denied", str(self))
        rmdir(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rmdir", refused)
        for files in (5, 0):  # and the row
            code, out, _ = mien_here(*ERASE, "--db", "s.db")
            assert (code, out.splitlines()[0]) == (4, f"erased 0 sessions, {files} files")
            assert folder.is_dir()
    assert mien_here(*ERASE, "--db", "s.db")[0] == 0
    assert_nothing_left(folder)
    assert logged() == [("not-erased", 1, 5), ("not-erased", 1, 0), ("erased", 1, 0)]


def test_an_unfinished_erasure_touches_no_later_session_in_the_same_folder(
    mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_stored()
    killed(lambda: Archive(ROOT).eraser.erase(Archive(ROOT).sessions()), monkeypatch, "mien.sessions.eraser.Eraser._settle")
    make_session(ROOT, SESSION)
    (folder / "summary.json").write_text(json.dumps({"session_id": "later"}))
    assert mien_here(*ERASE)[0] == 0
    assert (folder / "observations.csv").is_file()


def test_what_was_begun_with_a_database_is_finished_there(mien_here: MienHere, make_stored: MakeStored, soon: None) -> None:
    """Although the command is repeated without naming it, and the folder that names it is gone."""
    make_stored()
    with closing(Database("sqlite:///s.db")) as database:
        database.save(kept("row-only", person=ConsentLedger(ROOT / "privacy").random_name(ADA)))
    with held("BEGIN"):
        assert mien_here(*ERASE, "--db", "s.db")[0] == 4
        assert mien_here(*ERASE)[0] == 5  # the bytes are still there
    assert mien_here(*ERASE)[0] == 0
    assert_nothing_left(ROOT / SESSION)


def test_ctrl_c_says_and_logs_what_was_erased(
    mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stored()
    make_session(ROOT, "a", ConsentLedger(ROOT / "privacy").random_name(ADA), age_days=1)

    def stopped(*arguments: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Eraser, "_delete_rows", stopped)
        code, _, err = mien_here(*ERASE, "--db", "s.db")
    assert (code, err) == (130, "\nstopped; erased 0 of 2 sessions, 2 files. Run the command again to finish\n")
    assert logged() == [("not-erased", 1, 2)]
    assert mien_here(*ERASE, "--db", "s.db")[0] == 0
    assert_nothing_left(ROOT / SESSION)


def test_what_was_erased_is_printed_although_the_participant_cannot_be_removed(
    mien_here: MienHere, make_stored: MakeStored, soon: None
) -> None:
    folder = make_stored()
    with in_use("people.json"):
        code, out, err = mien_here(*ERASE)
    assert code == 4
    assert out.startswith("erased 1 session, 5 files\n")
    assert "people.json" in err
    assert mien_here(*ERASE)[0] == 0
    assert_nothing_left(folder)


def test_a_log_in_use_is_reported_and_the_erasure_is_logged_by_the_next(
    mien_here: MienHere, make_stored: MakeStored, soon: None
) -> None:
    folder = make_stored()
    with in_use("audit.jsonl"):
        code, out, err = mien_here("privacy", "erase", SESSION, "--yes")
        assert (code, out) == (5, "erased 1 session, 5 files\n")
        assert "this was not written to the audit log" in err
        assert not folder.exists()
    assert mien_here("privacy", "erase", SESSION, "--yes")[0] == 0
    assert logged() == [("erased", 1, 4)]


@pytest.mark.parametrize("command", [("consent", ADA, "show", "withdrawn"), ("erase", "--person", ADA, "--yes")])
@pytest.mark.parametrize(("database", "expected"), [("postgresql://u@127.0.0.1:1/x", 4), ("broken.db", 3), ("torn.db", 4)])
def test_folders_are_erased_although_the_database_cannot_be_used(
    command: tuple[str, ...], database: str, expected: int, mien_here: MienHere, make_stored: MakeStored
) -> None:
    folder = make_stored()
    mark = json.loads((folder / "privacy.json").read_text())
    (folder / "privacy.json").write_text(json.dumps(mark | {"database": ""}))
    Path("broken.db").write_bytes(b"no database" * 1000)
    whole = Path("s.db").read_bytes()
    Path("torn.db").write_bytes(whole[:4096] + b"\0" * (len(whole) - 4096))
    code, out, err = mien_here("privacy", *command, "--db", database)
    assert code == expected
    assert err.startswith("error: no database rows were erased: ")
    assert "erased" in out
    assert not folder.exists()
    ledger = ConsentLedger(ROOT / "privacy")
    assert ADA in ledger.people()
    assert command[0] == "erase" or ledger.states(ADA)["show"][0] == "withdrawn"
    assert logged() == [("erased", 1, 4)]


def test_a_session_that_only_the_missing_database_may_hold_is_not_called_unknown(mien_here: MienHere) -> None:
    code, _, err = mien_here("privacy", "erase", "row-only", "--yes", "--db", "postgresql://u@127.0.0.1:1/x")
    assert (code, "no session" in err) == (4, False)


def test_a_page_that_names_the_session_and_stays_is_reported(
    mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_stored()
    page = index_path(ROOT)
    page.write_text(index_page([]))
    unlink = Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self == page:
            raise PermissionError(13, "Permission denied", str(self))
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        code, _, err = mien_here(*ERASE)
    assert (code, f"cannot erase {page}" in err) == (4, True)
    assert not (folder / "observations.csv").exists()
    assert mien_here(*ERASE)[0] == 0
    assert not page.exists()
    assert_nothing_left(folder)


def test_a_session_killed_before_it_noticed_a_withdrawal_is_listed_and_erased(mien_here: MienHere, here: Path) -> None:
    ledger = ConsentLedger(ROOT / "privacy")
    now = datetime.now(UTC)
    for purpose in ("show", "keep"):
        for person in (ADA, "bob"):
            ledger.record(person, purpose, "granted", NOTICE, now - timedelta(hours=2))

    def session(name: str, person: str, began: datetime) -> Path:
        folder = make_session(ROOT, name, ledger.random_name(person))
        summary = {"session_id": name, "started_at": began.isoformat(), "source": "camera 0"}
        (folder / "summary.json").write_text(json.dumps(summary))
        return folder

    ledger.record(ADA, "show", "withdrawn", NOTICE, now - timedelta(hours=1))
    before, after = session("before", ADA, now - timedelta(minutes=61)), session("after", ADA, now - timedelta(minutes=59))
    bobs = session("bobs", "bob", now - timedelta(minutes=61))
    status = mien_here("privacy", "status")[1]
    assert status.count(f"{ADA}  consent withdrawn\n") == 1
    assert "to erase them, run mien privacy retention" in status
    assert "before" in mien_here("privacy", "retention")[1]
    assert (before.exists(), after.exists(), bobs.exists()) == (False, True, True)
    assert list(AuditLog(ROOT / "privacy").events())[-1]["cause"] == "withdrawn"
    ledger.record(ADA, "show", "granted", NOTICE)
    ledger.record(ADA, "keep", "granted", NOTICE)
    session("again", ADA, now - timedelta(minutes=61))  # of a moment at which nothing can have begun
    assert "consent withdrawn" not in mien_here("privacy", "status")[1]


@pytest.mark.parametrize("text", ["{", "[1]", '[{"ids": [], "name": ""}]'])
def test_a_broken_list_of_erasures_is_reported(text: str, mien_here: MienHere, make_stored: MakeStored) -> None:
    folder = make_stored()
    BEGUN.write_text(text)
    code, _, err = mien_here(*ERASE)
    assert (code, "cannot read results/sessions/privacy/erasing.json" in err) == (3, True)
    assert (folder / "observations.csv").is_file()


def test_a_list_of_erasures_leads_to_no_files_elsewhere(
    mien_here: MienHere, make_stored: MakeStored, here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_stored()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / PICTURE_NAME).write_text("somebody else's")
    (elsewhere / "notes.txt").write_text("mine")
    listed = Begun(
        ids=("2026-01-01_00-00-00-aaaa",),
        name="x",
        folder=str(elsewhere),
        databases=(),
        person="",
        ended="2026-01-01T00:00:00+00:00",
        files=2,
        earlier=True,
        foreign=True,
        lost="files",
        cause="asked",
        analysed_at="",
    )
    BEGUN.write_text(json.dumps([asdict(listed)]))
    code, _, err = mien_here("privacy", "retention", "--retention-days", "3650")
    assert code == 0, err
    assert not BEGUN.exists()
    assert len(list(elsewhere.iterdir())) == 2


def begin_and_kill(monkeypatch: pytest.MonkeyPatch, name: str, where: str = "_settle") -> None:
    killed(
        lambda: Archive(ROOT).eraser.erase([Archive(ROOT).find(name)], earlier=False),
        monkeypatch,
        f"mien.sessions.eraser.Eraser.{where}",
    )


def test_an_unfinished_erasure_touches_no_later_analysis_of_the_same_recording(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording has the same session id each time that it is analysed."""
    folder = make_session(ROOT, "lesson")
    begin_and_kill(monkeypatch, "lesson")
    make_session(ROOT, "lesson")
    (folder / ANALYSIS_NAME).write_text("{}")
    assert sorted(item.begun for item in Archive(ROOT).sessions()) == [False, True]
    old, others = Rights(Archive(ROOT)).erase_expired(30)
    assert (old.faults, others.faults, others.sessions) == ((), (), ("lesson",))
    assert (folder / "observations.csv").is_file()
    assert not BEGUN.exists()


def test_an_unfinished_erasure_follows_a_session_that_was_moved_aside(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path_factory.mktemp("elsewhere")
    folder = make_session(out, "room")
    shutil.rmtree(folder / "more")
    (folder / "summary.json").write_text(json.dumps({"session_id": SESSION}))
    begin_and_kill(monkeypatch, str(folder), "_erase")
    moved = set_aside(folder)
    assert moved is not None
    for name, text in (("summary.json", json.dumps({"session_id": "later"})), ("observations.csv", "")):
        (folder / name).write_text(text)
    (item,) = Archive(ROOT).sessions()
    assert (item.folder, item.begun) == (moved, True)
    _, others = Rights(Archive(ROOT)).erase_expired(30)
    assert others.files == 3
    assert not moved.exists()
    assert (folder / "observations.csv").is_file()


def test_no_session_starts_where_an_erasure_is_not_finished(
    mien_here: MienHere, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_session(ROOT, "room")
    begin_and_kill(monkeypatch, "room", "_erase")
    code, _, err = mien_here("live", "--source", "demo", "--duration-s", "0.2", "--headless", "--out", str(folder))
    assert code == 2
    assert "mien privacy retention" in err
    for state in (ROOT / "privacy", Path("elsewhere")):
        with pytest.raises(UsageError, match="is not finished"):
            check_erasures(folder, state)
    assert mien_here("privacy", "retention")[0] == 0
    check_erasures(folder, ROOT / "privacy")


def test_an_erasure_on_a_disk_that_was_not_connected_is_finished_when_it_is(here: Path) -> None:
    with closing(Database("sqlite:///s.db")) as database:
        database.save(kept(SESSION, folder=str(Path("disk", SESSION).absolute()), state="ended"))
        assert len(Rights(Archive(ROOT, database)).erase([SESSION]).faults) == 1
        folder = make_session(Path("disk"), SESSION)
        assert Rights(Archive(ROOT, database)).erase_all().faults == ()
    assert [path.name for path in folder.iterdir()] == ["more"]
    assert not BEGUN.exists()


def test_an_erasure_from_a_file_that_was_moved_is_finished_there(make_stored: MakeStored, soon: None) -> None:
    """Also if the row that shows which file it is was deleted by the first attempt."""
    make_stored()
    Path("s.db").rename("moved.db")
    with closing(Database("sqlite:///moved.db")) as database:
        with closing(sqlite3.connect("moved.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM sessions").fetchone()
            assert len(Rights(Archive(ROOT, database)).erase_all().faults) == 1
        assert rows("moved.db") == []
        assert Rights(Archive(ROOT, database)).erase_all().faults == ()
    assert not BEGUN.exists()


def test_ctrl_c_takes_sessions_that_were_not_reached_off_the_list(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_session(ROOT, "a")
    untouched = make_session(ROOT, "b")

    def stopped(self: Eraser, attempt: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Eraser, "_erase", stopped)
        with pytest.raises(KeyboardInterrupt):
            Archive(ROOT).eraser.erase(Archive(ROOT).sessions())
    assert [(item.name, item.begun) for item in Archive(ROOT).sessions()] == [("a", True), ("b", False)]
    Rights(Archive(ROOT)).erase_expired(30)
    assert (untouched / "observations.csv").is_file()


def test_an_erasure_keeps_its_cause_in_the_log(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_session(ROOT, "a")
    killed(
        lambda: Archive(ROOT).eraser.erase(Archive(ROOT).sessions(), "withdrawn"),
        monkeypatch,
        "mien.sessions.eraser.Eraser._settle",
    )
    Rights(Archive(ROOT)).erase_expired(30)
    assert [each["cause"] for each in AuditLog(ROOT / "privacy").events()] == ["withdrawn"]


def test_an_erasure_is_repeated_by_the_path_of_a_folder_that_is_gone(
    mien_here: MienHere, here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_session(tmp_path_factory.mktemp("elsewhere"), "room")
    begin_and_kill(monkeypatch, str(folder))
    shutil.rmtree(folder)
    assert mien_here("sessions", "delete", os.path.relpath(folder), "--yes")[0] == 0
    assert not BEGUN.exists()


def test_a_failed_deletion_of_a_namesake_is_not_called_a_deletion(
    mien_here: MienHere, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for parent in ("a", "b"):
        folder = make_session(Path(parent), "room")
        (folder / "summary.json").write_text(json.dumps({"session_id": f"in-{parent}"}))
    unlink = Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self.parts[-3:-1] == ("a", "room"):
            raise PermissionError(13, "Permission denied", str(self))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    code, out, _ = mien_here("sessions", "delete", "a/room", "b/room", "--yes")
    assert (code, [line for line in out.splitlines() if line.startswith("deleted")]) == (4, ["deleted: in-b"])


def test_the_participant_stays_if_the_names_in_old_groups_cannot_be_removed(mien_here: MienHere, make_stored: MakeStored) -> None:
    make_stored()
    (ROOT / "privacy" / "groups.json").write_text("[broken")
    assert mien_here(*ERASE)[0] == 3
    assert ADA in ConsentLedger(ROOT / "privacy").people()
    (ROOT / "privacy" / "groups.json").unlink()
    assert mien_here(*ERASE)[0] == 0
    assert ADA not in ConsentLedger(ROOT / "privacy").people()


@pytest.mark.parametrize("fault", ["database", "ledger"])
def test_retention_erases_what_it_can(fault: str, mien_here: MienHere, here: Path) -> None:
    folder = make_session(ROOT, "old", age_days=40)
    if fault == "ledger":
        (ROOT / "privacy").mkdir()
        (ROOT / "privacy" / "consents.jsonl").write_text("broken\n")
    Path("broken.db").write_text("broken " * 1000)
    code, out, err = mien_here("privacy", "retention", *(["--db", "broken.db"] if fault == "database" else []))
    assert (code, out.splitlines()[0]) == (3, "erased 1 session older than 30 days; 4 files in all")
    assert err.count("no database rows" if fault == "database" else "consents.jsonl") == 1
    assert not folder.exists()


def test_a_database_that_one_may_not_look_at_stops_no_other_erasure(
    make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = "/home/other/s.db"
    make_stored(named)
    other = make_session(ROOT, "other")
    is_file, samefile = Path.is_file, Path.samefile

    def refused(self: Path, *others: object) -> bool:
        if str(self) == named or str(*others) == named:
            raise PermissionError(13, "Permission denied", named)
        return is_file(self) if not others else samefile(self, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "is_file", refused)
    monkeypatch.setattr(Path, "samefile", refused)
    with closing(Database("sqlite:///s.db")) as database:
        erased = Rights(Archive(ROOT, database)).erase_all()
    assert (erased.sessions, len(erased.faults)) == (("other",), 1)
    assert named in str(erased.faults[0])
    assert not other.exists()


def test_an_unfinished_erasure_touches_no_earlier_analysis_of_a_recording(here: Path, soon: None) -> None:
    """An earlier analysis of the recording, with the same session id, is in a folder below."""
    folder = make_session(ROOT, "lesson")
    for path, minutes in ((folder, 0), (folder / "earlier-1", 5)):
        path.mkdir(exist_ok=True)
        (path / "summary.json").write_text(json.dumps({"session_id": SESSION}))
        (path / ANALYSIS_NAME).write_text("{}")
        then = (datetime.now(UTC) - timedelta(minutes=minutes)).timestamp()
        os.utime(path / ANALYSIS_NAME, (then, then))
    (ROOT / "privacy").mkdir()
    with in_use("audit.jsonl"):
        assert Archive(ROOT).eraser.erase([Archive(ROOT).find("lesson")], earlier=False).audit_error
    Rights(Archive(ROOT)).erase_expired(30)
    assert (folder / "earlier-1" / ANALYSIS_NAME).is_file()
    assert not (folder / ANALYSIS_NAME).exists()


@pytest.mark.parametrize("name", ["cours\xa01", "caf\udce9", "a\tb"], ids=ascii)
def test_an_erasure_of_a_folder_with_an_unusual_name_is_finished(name: str, here: Path) -> None:
    make_session(ROOT, name)
    erased = Archive(ROOT).eraser.erase(Archive(ROOT).sessions())
    assert (erased.faults, erased.audit_error, len(erased.sessions)) == ((), "", 1)
    assert Archive(ROOT).sessions() == []
    assert not BEGUN.exists()


def test_ctrl_c_while_the_list_is_written_erases_nothing_later(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_session(ROOT, "a")
    change, calls = BegunErasures.try_change, []

    def stopped(self: BegunErasures, *arguments: Any) -> str:
        fault = change(self, *arguments)
        calls.append(fault)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return fault

    with monkeypatch.context() as patch:
        patch.setattr(BegunErasures, "try_change", stopped)
        with pytest.raises(KeyboardInterrupt):
            Archive(ROOT).eraser.erase(Archive(ROOT).sessions())
    Rights(Archive(ROOT)).erase_expired(30)
    assert (folder / "observations.csv").is_file()


def test_a_link_in_a_circle_is_no_session(mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stored()
    begin_and_kill(monkeypatch, SESSION, "_erase")
    Path("loop").symlink_to("loop")
    code, _, err = mien_here("sessions", "delete", "loop", "--yes")
    assert (code, "no session 'loop'" in err) == (3, True)


def test_a_row_whose_folder_may_not_be_looked_at_is_listed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people may share a database but not their folders."""
    is_dir = Path.is_dir

    def refused(self: Path) -> bool:
        if "ada-home" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        return is_dir(self)

    monkeypatch.setattr(Path, "is_dir", refused)
    with closing(Database("sqlite:///s.db")) as database:
        database.save(kept(SESSION, folder=f"/ada-home/{SESSION}", state="ended"))
        make_session(ROOT, "own")
        erased = Archive(ROOT, database).eraser.erase(Archive(ROOT, database).sessions())
    assert (erased.sessions, len(erased.faults)) == (("own",), 1)


@pytest.mark.parametrize("lost", [False, True])
def test_what_an_earlier_version_began_is_finished(lost: bool, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_session(ROOT, "lesson")
    (folder / ANALYSIS_NAME).write_text("{}")
    begin_and_kill(monkeypatch, "lesson", "_erase")
    (row,) = json.loads(BEGUN.read_text())
    BEGUN.write_text(json.dumps([{**{name: row[name] for name in row if name not in ("cause", "analysed_at")}, "lost": lost}]))
    assert [item.begun for item in Archive(ROOT).sessions()] == [True]
    Rights(Archive(ROOT)).erase_expired(30)
    assert Archive(ROOT).sessions() == []
    assert not BEGUN.exists()
