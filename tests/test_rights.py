"""Access, copies, erasure, an end: over real sessions; after erasing, no byte of a person is found below the root."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import MienHere
from kept_sessions import kept
from test_cli import mien
from typer.testing import CliRunner

from mien.cli import app
from mien.cli.output import raise_faults
from mien.errors import DataError, DeviceError, StorageError, UsageError
from mien.locks import take
from mien.messaging.outbox import Outbox
from mien.messaging.sinks import drop_messages, outbox_file
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.privacy.deployment import declare, deployment_text
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.sessions.append_file import AppendFile
from mien.sessions.archive import Archive
from mien.sessions.database import Database
from mien.sessions.database_url import database_url
from mien.sessions.erasure import erase_deleted, erase_folder
from mien.sessions.folder import mark_session
from mien.sessions.layout import check_folder, index_path, person_of, refuse_own_file, session_id_of
from mien.sessions.rights import Rights
from mien.summaries.index import index_page

ADA, BOB = "Ada Lovelace", "Bob Example"
NOTICE = notice_for(decide())


def make_session(root: Path, name: str, person: str = "", secret: str = "", age_days: float = 0.0) -> Path:
    folder = root / name
    (folder / "more").mkdir(parents=True)
    (folder / "observations.csv").write_text(f"t_s,track_id,label\n0.04,{secret or 'k3f9aa'},happy\n")
    (folder / "summary.json").write_text(json.dumps({"frames": 3, "source": secret or "camera 0"}))
    (folder / "more" / "screenshot.png").write_bytes(b"\x89PNG\r\n" + secret.encode())
    mark_session(folder, decide(), person, NOTICE.hash)
    then = (datetime.now(UTC) - timedelta(days=age_days)).timestamp()
    for path in folder.rglob("*"):
        os.utime(path, (then, then))
    return folder


def bytes_below(root: Path) -> bytes:
    return b"".join(path.name.encode() + path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results" / "sessions"


@pytest.fixture
def rights(root: Path) -> Rights:
    rights = Rights(Archive(root))
    for person in (ADA, BOB):
        for purpose in ("show", "keep"):
            rights.record_consent(person, purpose, "granted", NOTICE)
    make_session(root, "first", rights.ledger.random_name(ADA), "ada-secret", 3)
    make_session(root, "second", rights.ledger.random_name(BOB), "bob-secret", 2)
    make_session(root, "third", rights.ledger.random_name(ADA), "ada-other", 1)
    make_session(root, "fourth", "", "nobodys")
    return rights


def test_what_is_kept_is_listed_oldest_first(rights: Rights) -> None:
    assert [session.name for session in rights.sessions()] == ["first", "second", "third", "fourth"]
    assert [session.name for session in rights.sessions(ADA)] == ["first", "third"]
    first = rights.sessions()[0]
    assert first.parts == ("more/screenshot.png", "observations.csv", "privacy.json", "summary.json")
    assert first.size_bytes > 100
    with pytest.raises(UsageError, match="'Eve'"):
        rights.sessions("Eve")


def test_a_copy_holds_everything_of_that_person_and_nothing_of_another(rights: Rights) -> None:
    document = rights.export(person=ADA)
    assert list(document["sessions"]) == ["first", "third"]
    first = document["sessions"]["first"]
    assert first["observations.csv"] == [{"t_s": "0.04", "track_id": "ada-secret", "label": "happy"}]
    assert first["summary.json"]["source"] == "ada-secret"
    assert base64.b64decode(first["more/screenshot.png"]["base64"]).endswith(b"ada-secret")
    assert [(row["purpose"], row["state"]) for row in document["consents"]] == [("show", "granted"), ("keep", "granted")]
    assert "bob" not in json.dumps(document).lower()
    assert set(rights.export(["second"])["sessions"]) == {"second"}


def test_a_broken_file_is_handed_out_as_it_is(rights: Rights, root: Path) -> None:
    (root / "first" / "summary.json").write_text('{"frames": ')
    (root / "first" / "observations.csv").write_bytes(b"\xff\xfe\x00")
    first = rights.export(["first"])["sessions"]["first"]
    assert base64.b64decode(first["summary.json"]["base64"]) == b'{"frames": '
    assert base64.b64decode(first["observations.csv"]["base64"]) == b"\xff\xfe\x00"


def test_erasing_a_person_leaves_no_byte_of_them(rights: Rights, root: Path) -> None:
    name = rights.ledger.random_name(ADA)
    assert b"ada-secret" in bytes_below(root)
    erased = rights.erase_person(ADA)
    assert (erased.sessions, erased.files) == (("first", "third"), 8)
    rest = bytes_below(root)
    for trace in (ADA.encode(), b"Ada", b"ada-secret", b"ada-other", b"first", b"third"):
        assert trace not in rest
    assert rest.count(name.encode()) == 2  # the ledger's two lines, which name nobody any more
    assert b"bob-secret" in rest
    assert BOB in rights.ledger.people()
    assert [event["event"] for event in AuditLog(state_folder(root)).events()][-1] == "erased"


def test_taking_a_yes_back_erases_at_once(rights: Rights, root: Path) -> None:
    consequences, erased = rights.record_consent(BOB, "keep", "withdrawn", NOTICE)
    assert consequences.stop == ("keep", "research")
    assert erased.sessions == ("second",)
    assert b"bob-secret" not in bytes_below(root)
    assert rights.record_consent(BOB, "groups", "refused", NOTICE)[1].sessions == ()
    causes = [event["cause"] for event in AuditLog(state_folder(root)).events() if event["event"] == "erased"]
    assert causes == ["withdrawn"]


def test_the_log_of_all_this_names_nobody(rights: Rights, root: Path) -> None:
    rights.export(person=ADA)
    rights.erase_person(ADA)
    rights.record_consent(BOB, "show", "withdrawn", NOTICE)
    text = (root / "privacy" / "audit.jsonl").read_text()
    for trace in (ADA, BOB, "first", "secret", rights.ledger.random_name(BOB)):
        assert trace not in text
    assert AuditLog(state_folder(root)).verify().fault == ""


def test_retention_erases_what_is_too_old_and_no_more(rights: Rights, root: Path) -> None:
    make_session(root, "2020-01-02_03-04-05", secret="copied-yesterday", age_days=1)
    make_session(root, "9999-99-99_00-00-00", age_days=29)
    make_session(root, "2031-01-02_03-04-05", age_days=31)
    assert [session.name for session in rights.expired(30)] == ["2020-01-02_03-04-05", "2031-01-02_03-04-05"]
    assert len(rights.expired(0)) == 7
    now = datetime.now(UTC)
    assert [session.name for session in rights.expired(30, now + timedelta(days=28.5))][-2:] == ["first", "second"]
    with pytest.raises(UsageError, match="-1"):
        rights.expired(-1)


def test_a_running_session_is_left_alone(rights: Rights, root: Path) -> None:
    live = root / "live"
    live.mkdir()
    file = AppendFile(live / "observations.partial.csv")
    file.append("t_s\n")
    assert rights.sessions()[-1].running
    assert "live" not in [session.name for session in rights.expired(0)]
    with pytest.raises(DeviceError, match="still running"):
        rights.erase(["live"])
    file.close()
    assert rights.erase(["live"]).files == 1


@pytest.mark.parametrize("name", ["../outside", "..", ".", "", "/etc", "privacy", "linked", "notes", "first/more", "FIRST"])
def test_a_name_leads_nowhere_else(name: str, rights: Rights, root: Path, tmp_path: Path) -> None:
    outside = make_session(tmp_path, "outside")
    (root / "linked").symlink_to(outside)
    (root / "notes").mkdir()
    (root / "notes" / "mine.txt").write_text("not a session")
    before = bytes_below(tmp_path)
    for act in (rights.erase, rights.export):
        with pytest.raises(UsageError, match="no session"):
            act([name])
    assert bytes_below(tmp_path) == before
    assert Archive(root).strangers() == ["linked", "notes"]


def test_links_in_a_session_are_removed_and_not_followed(rights: Rights, root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine as well")
    (root / "first" / "a").symlink_to(tmp_path / "mine.txt")
    (root / "first" / "b").symlink_to(tmp_path / "folder")
    (root / "first" / "c").symlink_to(tmp_path / "gone")
    assert "a" not in rights.export(["first"])["sessions"]["first"]
    rights.erase(["first"])
    assert not (root / "first").exists()
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "folder" / "mine.txt").read_text() == "mine as well"


def test_a_session_may_be_named_by_its_id_unless_a_folder_has_that_name(rights: Rights, root: Path) -> None:
    summary = root / "first" / "summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"session_id": "2026-03-04_09-30-00-abcd"}))
    other = make_session(root, "2026-03-04_09-30-00-abcd", secret="another")
    assert [session.name for session in rights.named(["2026-03-04_09-30-00-abcd"])] == [other.name]
    other.rename(root / "fifth")
    assert [session.name for session in rights.named(["2026-03-04_09-30-00-abcd"])] == ["first"]
    assert len(rights.named(["first", "2026-03-04_09-30-00-abcd"])) == 1
    rights.erase(["2026-03-04_09-30-00-abcd"])
    assert sorted(session.name for session in rights.sessions()) == ["fifth", "fourth", "second", "third"]


def test_one_wrong_name_erases_nothing(rights: Rights, root: Path) -> None:
    with pytest.raises(UsageError, match="gone"):
        rights.erase(["first", "gone"])
    assert (root / "first").is_dir()


def test_folders_and_a_database_are_one_to_a_person(rights: Rights, root: Path) -> None:
    elsewhere = make_session(root.parent.parent / "documents", "lesson", rights.ledger.random_name(ADA), "ada-elsewhere")
    database = Database(f"sqlite:///{root / 'sessions.sqlite'}")
    for name, person, source, folder in (
        ("first", ADA, "ada-in-a-row", str(root / "first")),
        ("db-1", ADA, "ada-in-the-table", ""),
        ("db-2", BOB, "bob-in-the-table", ""),
        ("lesson", ADA, "ada-in-a-lesson", str(elsewhere)),
    ):
        database.save(kept(name, person=rights.ledger.random_name(person), source=source, folder=folder))
    both = Rights(Archive(root, database))
    document = both.export(person=ADA)
    assert set(document["sessions"]) == {"first", "third", "db-1", "lesson"}
    assert {"summary.json", database.place} <= set(document["sessions"]["first"])
    assert document["sessions"]["db-1"][database.place]["source"] == "ada-in-the-table"
    assert set(both.erase_person(ADA).sessions) == {"first", "third", "db-1", "lesson"}
    database.close()
    rest = bytes_below(root.parent.parent)
    for trace in (b"ada-in-a-row", b"ada-in-the-table", b"ada-in-a-lesson", b"ada-secret"):
        assert trace not in rest
    assert b"bob-in-the-table" in rest
    # a folder elsewhere may hold other things: what is not Mien's stays
    assert [path.name for path in elsewhere.rglob("*") if path.is_file()] == ["screenshot.png"]


def readings_table(path: Path, *labels: str) -> None:
    """Write a database of 50 rows for each label."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE readings (label TEXT)")
        database.executemany("INSERT INTO readings VALUES (?)", [(label,) for label in labels for _ in range(50)])
        database.commit()


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "wal"])
def test_no_byte_of_an_erased_row_stays_in_any_file(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA secure_delete = OFF")  # as SQLite is built in most places
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.execute("CREATE TABLE readings (person TEXT, note TEXT)")
    database.execute("CREATE INDEX by_note ON readings (note)")
    for k in range(400):
        database.execute("INSERT INTO readings VALUES (?, ?)", (f"p{k % 20}", f"secret-of-p{k % 20}-{'x' * (k % 90)}"))
        database.commit()
    database.execute("DELETE FROM readings WHERE person = 'p7'")  # an ordinary deletion leaves bytes behind
    database.commit()
    if mode != "wal":
        database.close()
    assert b"secret-of-p7-" in bytes_below(tmp_path)
    assert b"secret-of-p8-" in bytes_below(tmp_path)
    erase_deleted(path)
    rest = bytes_below(tmp_path)
    assert b"secret-of-p7-" not in rest
    assert b"secret-of-p8-" in rest
    if mode == "wal":
        assert database.execute("SELECT count(*) FROM readings").fetchone() == (380,)
        database.close()


def test_a_reader_that_keeps_the_old_rows_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    readings_table(path, "secret-word")
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM readings").fetchone()
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM readings")
        database.commit()
    with pytest.raises(DeviceError, match=r"s\.sqlite"):
        erase_deleted(path, wait_s=0.1)
    assert b"secret-word" in bytes_below(tmp_path)
    reader.close()
    erase_deleted(path)
    assert b"secret-word" not in bytes_below(tmp_path)


def test_what_is_no_database_is_reported_and_none_is_created(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("hello " * 1000)
    with pytest.raises(DataError, match=r"text\.sqlite"):
        erase_deleted(tmp_path / "text.sqlite")
    with pytest.raises(DeviceError, match=r"gone\.sqlite"):
        erase_deleted(tmp_path / "gone.sqlite")
    assert not (tmp_path / "gone.sqlite").exists()


def test_a_real_session_is_listed_exported_and_erased(tmp_path: Path) -> None:
    ran = mien("live", "--source", "demo", "--duration-s", "0.2", "--headless", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (folder,) = (tmp_path / "results" / "sessions").iterdir()
    status = mien("privacy", "status", cwd=tmp_path)
    assert folder.name in status.stdout
    exported = mien("privacy", "export", "--out", "mine.json", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    document = json.loads((tmp_path / "mine.json").read_text())
    assert len(document["sessions"][folder.name]["observations.csv"]) == 5
    assert (tmp_path / "mine.json").stat().st_mode & 0o777 == 0o600
    unasked = mien("privacy", "erase", "--all", cwd=tmp_path)
    assert unasked.returncode == 2
    assert folder.is_dir()
    files = len(list(folder.iterdir()))
    erased = mien("privacy", "erase", folder.name, cwd=tmp_path, said="y\n")
    assert f"erased 1 session, {files} files" in erased.stdout
    assert not folder.exists()
    assert mien("privacy", "log", "verify", cwd=tmp_path).returncode == 0


def test_consent_and_retention_on_the_command_line(root: Path, tmp_path: Path) -> None:
    for purpose in ("show", "keep"):
        assert mien("privacy", "consent", "learner-17", purpose, "granted", cwd=tmp_path).returncode == 0
    rights = Rights(Archive(root))
    make_session(root, "theirs", rights.ledger.random_name("learner-17"), "their-secret")
    make_session(root, "old", "", "old-secret", 31)
    dry = mien("privacy", "retention", "--dry-run", cwd=tmp_path)
    assert dry.stdout == "would erase 1 session older than 30 days\n  old\n"
    assert (root / "old").is_dir()
    declared = declare(
        {"context": "own-use", "jurisdiction": "EU", "purpose": "self-observation", "retention_days": 40},
    )
    (tmp_path / "deployment.toml").write_text(deployment_text(declared))
    dry = mien("privacy", "retention", "--dry-run", cwd=tmp_path)
    assert dry.stdout == "would erase 0 sessions older than 40 days\n"  # as the notice of this declaration promises
    assert "after 40 days" in mien("privacy", "notice", cwd=tmp_path).stdout
    (tmp_path / "deployment.toml").unlink()
    assert "erased 1 session older" in mien("privacy", "retention", cwd=tmp_path).stdout
    assert "learner-17: show granted, keep granted" in mien("privacy", "status", cwd=tmp_path).stdout
    answer = mien("privacy", "consent", "learner-17", "keep", "withdrawn", cwd=tmp_path)
    assert "must stop now: keep, research\nerased: theirs (4 files)" in answer.stdout
    assert b"secret" not in bytes_below(root)
    assert "Version" in mien("privacy", "notice", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("erase",), "--all"),
        (("erase", "--all", "--person", "x"), "--all"),
        (("erase", "--person", "Eve", "--yes"), "'Eve'"),
        (("export", "--out", "x.json", "../x"), "'../x'"),
        (("consent", "x", "watch", "granted"), "'watch'"),
        (("retention", "--retention-days", "-1"), "-1"),
        (("retention", "--retention-days", "0"), "use 1 to 3650"),
        (("notice", "--deployment", "gone.toml"), "gone.toml"),
    ],
)
def test_user_errors_are_one_line(arguments: tuple[str, ...], named: str, tmp_path: Path) -> None:
    answer = mien("privacy", *arguments, cwd=tmp_path)
    assert answer.returncode in (2, 3)
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert named in answer.stderr


def test_no_path_that_leads_up_makes_other_sessions_erasable(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_session(root, "2026-03-04_09-30-00-k3f9")
    (root / "summary.json").write_text("{}")  # of a run whose folder was the sessions folder itself
    erase_folder(Path("results/sessions/x/.."))
    erase_folder(Path("results/sessions/.."))
    assert (root / "2026-03-04_09-30-00-k3f9" / "observations.csv").is_file()


def test_an_earlier_session_that_is_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    other = make_session(tmp_path / "elsewhere", "other")
    folder = make_session(tmp_path / "out", "lesson")
    (folder / "earlier-1").symlink_to(other)
    erase_folder(folder)
    assert (other / "observations.csv").is_file()


def test_erasing_a_session_drops_its_queued_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    queue = outbox_file()
    root = tmp_path / "sessions"
    names = [f"2026-03-04_09-30-0{k}-k3f9" for k in range(2)]
    for name in names:
        make_session(root, name)
        with closing(Outbox(queue, f"webhook {name}", session=name)) as outbox:
            for k in range(3):
                outbox.put(f"{name}-{k}", f"secret of {name}")
            outbox.refused(outbox.take(1)[0], "no")
            outbox.sent(outbox.take(1)[0])
    archive = Archive(root, drop_messages=drop_messages)
    erased = archive.eraser.erase([archive.find(names[0])])
    assert erased.files == 4 + 2  # files, and messages that are waiting or were refused
    left = b"".join(path.read_bytes() for path in queue.parent.glob("outbox.db*"))
    assert f"secret of {names[0]}".encode() not in left
    assert f"secret of {names[1]}".encode() in left


def test_queued_messages_are_listed_exported_and_erased_by_retention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results" / "sessions"
    fresh, other = "2026-03-04_09-30-00-k3f9", "2026-03-04_09-30-01-k3f9"
    for name in (fresh, other):
        make_session(root, name)
    old_s = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    with closing(Outbox(outbox_file(), "webhook https://hooks.school.example/secret", lambda: old_s, "gone")) as hook:
        hook.put("m-old", "an old body")
        hook.refused(hook.take(1)[0], "HTTP 400 Bad Request")
    with closing(Outbox(outbox_file(), "lrs https://lrs.school.example/xAPI", session=fresh)) as store:
        store.put("m-1", "a new body")
        store.postpone(store.take(1)[0], 60.0, "HTTP 500 Internal Server Error")
        store.put("m-2", "another")
    status = run("status")
    assert "webhook at hooks.school.example: 1 message rejected, since 2026-01-02; last error: HTTP 400 Bad Request" in status
    assert "secret" not in status
    assert "learning record store at lrs.school.example: 2 messages waiting, since " in status
    assert "; last error: HTTP 500 Internal Server Error" in status
    run("export", "--out", "all.json")
    exported = json.loads((tmp_path / "all.json").read_text())["sessions"]
    assert [(each["message_id"], each["body"]) for each in exported[fresh]["queued messages"]] == [
        ("m-1", "a new body"),
        ("m-2", "another"),
    ]
    assert "queued messages" not in exported[other]
    assert "would erase 1 queued message older" in run("retention", "--dry-run")
    assert "erased 1 queued message older" in run("retention")
    assert "hooks.school.example" not in run("status")
    assert b"an old body" not in b"".join(path.read_bytes() for path in outbox_file().parent.glob("outbox.db*"))
    assert list(AuditLog(state_folder(root)).events())[-1]["files"] == 1


def test_retention_keeps_the_messages_of_running_sessions(tmp_path: Path) -> None:
    for session in ("running", "ended"):
        with closing(Outbox(tmp_path / "outbox.db", "lrs", lambda: 100.0, session)) as outbox:
            outbox.put(session, "body")
    with closing(Outbox(tmp_path / "outbox.db", "")) as outbox:
        assert outbox.drop_older(200.0, ["running"]) == 1
        assert [each["message_id"] for each in outbox.unsent(["running", "ended"])] == ["running"]


def test_status_names_every_place_and_which_consents_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("status").startswith("0 sessions in results/sessions, 0.0 MB")
    make_session(Path("results/analyses"), "lesson")
    assert run("status").startswith("1 session in results/sessions and results/analyses, 0.0 MB")
    Database("sqlite:///s.db").close()
    assert " and results/analyses and the database s.db, " in run("status", "--db", "s.db")
    assert run("consent", "p-18", "keep", "granted").endswith("\np-18: keep granted (no effect without show)\n")
    assert "  p-18: keep granted (no effect without show)\n" in run("status")
    assert run("consent", "p-18", "show", "granted") == "p-18: show granted\n"
    assert "  p-18: keep granted, show granted\n" in run("status")
    declared = declare({"context": "own-use", "jurisdiction": "EU", "purpose": "self-observation", "retention_days": 40})
    (tmp_path / "deployment.toml").write_text(deployment_text(declared))
    assert "show granted (for another version of the notice)" in run("status")
    (tmp_path / "deployment.toml").unlink()
    run("consent", "p-18", "show", "withdrawn")
    assert "  p-18: keep withdrawn, show withdrawn\n" in run("status")


def test_status_names_running_sessions_and_the_declaration_once(here: Path, mien_here: MienHere) -> None:
    declared = declare({"context": "own-use", "jurisdiction": "EU", "purpose": "self-observation"})
    (here / "deployment.toml").write_text(deployment_text(declared))
    started = datetime.now(UTC) - timedelta(minutes=7)
    folder = make_session(Path("results/sessions"), "room")
    (folder / "summary.json").unlink()
    (folder / "session.partial.json").write_text(json.dumps({"started_at": started.isoformat()}))
    partial = AppendFile(folder / "observations.partial.csv")
    code, out, err = mien_here("privacy", "status")
    partial.close()
    assert code == 0
    assert f"running since {started.astimezone():%H:%M}" in out
    assert "ended" not in out
    assert err.count("Under the declaration") == 1
    assert f"ended {datetime.now(UTC):%Y-%m-%d}" in mien_here("privacy", "status")[1]


def test_the_ledger_is_named_when_it_is_new_and_when_somebody_is_not_in_it(here: Path, mien_here: MienHere) -> None:
    ledger = str(here / "results/sessions/privacy/consents.jsonl")
    for command in (
        ("consent", "p-17", "keep", "withdrawn"),
        ("erase", "--person", "p-17", "--yes"),
        ("export", "--person", "p-17", "--out", "copy.json"),
    ):
        code, _, err = mien_here("privacy", *command)
        assert code == 2
        assert ledger in err
    assert mien_here("privacy", "consent", "p-17", "show", "granted")[1].splitlines()[0] == f"new consent ledger: {ledger}"
    assert ledger not in mien_here("privacy", "consent", "p-17", "keep", "granted")[1]
    code, out, _ = mien_here("privacy", "erase", "--person", "p-17", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "p-17 was removed from the consent ledger")


def test_nobody_is_asked_about_a_session_that_does_not_exist(here: Path) -> None:
    make_session(Path("results/sessions"), "room")
    for names in (("nosuch",), ("room", "nosuch")):
        answer = CliRunner().invoke(app, ["privacy", "erase", *names], input="y\n")
        assert answer.exit_code != 0
        assert isinstance(answer.exception, UsageError)
        assert "Erase" not in answer.output
    assert (here / "results/sessions/room").is_dir()


def run(*arguments: str) -> str:
    """Run a command of ``mien privacy`` and return its output."""
    answer = CliRunner().invoke(app, ["privacy", *arguments])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_a_name_too_long_for_a_path_is_no_session(root: Path) -> None:
    with pytest.raises(DataError, match="no session"):
        Archive(root).find("x" * 300)


def test_a_database_path_that_would_be_cut_is_refused() -> None:
    with pytest.raises(UsageError, match="Rename the file"):
        database_url("what?.db")


def test_an_erasure_whose_queue_is_busy_can_be_repeated(root: Path) -> None:
    folder = make_session(root, "2026-03-04_09-30-00-k3f9")

    def busy(session_ids: object) -> int:
        raise DeviceError("the queue is locked")

    archive = Archive(root, drop_messages=busy)
    archive.log.path.parent.mkdir(parents=True)
    archive.log.path.write_text("garbage\n")  # does not hide the first error
    with pytest.raises(DeviceError, match="the queue is locked"):
        raise_faults(archive.eraser.erase(archive.sessions()))
    left = [path.name for path in folder.rglob("*") if path.is_file()]
    assert sorted(left) == ["privacy.json", "summary.json"]  # a full disk has room again
    assert [each.record.session_id for each in archive.sessions()] == [folder.name]  # its messages are found again
    archive = Archive(root, drop_messages=len)
    assert archive.eraser.erase(archive.sessions()).files == 5  # those of the first attempt, which could not be logged, too
    assert not folder.exists()


def test_pages_of_all_sessions_go_with_an_erased_session_and_no_other_file_does(root: Path, tmp_path: Path) -> None:
    analyses = tmp_path / "analyses"
    for place in (root, analyses):
        make_session(place, "2026-03-04_09-30-00-k3f9")
        index_path(place).write_text(index_page([]))
    archive = Archive(root, more_roots=[analyses])
    archive.eraser.erase([archive.find(str(analyses / "2026-03-04_09-30-00-k3f9"))])
    assert not index_path(analyses).exists()
    elsewhere = make_session(tmp_path / "own", "lesson")
    (tmp_path / "own.html").write_text("somebody's own page")
    erase_folder(elsewhere)
    assert (tmp_path / "own.html").is_file()


def test_an_export_replaces_no_file_that_mien_keeps(root: Path) -> None:
    folder = make_session(root, "2026-03-04_09-30-00-k3f9")
    for target in (folder / "observations.csv", root / "privacy" / "people.json"):
        with pytest.raises(UsageError, match="Mien keeps"):
            refuse_own_file(target)
    refuse_own_file(root / "copy.csv")


def test_a_second_session_in_a_folder_gets_an_id_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "2026-03-04_09-30-00-k3f9"
    start = datetime(2026, 11, 29, tzinfo=UTC)
    assert session_id_of(folder, start) == folder.name
    make_session(tmp_path, folder.name)
    assert session_id_of(folder, start) != folder.name


def test_a_running_analysis_is_a_running_session(root: Path) -> None:
    folder = make_session(root, "lesson")
    (folder / "segments").mkdir()
    lock = os.open(folder / "segments" / "running.lock", os.O_RDWR | os.O_CREAT)
    assert take(lock)
    archive = Archive(root)
    with pytest.raises(DeviceError, match="still running"):
        archive.eraser.erase(archive.sessions())
    os.close(lock)


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], None]:
    """Return a function that makes one path impossible to unlink, or none."""
    unlink = Path.unlink

    def use(refused: Path | None) -> None:
        def replacement(self: Path, missing_ok: bool = False) -> None:
            if self == refused:
                raise PermissionError(13, "Permission denied", str(self))
            unlink(self, missing_ok)

        monkeypatch.setattr(Path, "unlink", replacement)

    return use


def with_earlier(folder: Path, secret: str = "", age_days: float = 0.0) -> Path:
    """Add an earlier session of the same participant to a session's folder, and return its folder."""
    earlier = make_session(folder, "earlier-1", person_of(folder), secret, age_days)
    (earlier / "summary.json").write_text(json.dumps({"session_id": f"{folder.name}-before", "source": secret}))
    then = (datetime.now(UTC) - timedelta(days=age_days)).timestamp()
    os.utime(earlier / "summary.json", (then, then))
    (earlier / "more" / "screenshot.png").unlink()
    (earlier / "more").rmdir()
    return earlier


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("name", ["annotated.mp4", "observations.csv", "earlier-1/observations.csv", "earlier-1/summary.json"])
def test_an_erasure_that_failed_can_be_repeated(
    name: str, elsewhere: bool, rights: Rights, root: Path, tmp_path: Path, refuse: Callable[[Path | None], None]
) -> None:
    random_name = rights.ledger.random_name(ADA)
    folder = make_session(tmp_path / "lessons" if elsewhere else root, "lesson", random_name, "ada-lesson")
    with_earlier(folder, "ada-earlier")
    (folder / "annotated.mp4").write_bytes(b"face of ada")
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    if elsewhere:
        database.save(kept("lesson", person=random_name, folder=str(folder)))
    rights = Rights(Archive(root, database))
    refuse(folder / name)
    erased = rights.erase_person(ADA)
    assert set(erased.sessions) == {"first", "third"}  # one that cannot be erased does not stop the others
    with pytest.raises(DeviceError, match=f"lesson was not erased completely: cannot erase .*{Path(name).name}"):
        raise_faults(erased)
    assert [each.record.session_id for each in rights.sessions(ADA)] == ["lesson"]
    assert not (root / "first").exists()
    assert not (root / "third").exists()
    refuse(None)
    assert rights.erase_person(ADA).sessions == ("lesson",)
    database.close()
    assert ADA not in rights.ledger.people()
    assert b"ada-" not in bytes_below(root)
    assert not elsewhere or [path.name for path in folder.rglob("*") if path.is_file()] == ["screenshot.png"]


def test_all_that_cannot_be_erased_is_named_and_only_erasures_are_logged(
    rights: Rights, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        faults = rights.erase(["first", "second"]).faults
    assert [str(fault).split(":")[0] for fault in faults] == [
        "first was not erased completely",
        "second was not erased completely",
    ]
    assert "erased" not in [event["event"] for event in rights._archive.log.events()]


def test_a_folder_with_earlier_sessions_only_is_still_a_persons(rights: Rights, root: Path) -> None:
    folder = make_session(root, "room", rights.ledger.random_name(BOB))
    with_earlier(folder, "bob-earlier")
    shutil.rmtree(folder / "more")
    erase_folder(folder, earlier=False)
    assert [each.name for each in rights.sessions(BOB)] == ["second", "room/earlier-1"]
    assert Archive(root).strangers() == []
    with pytest.raises(UsageError, match="another participant"):
        check_folder(folder, "")
    with pytest.raises(UsageError, match="earlier sessions only"):
        Archive(root).find(str(folder))
    for name in ("room/earlier-1", str(folder / "earlier-1")):
        assert Archive(root).find(name).record.source == "bob-earlier"
    assert rights.erase(["room/earlier-1"]).files == 3
    assert not folder.exists()


def test_retention_erases_earlier_sessions_by_their_own_age(rights: Rights, root: Path) -> None:
    folder = make_session(root, "room")
    earlier = with_earlier(folder, "long ago", 31)
    assert [session.name for session in rights.expired(30)] == ["room/earlier-1"]
    assert rights.erase_expired(30)[0].files == 3
    assert (folder / "observations.csv").is_file()
    assert not earlier.exists()
    with_earlier(make_session(root, "old", age_days=40), "older", 50)
    assert [session.name for session in rights.expired(30)] == ["old"]  # which includes the earlier one


def test_erasing_a_folder_erases_messages_and_rows_of_its_earlier_sessions(root: Path, tmp_path: Path) -> None:
    folder = make_session(root, "room")
    with_earlier(folder)
    dropped: list[str] = []
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.save(kept("room-before"))

    def drop(session_ids: Sequence[str]) -> int:
        dropped.extend(session_ids)
        return 0

    archive = Archive(root, database, drop_messages=drop)
    archive.eraser.erase([archive.find("room")])
    assert sorted(dropped) == ["room", "room-before"]
    assert database.sessions() == []
    database.close()


def test_a_row_whose_session_was_moved_aside_erases_that_session(root: Path, tmp_path: Path) -> None:
    folder = make_session(tmp_path / "lessons", "room")
    earlier = with_earlier(folder)
    database = Database(f"sqlite:///{tmp_path / 's.db'}")
    database.save(kept("room-before", folder=str(folder)))
    archive = Archive(root, database)
    archive.eraser.erase(archive.sessions())
    database.close()
    assert not earlier.exists()
    assert (folder / "observations.csv").is_file()


def test_a_damaged_audit_log_does_not_stop_an_erasure(rights: Rights, root: Path) -> None:
    (root / "privacy" / "audit.jsonl").write_text("garbage\n")
    _, erased = rights.record_consent(BOB, "keep", "withdrawn", NOTICE)
    assert erased.sessions == ("second",)
    assert "audit.jsonl" in erased.audit_error
    assert not (root / "second").exists()
    erased = rights.erase_person(ADA)
    assert "audit.jsonl" in erased.audit_error
    assert ADA not in rights.ledger.people()
    with pytest.raises(StorageError, match=r"audit\.jsonl"):
        raise_faults(erased)


def test_a_withdrawal_erases_earlier_sessions_in_the_folder_of_a_running_one(rights: Rights, root: Path) -> None:
    folder = make_session(root, "room", rights.ledger.random_name(BOB))
    earlier = with_earlier(folder)
    file = AppendFile(folder / "observations.partial.csv")
    assert rights.record_consent(BOB, "keep", "withdrawn", NOTICE)[1].sessions == ("second", "room/earlier-1")
    assert not earlier.exists()
    assert (folder / "observations.csv").is_file()  # the running session erases itself
    file.close()


def test_a_session_that_runs_on_another_computer_is_not_erased_and_does_not_come_back(root: Path, tmp_path: Path) -> None:
    there, here = (Database(f"sqlite:///{tmp_path / 's.db'}") for _ in range(2))
    archive = Archive(root, here)
    running = kept("s1", started_at=datetime.now(UTC) - timedelta(seconds=15))
    there.save(running)
    with pytest.raises(DeviceError, match="still running"):
        archive.eraser.erase(archive.sessions())
    there.save(kept("s1"))  # last saved long ago, and paused since
    archive.eraser.erase(archive.sessions(), lost="files")
    with pytest.raises(StorageError, match="deleted"):
        there.save(running, must_exist=True)
    assert here.sessions() == []
    there.close()
    here.close()


def test_erasing_a_named_session_keeps_the_earlier_ones_in_its_folder(root: Path, tmp_path: Path) -> None:
    folder = make_session(tmp_path / "lessons", "room")
    earlier = with_earlier(folder, "monday")
    with closing(Database(f"sqlite:///{tmp_path / 's.db'}")) as database:
        database.save(kept("room-before", folder=str(folder)))
        database.save(kept("room", folder=str(folder)))
        rights = Rights(Archive(root, database))
        assert rights.erase(["room"]).sessions == ("room",)
        assert (earlier / "observations.csv").is_file()
        assert [each.record.session_id for each in rights.sessions()] == ["room-before"]
        assert rights.erase_all().sessions == ("room-before",)
    assert not earlier.exists()


def test_an_earlier_session_is_exported_and_erased_by_the_name_in_the_status(rights: Rights, root: Path) -> None:
    earlier = with_earlier(make_session(root, "room"), "long ago", 31)
    assert "observations.csv" in rights.export(["room/earlier-1"])["sessions"]["room/earlier-1"]
    assert rights.erase(["room/earlier-1"]).sessions == ("room/earlier-1",)
    assert not earlier.exists()
    assert (root / "room" / "observations.csv").is_file()


def test_the_question_before_an_erasure_counts_earlier_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with_earlier(make_session(Path("results/sessions"), "room"))
    for arguments, asked in (
        (("--all",), "Erase 1 session and 1 earlier session in the same folders: room?"),
        (("room",), "Erase 1 session: room?"),
    ):
        answer = CliRunner().invoke(app, ["privacy", "erase", *arguments], input="n\n")
        assert asked in answer.output
    assert (tmp_path / "results/sessions/room/earlier-1/observations.csv").is_file()


def test_an_earlier_session_with_a_database_row_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = make_session(Path("sessions"), "room")
    with_earlier(folder, age_days=31)
    with closing(Database(f"sqlite:///{tmp_path / 's.db'}")) as database:
        database.save(kept("room-before", folder=str(folder.resolve())))
        rights = Rights(Archive(Path("sessions"), database))
        assert [each.name for each in rights.expired(30)] == ["room-before"]
        assert rights.erase_expired(30)[0].sessions == ("room-before",)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_folder_erased_in_part_can_be_found_again(elsewhere: bool, root: Path, tmp_path: Path) -> None:
    folder = make_session(tmp_path / "lessons" if elsewhere else root, "2026-03-04_09-30-00-k3f9", "random-name")
    assert erase_folder(folder, root, findable=True)[0] == (1 if elsewhere else 2)
    left = [path.name for path in folder.rglob("*") if path.is_file() and path.name != "screenshot.png"]
    assert sorted(left) == ["privacy.json", "summary.json"]
    assert person_of(folder) == "random-name"
    assert erase_folder(folder, root)[0] == 2


def test_a_row_and_its_person_stay_while_the_folder_is_not_here(rights: Rights, root: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    folder = make_session(disk, "lesson", rights.ledger.random_name(ADA), "ada-lesson")
    dropped: list[str] = []
    with closing(Database(f"sqlite:///{tmp_path / 's.db'}")) as database:
        database.save(kept("lesson", person=rights.ledger.random_name(ADA), folder=str(folder)))
        rights = Rights(Archive(root, database, drop_messages=lambda names: dropped.extend(names) or 0))
        disk.rename(tmp_path / "unplugged")
        erased = rights.erase_person(ADA)
        assert set(erased.sessions) == {"first", "third"}
        with pytest.raises(
            DeviceError, match=r"lesson was not erased completely: its folder .*lesson was not found.*mien sessions delete lesson"
        ):
            raise_faults(erased)
        assert "lesson" in dropped  # its messages are here
        assert ADA in rights.ledger.people()
        assert rights.erase_expired(0)[0].faults
        (tmp_path / "unplugged").rename(disk)
        assert rights.erase_person(ADA).sessions == ("lesson",)
    assert ADA not in rights.ledger.people()
    assert not (folder / "observations.csv").exists()


def test_a_withdrawal_tells_what_stops_even_if_a_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[Path | None], None]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    root = Path("results/sessions")
    for purpose in ("show", "keep", "research"):
        run("consent", "learner-17", purpose, "granted")
    person = Rights(Archive(root)).ledger.random_name("learner-17")
    for name in ("one", "two", "live"):
        make_session(root, name, person)
    refuse(root / "one" / "observations.csv")
    file = AppendFile(root / "live" / "observations.partial.csv")
    answer = CliRunner().invoke(app, ["privacy", "consent", "learner-17", "keep", "withdrawn"])
    file.close()
    assert "must stop now: keep, research\nerased: two (5 files)\n" in answer.output
    assert "still running, erased by the session itself: live\nrecall manually" in answer.output
    assert isinstance(answer.exception, DeviceError)
    assert "one was not erased" in str(answer.exception)


def test_a_withdrawal_names_sessions_that_run_on_another_computer(rights: Rights, root: Path, tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 's.db'}")) as database:
        now = datetime.now(UTC) - timedelta(seconds=15)
        database.save(kept("far", person=rights.ledger.random_name(BOB), started_at=now, state="running"))
        _, erased = Rights(Archive(root, database)).record_consent(BOB, "show", "withdrawn", NOTICE)
    assert (erased.sessions, erased.running) == (("second",), ())
    assert ["far runs on another computer" in str(fault) for fault in erased.faults] == [True]


def test_retention_erases_messages_although_a_session_stays_and_conversely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[Path | None], None]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    old = make_session(Path("results/sessions"), "old", age_days=40)
    with closing(Outbox(outbox_file(), "webhook", lambda: 1e9, "gone")) as hook:
        hook.put("m-old", "an old body")
    refuse(old / "observations.csv")
    answer = CliRunner().invoke(app, ["privacy", "retention"])
    assert "erased 1 queued message" in answer.output
    assert "old was not erased" in str(answer.exception)
    refuse(None)

    def locked(*arguments: object) -> int:
        raise DeviceError("the queue is locked")

    monkeypatch.setattr(Outbox, "drop_older", locked)
    answer = CliRunner().invoke(app, ["privacy", "retention"])
    assert "erased 1 session older" in answer.output
    assert str(answer.exception) == "the queue is locked"
    assert not old.exists()


def test_a_folder_that_cannot_be_read_keeps_its_session_listed(
    rights: Rights, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = root / "first" / "more"

    def closed(act: Callable[[Path], object]) -> Callable[[Path], object]:
        def replacement(path: Path) -> object:
            if Path(path) == more:
                raise PermissionError(13, "Permission denied", str(path))
            return act(path)

        return replacement

    with monkeypatch.context() as patch:
        for name in ("listdir", "scandir"):
            patch.setattr(os, name, closed(getattr(os, name)))
        assert "Permission denied" in str(rights.erase(["first"]).faults[0])
    assert "first" in [each.name for each in rights.sessions(ADA)]
    assert rights.erase(["first"]).files == 4
