"""``mien class`` as processes: the links that are printed work, SIGTERM loses nothing, backups are complete and lean."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from build_web import build_pages
from classes import message
from conftest import REPOSITORY, MienHere
from lrs_servers import free_port
from test_browser import missing

from mien.web.classroom.database import ClassDatabase, class_database_url
from mien.web.classroom.store import ClassStore


def mien(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mien", "class", *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@contextmanager
def serving(db: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mien", "class", "serve", "--port", str(port), "--db", str(db), *options],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.communicate()


def call(port: int, method: str, path: str, token: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Authorization": f"Bearer {token}"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = answer.read()
        return json.loads(content) if content else None


def token_in(text: str, path: str) -> str:
    found = re.search(rf"/{path}#([\w-]{{22}})", text)
    assert found, text
    return found[1]


@pytest.mark.slow
def test_a_server_from_its_first_start_to_its_backup(here: Path, yunet: Path) -> None:
    if (trouble := build_pages()) != "":
        missing(trouble)
    db, port = here / "classes.db", free_port()
    with serving(db, port) as process:
        opened = mien("open", "Algebra", "--db", str(db), "--bin-s", "60")
        assert "noise" in opened
        assert f"http://127.0.0.1:{port}/join#" in opened
        teach, join = token_in(opened, "teach"), token_in(opened, "join")
        notice = call(port, "GET", "/api/lesson", join)["notice"]["hash"]
        participant = call(port, "POST", "/api/participants", join, {"notice": notice})["participant"]
        call(port, "POST", "/api/class/start", teach)
        call(port, "POST", "/api/messages", participant, message(1))
        # page and assets are those of the package
        for path in ("/join", "/teach"):
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).read().decode()
            for asset in re.findall(r'"(assets/[^"]+)"', page):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{asset}", timeout=60).close()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        invitation = token_in(out, "new")
        assert [json.loads(line)["event"] for line in err.splitlines() if line.startswith("{")] == ["started", "stopped"]
        assert "Traceback" not in err
    with sqlite3.connect(db) as database:
        assert database.execute("SELECT measured_ms FROM class_contributions").fetchall() == [(10_000,)]

    mien("backup", str(here / "copy.db"), "--db", str(db))
    assert (here / "copy.db").stat().st_mode & 0o077 == 0
    with serving(here / "copy.db", port) as process:
        assert call(port, "GET", "/api/class", teach)["title"] == "Algebra"
        assert call(port, "POST", "/api/classes", invitation, {"title": "Other"})["join"]
        assert "Revoked 1" in mien("invite", "--revoke", "--db", str(here / "copy.db"), "--port", str(port))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            call(port, "POST", "/api/classes", invitation, {"title": "Other"})


@pytest.mark.parametrize("command", [("invite",), ("open", "Algebra")], ids="_".join)
def test_links_have_the_address_at_which_a_server_last_ran(command: tuple[str, ...], mien_here: MienHere) -> None:
    def address(*options: str) -> str:
        code, out, err = mien_here("class", *command, "--db", "c.db", *options)
        assert code == 0, err
        found = re.search(r"(\S+)/\w+#", out)
        assert found, out
        return found[1]

    database = ClassDatabase(class_database_url("c.db"))
    assert address() == "http://127.0.0.1:8732"
    for port in (8700, 8757):
        ClassStore(database).remember_address(f"http://localhost:{port}")
    database.close()
    assert address() == "http://localhost:8757"
    assert address("--port", "9000") == "http://127.0.0.1:9000"
    assert address("--url", "http://localhost:9001") == "http://localhost:9001"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["open", "", "--db", "c.db"], 2, "title"),
        (["open", "x", "--db", "c.db", "--bin-s", "5"], 2, "30"),
        (["open", "x", "--db", "c.db", "--url", "https://class.example.org"], 2, "mien policy init"),
        (["open", "x", "--db", "mysql://x"], 2, "mysql"),
        (["serve", "--db", "c.db", "--url", "https://class.example.org"], 2, "mien policy init"),
        (["serve", "--db", "c.db", "--embed", "*"], 2, "origin"),
        (["serve", "--db", "c.db", "--host", "0.0.0.0"], 2, "mien policy init"),
        (["backup", "copy.db", "--db", "text.db"], 3, "SQLite"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_in_a_sentence(arguments: list[str], code: int, said: str, here: Path) -> None:
    (here / "text.db").write_text("no database " * 200)
    ClassDatabase(class_database_url(str(here / "c.db"))).close()
    text = mien(*arguments, code=code)
    assert said in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("invite", "https://lms.example"),
        ("add", "https://lms.example", "--client-id", "1", "--authorization-url", "x", "--keys-url", "x"),
        ("deployment", "lms", "1"),
        ("list",),
        ("remove", "lms"),
        ("rotate",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_platforms_need_an_extra_and_say_so(
    arguments: tuple[str, ...], mien_here: MienHere, school: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "joserfc" or name.startswith("mien.web.lti")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "joserfc", None)  # as if it were not installed
    more = ("--deployment", str(school)) if arguments[0] == "add" else ()
    code, _, err = mien_here("class", "platforms", *arguments, *more, "--db", "class.db")
    assert (code, err.count("\n")) == (4, 1)
    assert "LTI needs the package joserfc. Install it with" in err
    assert not Path("class.db").exists()


@pytest.mark.parametrize(
    "command",
    [("serve",), ("invite",), ("open", "Algebra"), ("simulate",), ("backup", "copy.db")],
    ids=lambda command: command[0],
)
def test_commands_need_an_extra_and_say_so(command: tuple[str, ...], here: Path) -> None:
    without = "import sys; sys.modules.update(dict.fromkeys(('segno', 'sqlalchemy', 'starlette', 'uvicorn')))"
    done = subprocess.run(
        [sys.executable, "-c", f"{without}; from mien.cli import main; main()", "class", *command, "--db", "class.db"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert "The class server needs the package" in done.stderr
    assert not Path("class.db").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("invite",),
        ("open", "Algebra"),
        ("simulate",),
        ("backup", "copy.db"),
        ("platforms", "list"),
        ("platforms", "invite", "https://moodle.example", "--url", "https://class.example"),
    ],
    ids="_".join,
)
@pytest.mark.parametrize("is_there", [False, True])
def test_only_a_server_creates_a_database(is_there: bool, command: tuple[str, ...], mien_here: MienHere) -> None:
    """A mistyped name must not give links that lead nowhere, or replace a backup by an empty one."""
    Path("copy.db").write_text("yesterday's")
    if is_there:
        with closing(sqlite3.connect("typo.db")) as other:
            other.execute("CREATE TABLE notes (text)")
    code, out, err = mien_here("class", *command, "--db", "typo.db")
    assert (code, out) == (3, "")
    assert "mien class serve creates a new one" in err
    assert Path("typo.db").exists() == is_there
    if is_there:
        with closing(sqlite3.connect("typo.db")) as other:
            assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]
    assert Path("copy.db").read_text() == "yesterday's"


def test_commands_close_their_connections(postgres_url: str, mien_here: MienHere) -> None:
    """The fixture ``postgres_url`` fails if a connection is still open."""
    ClassDatabase(postgres_url).close()
    for command in (
        ("invite",),
        ("open", "Algebra"),
        ("platforms", "list"),
        ("platforms", "rotate"),
        ("platforms", "invite", "https://moodle.example.org", "--url", "https://class.example.org"),
    ):
        assert mien_here("class", *command, "--db", postgres_url)[0] == 0
    assert "pg_dump" in mien_here("class", "backup", "b.db", "--db", postgres_url)[2]
