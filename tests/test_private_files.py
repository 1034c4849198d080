"""Only the owner can read files about people: from every writer, with every umask, also when they are rewritten."""

from __future__ import annotations

import ast
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from factories import frame, snapshot
from kept_sessions import kept
from typer.testing import CliRunner
from writing import frames, kill, recorder

from mien.cli import app
from mien.files import is_file_name, private_folder, write_json
from mien.messaging.outbox import Outbox
from mien.monitoring.trigger import write_request
from mien.privacy.deployment import Deployment, deployment_text
from mien.privacy.noise import noise_key
from mien.recordings.frame_times import FrameTimes
from mien.recordings.work_folder import WorkFolder
from mien.sessions.database import Database
from mien.sessions.recovery import recover
from mien.summaries.views import write_views
from mien.views.screenshot import save_screenshot

WRITERS = ("atomic_path", "write_text", "write_json", "copy_file")
PERSONAL = ("sessions", "summaries", "messaging", "privacy", "views", "recordings")


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(root: Path) -> dict[str, str]:
    """Return files and folders below ``root`` that others may read, with their modes."""
    found = {}
    for path in root.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode != (0o700 if path.is_dir() else 0o600):
            found[str(path.relative_to(root))] = oct(mode)
    return found


def run(*arguments: str) -> str:
    answer = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def live_and_ask(rounds: int) -> None:
    """Do all that leaves something about a person."""
    declared = ("--deployment", "deployment.toml")
    Path("deployment.toml").write_text(deployment_text(Deployment("software-test", "other", "software-test")))
    for purpose in ("show", "keep", "groups"):
        run("privacy", "consent", "Ada", purpose, "granted")
    run(
        "live",
        "--source",
        "demo",
        "--duration-s",
        "1",
        "--view",
        "none",
        *declared,
        "--person",
        "Ada",
        "--db",
        "kept/sessions.db",
    )
    run("sessions", "list", "--db", "kept/sessions.db")
    for form in ("csv", "parquet", "json", "html", "zip"):
        run("sessions", "export", "last", "--format", form, "--out", f"exports/lesson.{form}", "--overwrite")
    run("privacy", "export", "--out", "exports/ada.json", "--overwrite")
    Path("class.csv").write_text("person,group\n" + "".join(f"{name},class\n" for name in ("Ada", *"abcdefghi")))
    hour = f"2026-11-23T{10 + rounds}"
    times = ("--from", f"{hour}:00Z", "--to", f"{hour}:45Z")
    run("sessions", "groups", "--members", "class.csv", *times, *declared, "--out", "exports/groups.json")
    for name in ("class.csv", "deployment.toml"):
        Path(name).unlink()


def test_all_that_the_program_leaves_about_people_is_its_owners_alone(here: Path) -> None:
    live_and_ask(0)
    assert open_to_others(here) == {}
    names = {path.name for path in here.rglob("*")}
    assert {
        "observations.csv",
        "summary.json",
        "consents.jsonl",
        "people.json",
        "groups.json",
        "noise.key",
        "sessions.db",
    } <= names

    for path in here.rglob("*"):  # as an older Mien left it
        path.chmod(0o755 if path.is_dir() else 0o644)
    live_and_ask(1)
    run("privacy", "erase", "--person", "Ada", "--yes")
    written_again = [*here.glob("exports/*"), *here.glob("kept/*"), *here.glob("results/sessions/privacy/*")]
    assert len(written_again) > 15
    assert [path.name for path in written_again if stat.S_IMODE(path.stat().st_mode) != 0o600] == []


def test_people_json_stays_private_after_an_erasure(here: Path) -> None:
    for person in ("Ada", "Ben"):
        run("privacy", "consent", person, "show", "granted")
    run("privacy", "erase", "--person", "Ada", "--yes")
    assert (here / "results" / "sessions" / "privacy" / "people.json").read_text().count("Ben") == 1
    assert open_to_others(here) == {}


def test_sessions_that_were_killed_or_moved_aside_and_recordings_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "sessions" / "s"
    running = recorder(folder)
    for result in frames(10):
        running.update(result)
    kill(running)
    (folder / "observations.partial.csv").chmod(0o644)  # of an older Mien
    recover(folder, write_views)
    recorder(folder).finish("ended")
    assert (folder / "earlier-1" / "observations.csv").is_file()
    work = WorkFolder(tmp_path / "recording")
    with work.taken():
        work.begin({"made_with": {}, "started_at": "2026-03-04T09:30:00+00:00"}, again=False)
        work.keep_times(FrameTimes(np.zeros(2), np.zeros(2), np.ones(2)))
        work.keep(1, "x")
        work.finish({"made_with": {}})
    assert open_to_others(tmp_path) == {}


def test_screenshots_requests_queues_keys_and_databases_are_private(tmp_path: Path) -> None:
    save_screenshot(tmp_path / "shots", frame(), snapshot(), ())
    for what in ("content", "picture"):
        write_request(tmp_path / "drift", {"what": what})
    outbox = Outbox(tmp_path / "queue" / "outbox.db", "webhook x")
    outbox.put("msg_1", "{}")
    noise_key(tmp_path / "keys")
    with closing(Database(f"sqlite:///{tmp_path / 'db' / 's.db'}")) as database:
        database.save(kept())
        assert {path.name for path in (tmp_path / "db").iterdir()} == {"s.db", "s.db-wal", "s.db-shm"}
        assert open_to_others(tmp_path) == {}
    outbox.close()


def test_a_database_of_an_older_mien_is_closed_to_others_with_its_log(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as other:  # holds the log open
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE schema_version (version INTEGER)")
        other.commit()
        assert stat.S_IMODE((tmp_path / "s.db-wal").stat().st_mode) == 0o644
        with closing(Database(f"sqlite:///{path}")):
            assert open_to_others(tmp_path) == {}


def test_folders_that_were_there_keep_their_permissions_and_public_files_are_public(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    write_json(tmp_path / "mine" / "a" / "b" / "x.json", {}, private=True)
    assert [stat.S_IMODE((tmp_path / "mine" / p).stat().st_mode) for p in ("", "a", "a/b", "a/b/x.json")] == [
        0o755,
        0o700,
        0o700,
        0o600,
    ]
    private_folder(tmp_path / "mine")
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o755
    write_json(tmp_path / "mine" / "card.json", {})
    assert stat.S_IMODE((tmp_path / "mine" / "card.json").stat().st_mode) == 0o644


def test_every_writer_of_personal_files_says_so() -> None:
    wrong = []
    for package in PERSONAL:
        for path in (REPOSITORY / "mien" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                name, keys = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
                makes_a_folder = name.endswith((".mkdir", "os.makedirs", "os.mkdir"))
                modes = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
                writes = any(mode[:1] in ("w", "a", "x") for mode in modes)
                opens = (name == "os.open" and "os.O_RDONLY" not in ast.unparse(node)) or (name.endswith(".open") and writes)
                said = ast.unparse(node)
                if (name in WRITERS and keys.get("private") != "True") or makes_a_folder or (opens and "temporary" not in said):
                    wrong.append(f"{path.name}:{node.lineno} {said[:80]}")
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("2026-03-04_09-30-00-k3f9", True),
        ("урок 1", True),
        ("a.b", True),
        *((text, False) for text in ("", ".", "..", " ..", "a/b", "/a", "..\\a", "C:a", "a\0", "a\nb", "x" * 201, "\ud800")),
    ],
)
def test_names_that_lead_somewhere_are_none(text: str, fits: bool) -> None:
    assert is_file_name(text) is fits
