"""Erasing sessions whose folder names another database than the one in use; no command but those that store creates one."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MienHere
from kept_sessions import kept
from test_rights import make_session

from mien.errors import DataError, StorageError
from mien.privacy.consent import ConsentLedger
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.sessions.archive import Archive
from mien.sessions.database import Database
from mien.sessions.database_url import open_database
from mien.sessions.folder import mark_session
from mien.sessions.layout import database_of, person_of
from mien.sessions.postgres import location_of, parse_url
from mien.sessions.rights import Rights

SESSION, ADA = "2026-03-04_09-30-00-k3f9", "q9"
ROOT = Path("results/sessions")
NOTICE = notice_for(decide())
SERVER = "postgresql://db.school.example:5432/mien"
MakeStored = Callable[..., Path]


@pytest.fixture
def make_stored(here: Path) -> MakeStored:
    """Return a function that makes a session of a participant in a folder and in ``s.db``, which the folder names."""

    def make(database: str = "", age_days: float = 0.0) -> Path:
        ledger = ConsentLedger(ROOT / "privacy")
        for purpose in ("show", "keep"):
            ledger.record(ADA, purpose, "granted", NOTICE)
        folder = make_session(ROOT, SESSION, ledger.random_name(ADA), "ada-folder", age_days)
        with closing(Database("sqlite:///s.db")) as opened:
            opened.save(kept(SESSION, person=ledger.random_name(ADA), source="ada-row", folder=str(folder)))
            mark_session(folder, decide(), ledger.random_name(ADA), NOTICE.hash, database or opened.location)
        return folder

    return make


def rows(path: str = "s.db") -> list[str]:
    with closing(Database(f"sqlite:///{path}", create=False)) as database:
        return [session.session_id for session in database.sessions()]


def test_a_live_session_names_its_database_without_a_password(mien_here: MienHere, here: Path) -> None:
    live = ("live", "--source", "demo", "--headless", "--duration-s", "0.2")
    assert mien_here(*live, "--db", "s3.db", "--out", "stored")[0] == 0
    assert mien_here(*live, "--out", "folder-only")[0] == 0
    assert database_of(Path("stored")) == str(here / "s3.db")
    assert database_of(Path("folder-only")) == ""
    assert mien_here("sessions", "delete", "stored", "--yes")[0] == 0
    assert rows("s3.db") == []
    assert b"demo" not in Path("s3.db").read_bytes()


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("postgresql+psycopg://teacher:secret@db.school.example/mien?sslmode=require", SERVER),
        ("postgresql+psycopg://u:secret@/mien?host=/run/pg&port=5433", "postgresql:///mien?host=%2Frun%2Fpg&port=5433"),
        ("postgresql+psycopg://u:secret@/mien?host=a:1&host=b:2", "postgresql:///mien?host=a%2Cb&port=1%2C2"),
        ("postgresql+psycopg://ada:secret@[::1]:99", "postgresql://[::1]:99/ada"),
    ],
)
def test_the_location_of_a_server_has_neither_user_nor_password(url: str, location: str) -> None:
    found = location_of(parse_url(url))
    assert found.replace("%2C", ",").replace("%2F", "/") == location.replace("%2C", ",").replace("%2F", "/")
    assert "secret" not in found


@pytest.mark.parametrize(
    "command",
    [
        ("privacy", "erase", "--person", ADA, "--yes"),
        ("privacy", "erase", SESSION, "--yes"),
        ("privacy", "erase", "--all", "--yes"),
        ("privacy", "consent", ADA, "keep", "withdrawn"),
        ("privacy", "retention"),
        ("sessions", "delete", SESSION, "--yes"),
    ],
)
def test_rows_in_the_database_that_a_folder_names_are_erased_too(
    command: tuple[str, ...], mien_here: MienHere, make_stored: MakeStored
) -> None:
    folder = make_stored(age_days=40)
    with closing(Database("sqlite:///s.db")) as database:
        database.save(kept("another"))
    code, out, err = mien_here(*command)
    assert (code, err) == (0, ""), out
    assert not folder.exists()
    assert rows() == ["another"]
    assert b"ada-row" not in Path("s.db").read_bytes()
    assert ("--person" in command) == (ADA not in ConsentLedger(ROOT / "privacy").people())


@pytest.mark.parametrize(
    ("command", "has_forgotten"),
    [
        (("privacy", "erase", "--person", ADA, "--yes"), True),
        (("privacy", "erase", SESSION, "--yes"), False),
        (("privacy", "consent", ADA, "keep", "withdrawn"), False),
        (("privacy", "retention"), False),
        (("sessions", "delete", SESSION, "--yes"), False),
    ],
)
def test_rows_on_a_server_that_was_not_named_are_reported_and_the_participant_stays(
    command: tuple[str, ...], has_forgotten: bool, mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_stored(SERVER, age_days=40)
    code, out, err = mien_here(*command)
    assert code == 5
    assert f"{SESSION} was not erased completely: its rows in the database {SERVER} were not erased" in err
    assert "--db" in err
    assert command[:2] != ("privacy", "erase") or "not erased completely: 1 session" in out
    left = [path.name for path in folder.rglob("*") if path.is_file()]
    assert sorted(left) == ["privacy.json", "summary.json"]  # no readings and no pictures
    ledger = ConsentLedger(ROOT / "privacy")
    assert person_of(folder) == ledger.random_name(ADA) != ""

    original = Database.__init__

    def as_server(self: Database, url: str, **options: bool) -> None:
        original(self, url, **options)
        self.location = SERVER

    monkeypatch.setattr(Database, "__init__", as_server)
    assert mien_here(*command, "--db", "s.db")[::2] == (0, "")
    assert rows() == []
    assert not folder.exists()
    assert (ADA in ledger.people()) is not has_forgotten


def test_a_file_that_is_not_here_is_reported_until_it_is_or_the_session_is_deleted(
    mien_here: MienHere, make_stored: MakeStored, here: Path
) -> None:
    folder = make_stored()
    Path("s.db").rename("unplugged.db")
    code, _, err = mien_here("privacy", "erase", "--person", ADA, "--yes")
    assert code == 5
    assert f"{here / 's.db'} were not erased, because the file was not found" in err
    assert f"mien sessions delete --forget-database {SESSION}" in err
    assert not Path("s.db").exists()
    shutil.copy("unplugged.db", "copy.db")
    assert mien_here("privacy", "erase", "--person", ADA, "--yes", "--db", "copy.db")[0] == 0  # it was moved
    assert not folder.exists()
    make_stored()
    Path("s.db").unlink()
    code, out, err = mien_here("sessions", "delete", SESSION, "--yes")
    assert (code, err) == (0, "")
    assert f"not erased, because it was not found: {here / 's.db'}" in out
    assert not folder.exists()


def test_a_file_that_cannot_be_read_is_reported(make_stored: MakeStored) -> None:
    make_stored()
    Path("s.db").write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)
    erased = Rights(Archive(ROOT)).erase_person(ADA)
    assert erased.sessions == ()
    (fault,) = erased.faults
    assert isinstance(fault, StorageError)
    assert "s.db were not erased" in str(fault)
    assert ADA in ConsentLedger(ROOT / "privacy").people()


def test_a_folder_that_names_the_file_of_another_program_changes_nothing_there(make_stored: MakeStored, here: Path) -> None:
    with closing(sqlite3.connect("places.sqlite")) as database:
        database.execute("CREATE TABLE sessions (session_id TEXT)")
        database.execute("INSERT INTO sessions VALUES (?)", (SESSION,))
        database.commit()
    Path("places.sqlite").chmod(0o644)
    before = Path("places.sqlite").read_bytes()
    for named in (str(here / "places.sqlite"), str(here), "\0", "relative.db?x"):
        make_stored(named)
        Archive(ROOT).eraser.erase(Archive(ROOT).sessions(), lost="files")
    assert Path("places.sqlite").read_bytes() == before
    assert Path("places.sqlite").stat().st_mode & 0o777 == 0o644


def test_folders_of_earlier_versions_are_erased_as_before(make_stored: MakeStored) -> None:
    folder = make_stored()
    mark = json.loads((folder / "privacy.json").read_text())
    for value in (None, 7):
        mark["database"] = value
        if value is None:
            del mark["database"]
        (folder / "privacy.json").write_text(json.dumps(mark))
        assert database_of(folder) == ""
        assert person_of(folder) != ""  # a wrong value hides no participant
    assert Rights(Archive(ROOT)).erase_person(ADA).sessions == (SESSION,)


def test_the_databases_of_earlier_sessions_in_a_folder_are_erased_too(make_stored: MakeStored) -> None:
    folder = make_stored()
    earlier = folder / "earlier-1"
    earlier.mkdir()
    for name in ("privacy.json", "summary.json"):
        shutil.copy(folder / name, earlier / name)
    (earlier / "summary.json").write_text(json.dumps({"session_id": "before"}))
    with closing(Database("sqlite:///s.db")) as database:
        database.save(kept("before"))
    rights = Rights(Archive(ROOT))
    assert rights.erase([SESSION]).faults == ()
    assert rows() == ["before"]
    assert rights.erase_person(ADA).faults == ()
    assert rows() == []


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list"),
        ("sessions", "show", "last"),
        ("sessions", "export", "last"),
        ("sessions", "delete", SESSION, "--yes"),
        ("privacy", "status"),
        ("privacy", "export", "--out", "x.json"),
        ("privacy", "erase", SESSION, "--yes"),
        ("privacy", "retention"),
    ],
)
def test_a_database_that_is_not_there_is_an_error_and_is_not_created(
    command: tuple[str, ...], variable: bool, mien_here: MienHere, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_session(ROOT, SESSION, age_days=40)
    if variable:
        monkeypatch.setenv("MIEN_DB", "new/typo.db")
    code, out, err = mien_here(*command, *(() if variable else ("--db", "new/typo.db")))
    assert (code, out) == (3, "")
    assert err.startswith("error: there is no database new/typo.db")
    assert not Path("new").exists()
    assert (folder / "observations.csv").is_file()


def test_a_file_without_sessions_is_no_database(here: Path) -> None:
    Path("empty.db").touch()
    with pytest.raises(DataError, match=r"empty\.db is not a database of Mien"):
        open_database("empty.db", create=False)
    assert b"schema_version" not in Path("empty.db").read_bytes()


def test_a_decision_is_recorded_although_the_database_is_not_there(
    mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_DB", "not-yet.db")
    assert mien_here("privacy", "consent", "new", "show", "granted")[0] == 0  # before the first session
    folder = make_stored()
    code, out, err = mien_here("privacy", "consent", ADA, "keep", "withdrawn")
    assert (code, "no database rows were erased: there is no database not-yet.db" in err) == (3, True)
    assert f"erased: {SESSION}" in out
    assert not folder.exists()
    assert ConsentLedger(ROOT / "privacy").states(ADA)["keep"][0] == "withdrawn"
    assert not Path("not-yet.db").exists()


def test_a_server_is_recognised_by_its_location_or_by_the_row(
    mien_here: MienHere, make_stored: MakeStored, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Database(postgres_url)) as database:
        for location in (database.location, SERVER):  # the second: the same server under another name
            folder = make_stored(location)
            database.save(kept(SESSION, folder=str(folder)))
            assert mien_here("privacy", "erase", SESSION, "--yes")[0] == 5
            assert database.has(SESSION)
            monkeypatch.setenv("MIEN_DB", postgres_url)
            assert mien_here("privacy", "erase", SESSION, "--yes")[::2] == (0, "")
            monkeypatch.delenv("MIEN_DB")
            assert not database.has(SESSION)
        folder = make_stored(database.location)  # its row is gone already
        assert mien_here("privacy", "erase", SESSION, "--yes", "--db", postgres_url)[0] == 0
        assert not folder.exists()


def test_an_empty_database_of_a_server_gets_no_tables(postgres_url: str) -> None:
    with pytest.raises(DataError, match="is not a database of Mien"):
        open_database(postgres_url, create=False)
    with closing(Database(postgres_url)) as database:
        assert database.sessions() == []


@pytest.mark.parametrize("named", [False, True])
def test_a_server_that_is_gone_for_good_is_forgotten_on_request(
    named: bool, mien_here: MienHere, make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_stored(SERVER)
    if named:
        monkeypatch.setenv("MIEN_DB", "postgresql://127.0.0.1:1/mien")
    code, _, err = mien_here("privacy", "erase", SESSION, "--yes")
    assert (code, f"mien sessions delete --forget-database {SESSION}" in err, folder.is_dir()) == (4 if named else 5, True, True)
    code, out, _ = mien_here("sessions", "delete", SESSION, "--yes", "--forget-database")
    assert (code, folder.exists()) == (0, False)
    assert f"not erased, because it was not found: {SERVER}" in out
    assert not (ROOT / "privacy" / "erasing.json").exists()
