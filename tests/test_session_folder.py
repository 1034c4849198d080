"""A session's folder: whole, on a full disk, removed, killed; what stood in it is never harmed."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import REPOSITORY
from factories import reading, released
from kept_sessions import START, kept
from postgres import running_postgres

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError
from mien.locks import is_in_use
from mien.privacy.release import ReleasedResult
from mien.store.append_file import AppendFile, end_of_last_line
from mien.store.database import Database
from mien.store.database_sink import DatabaseSink
from mien.store.events import EventsFile, read_events
from mien.store.keeper import SessionKeeper
from mien.store.observations import COLUMNS
from mien.store.recovery import find_sessions, load_folder, recover
from mien.store.session_folder import SessionFolder
from mien.store.session_records import EventRecord, KeptSession, SessionRecord
from mien.store.sinks import Sink
from mien.store.summary_document import read_summary, summary_document

BOX = (10.0, 10.0, 80.0, 100.0)
SESSION = SessionRecord("2026-03-04_09-30-00-k3f9", START, source="camera 0", model="mien-s", detector="yunet", version="0.4")


def frames(count: int, start: int = 0) -> Iterator[ReleasedResult]:
    for k in range(start, start + count):
        label = EMOTIONS[(k // 25) % 7]
        yield released(k, k / 25, [reading(label, 0.8, BOX)], 1 / 25)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.3
        return self.now_s


def keeper(folder: Path, *more: Sink) -> SessionKeeper:
    session = replace(SESSION, folder=str(folder))
    return SessionKeeper(session, [SessionFolder(folder, KeptSession(session)), *more], clock=Clock())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_whole_session_leaves_its_files_and_nothing_partial(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = keeper(folder)
    for result in frames(100):
        running.update(result, captured=result.index + 3, dropped=2)
    assert {path.name for path in folder.iterdir()} == {"observations.partial.csv", "session.partial.json"}
    running.add(EventRecord(2.0, "intervention", "k3f9", {"rule": "away"}))
    found = running.finish("ended")
    tables, texts = ["observations.csv", "observations.parquet"], ["events.jsonl", "summary.json", "summary.html", "summary.png"]
    assert running.files == tables + texts
    assert sorted(running.files) == sorted(path.name for path in folder.iterdir())
    assert running.take_notices() == []
    assert (found.session.frames, found.session.captured, found.session.dropped, found.session.state) == (100, 102, 2, "ended")
    assert len(rows(folder / "observations.csv")) == 100
    assert [json.loads(line)["kind"] for line in (folder / "events.jsonl").read_text().splitlines()] == ["intervention"]
    assert load_folder(folder).events == found.events


def test_the_parquet_file_is_the_csv_with_types(tmp_path: Path) -> None:
    running = keeper(tmp_path / "s")
    for result in frames(3000):
        running.update(result)
    running.finish("ended")
    table = pyarrow.parquet.read_table(tmp_path / "s" / "observations.parquet")
    assert table.column_names == list(COLUMNS)
    assert str(table.schema.field("uncertain").type) == "bool"
    written = rows(tmp_path / "s" / "observations.csv")
    assert table.num_rows == len(written) == 3000
    columns = table.to_pydict()
    for k in range(0, 3000, 397):
        for name, text in written[k].items():
            value = columns[name][k]
            if text == "":
                assert value in (None, "")
            elif isinstance(value, str):
                assert value == text
            else:
                assert float(value) == pytest.approx(float(text), rel=1e-6)


def test_a_summary_comes_back_as_what_was_kept(tmp_path: Path) -> None:
    whole = kept(state="ended")
    (tmp_path / "summary.json").write_text(json.dumps(summary_document(whole)))
    found = read_summary(tmp_path / "summary.json", whole.events)
    assert found.session == replace(whole.session, folder=str(tmp_path))
    assert found.transitions == whole.transitions
    assert found.events == whole.events
    for row, wanted in zip((*found.tracks, *found.intervals), (*whole.tracks, *whole.intervals), strict=True):
        assert row.label_s == pytest.approx(wanted.label_s, abs=1e-3)
        assert (row.facing_s, row.away_s) == (wanted.facing_s, wanted.away_s)


def test_what_else_is_known_of_a_session_stays_in_its_summary(tmp_path: Path) -> None:
    running = keeper(tmp_path / "s")
    for result in frames(30):
        running.update(result)
    running.finish("ended", {"fps": 12.5, "valence": 0.25, "frames": -1, "source_health": {"losses": 2}})
    document = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert (document["fps"], document["valence"], document["source_health"]) == (12.5, 0.25, {"losses": 2})
    assert document["frames"] == 30
    again = summary_document(load_folder(tmp_path / "s"), document["out"])
    assert again == document


def test_a_summary_of_an_older_mien_is_completed_from_the_readings(tmp_path: Path) -> None:
    running = keeper(tmp_path / "s")
    for result in frames(100):
        running.update(result)
    whole = running.finish("ended")
    old = json.loads((tmp_path / "s" / "summary.json").read_text())
    for name in ("tracks", "session_id", "started_at", "state", "attention", "unread"):
        del old[name]
    for row in old["timeline"]:
        del row["facing_s"], row["away_s"], row["unread_s"], row["empty_s"]
    (tmp_path / "s" / "summary.json").write_text(json.dumps(old))
    found = load_folder(tmp_path / "s")
    assert (found.session.session_id, found.session.state, found.session.frames) == ("s", "ended", 100)
    assert found.transitions == whole.transitions
    assert found.tracks[0].label_s == pytest.approx(whole.tracks[0].label_s, abs=0.05)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"timeline": 3}', '{"frames": 1}', '{"timeline": [], "started_at": "soon"}'])
def test_a_broken_summary_is_an_error_that_says_so_and_hides_no_other_session(text: str, tmp_path: Path) -> None:
    for name in ("good", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "good" / "summary.json").write_text(json.dumps(summary_document(kept())))
    (tmp_path / "broken" / "summary.json").write_text(text)
    with pytest.raises(DataError, match="broken"):
        load_folder(tmp_path / "broken")
    assert sorted(Path(session.folder).name for session in find_sessions(tmp_path)) == ["broken", "good"]


def test_a_second_session_in_the_same_folder_harms_neither_a_whole_nor_a_killed_one(tmp_path: Path) -> None:
    first = keeper(tmp_path)
    for result in frames(10):
        first.update(result)
    first.finish("ended")
    before = (tmp_path / "observations.csv").read_bytes()
    killed = keeper(tmp_path)
    assert (tmp_path / "earlier-1" / "observations.csv").read_bytes() == before
    for result in frames(20):
        killed.update(result)
    with pytest.raises(DeviceError, match="is being written by another session"):
        keeper(tmp_path)
    killed._sinks._sinks[0].abandon()  # lets go of the file as a kill does, and finishes nothing
    third = keeper(tmp_path)
    assert len(rows(tmp_path / "earlier-2" / "observations.partial.csv")) == 20
    assert recover(tmp_path / "earlier-2").session.frames == 20
    third.finish("ended")


def test_events_survive_a_line_cut_off(tmp_path: Path) -> None:
    file = EventsFile(tmp_path)
    events = [EventRecord(float(k), "note", details={"text": "Grüße\u2028 \x85 zum Schluß"}) for k in range(3)]
    for event in events:
        file.add(event)
    file.close()
    whole = (tmp_path / "events.jsonl").read_bytes()
    for cut in range(1, 60):
        (tmp_path / "events.jsonl").write_bytes(whole[:-cut])
        assert list(read_events(tmp_path / "events.jsonl")) == events[:2]
    (tmp_path / "events.jsonl").write_bytes(b"{}\n" + whole)
    with pytest.raises(DataError, match="line 1 is no event"):
        list(read_events(tmp_path / "events.jsonl"))


def test_the_end_of_the_last_line_is_found_in_long_files(tmp_path: Path) -> None:
    for text, wanted in [("", 0), ("a", 0), ("a\n", 2), ("a\nb", 2), ("a\n" + "x" * 200_000, 2), ("y" * 200_000 + "\n", 200_001)]:
        (tmp_path / "f").write_text(text)
        assert end_of_last_line(tmp_path / "f") == wanted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 kB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk; the limit on file sizes is tested without")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_turns_one_sink_off_with_one_sentence(small_disk: Path, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'sessions.db'}")
    folder = small_disk / "s"
    running = keeper(folder, DatabaseSink(database, Clock()))
    running.add(EventRecord(0.0, "note", details={"n": 1}))
    for result in frames(2000):
        running.update(result)
        running.add(EventRecord(result.t_s, "note"))
    (notice,) = running.take_notices()
    assert str(folder) in notice
    assert "No space left on device" in notice
    assert "The session goes on" in notice
    assert running.take_notices() == []
    assert running.finish("ended").session.frames == 2000
    assert len(running.failures) == 1
    saved = rows(folder / "observations.partial.csv")
    assert 100 < len(saved) < 2000
    assert all(None not in row.values() for row in saved)  # no half line
    events = list(read_events(folder / "events.jsonl"))
    assert events[0].details == {"n": 1}
    again = Database(f"sqlite:///{tmp_path / 'sessions.db'}")
    (in_database,) = again.sessions()
    assert (in_database.state, in_database.frames) == ("ended", 2000)
    again.close()
    roomy = tmp_path / "rescued"
    shutil.copytree(folder, roomy)
    assert recover(roomy).session.frames_with_face == len(saved)


LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_session_folder import frames, keeper
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
running = keeper(Path(sys.argv[1]))
for result in frames(2000):
    running.update(result)
print(running.take_notices())
print(running.finish("ended").session.frames)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
def test_a_limit_on_the_size_of_files_is_met_the_same_way(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "s"), str(Path(__file__).parent)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert answer.returncode == 0, answer.stderr
    said, processed = answer.stdout.splitlines()
    assert "File too large" in said
    assert processed == "2000"
    data = (tmp_path / "s" / "observations.partial.csv").read_bytes()
    assert data.endswith(b"\n")
    assert 99_000 < len(data) <= 100_000


def test_a_folder_removed_while_the_session_runs_is_said_once_and_not_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = keeper(folder)
    for result in frames(30):
        running.update(result)
    shutil.rmtree(folder)
    for result in frames(60, 30):
        running.update(result)
    (notice,) = running.take_notices()
    assert "was removed while the session ran" in notice
    assert running.finish("ended").session.frames == 90
    assert running.take_notices() == []
    assert not folder.exists()


def test_a_database_that_is_gone_does_not_end_the_session(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'sessions.db'}")
    running = keeper(tmp_path / "s", DatabaseSink(database, Clock()))
    for result in frames(10):
        running.update(result)
    for path in tmp_path.glob("sessions.db*"):
        path.unlink()
    for result in frames(200, 10):
        running.update(result)
        time.sleep(0.001)
    running.finish("ended")
    (notice,) = running.take_notices()
    assert "sessions.db was removed while it was in use" in notice
    assert len(rows(tmp_path / "s" / "observations.csv")) == 210


def test_a_database_server_that_stops_does_not_end_the_session(tmp_path: Path) -> None:
    if shutil.which("initdb") is None:
        pytest.skip("PostgreSQL is not installed: no initdb on the PATH")
    with running_postgres() as server:
        url = server.new_database()
        database = Database(url)
        running = keeper(tmp_path / "s", DatabaseSink(database, Clock()))
        for result in frames(50):
            running.update(result)
        deadline = time.monotonic() + 60
        while not database.sessions() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert database.sessions()[0].state == "running"
    for result in frames(200, 50):
        running.update(result)
        time.sleep(0.001)
    assert running.finish("ended").session.frames == 250
    (notice,) = running.take_notices()
    assert "cannot use the database postgresql" in notice
    assert len(rows(tmp_path / "s" / "observations.csv")) == 250


def test_what_may_happen_to_a_file_by_itself(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "f")
    file.append("one\n")
    file.sync()
    assert is_in_use(tmp_path / "f")
    with pytest.raises(DeviceError, match="is being written by another session"):
        AppendFile(tmp_path / "f")
    assert (tmp_path / "f").read_text() == "one\n"
    (tmp_path / "f").rename(tmp_path / "g")
    file.sync()
    with pytest.raises(DeviceError, match="removed while the session ran"):
        file.append("two\n")
    file.close()
    assert not is_in_use(tmp_path / "g")
    (tmp_path / "text").write_text("")
    with pytest.raises(DeviceError, match="cannot write to"):
        AppendFile(tmp_path / "text" / "f")


def wait_for_rows(path: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.is_file() and path.read_bytes().count(b"\n") > count:
            return
        time.sleep(0.02)
    pytest.fail(f"{path} got no {count} rows in two minutes")


def live_demo(out: Path, seconds: str) -> subprocess.Popen[str]:
    """Start a real live run on the demo with the detector that is always there."""
    command = [sys.executable, "-m", "mien", "live", "--source", "demo", "--headless", "--out", str(out), "--seconds", seconds]
    environment = {name: value for name, value in os.environ.items() if name != "MIEN_MODELS"} | {"XDG_CACHE_HOME": str(out)}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )


@pytest.fixture(scope="module")
def whole_demo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The readings of the first 5 seconds of the demo: every run of it gives these bytes."""
    out = tmp_path_factory.mktemp("demo") / "out"
    with live_demo(out, "5") as run:
        assert run.wait(timeout=280) == 0
    return (out / "observations.csv").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_live_run_opens_with_all_it_had_written(seed: int, whole_demo: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = live_demo(out, "3600")
    partial = out / "observations.partial.csv"
    wait_for_rows(partial, 3)
    time.sleep(random.Random(seed).uniform(0, 2))
    with pytest.raises(DeviceError, match="still running"):
        recover(out)
    assert find_sessions(tmp_path)[0].state == "running"
    seen = partial.read_bytes()
    run.send_signal(signal.SIGKILL)
    run.wait()
    found = recover(out)
    saved = (out / "observations.csv").read_bytes()
    assert not partial.exists()
    assert saved.startswith(seen[: seen.rfind(b"\n") + 1])
    shared_part = min(len(saved), len(whole_demo))
    assert saved[:shared_part] == whole_demo[:shared_part]
    lines = saved.count(b"\n") - 1
    assert found.session.state == "recovered"
    assert found.session.frames_with_face == lines
    assert found.face_s == pytest.approx(lines / 25, abs=0.05)
    made = {"observations.csv", "observations.parquet", "privacy.json", "summary.json", "summary.html", "summary.png"}
    assert {path.name for path in out.iterdir()} == made
    assert recover(out).session == load_folder(out).session  # a second time changes nothing
    (listed,) = find_sessions(tmp_path)
    assert (listed.state, listed.frames_with_face) == ("recovered", lines)


EVENTS = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_session_folder import frames, keeper
from mien.store.session_records import EventRecord
running = keeper(Path(sys.argv[1]))
for result in frames(10**6):
    running.update(result, captured=2 * result.index, dropped=result.index)
    running.add(EventRecord(result.t_s, "note", details={"n": result.index}))
    print(result.index, flush=True)
    time.sleep(0.001)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
@pytest.mark.parametrize("seed", range(3))
def test_no_event_that_was_added_is_lost_by_a_kill(seed: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", EVENTS, str(out), str(Path(__file__).parent)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    run.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.5, 2.5))
    run.send_signal(signal.SIGKILL)
    said = [int(line) for line in run.communicate()[0].splitlines() if line]
    found = recover(out)
    numbers = [event.details["n"] for event in found.events]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= said[-1]  # the line that was on its way may be cut
    assert found.session.source == "camera 0"
    assert found.session.frames >= said[-1]


def test_recovering_may_itself_be_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    killed = keeper(out)
    for result in frames(50):
        killed.update(result)
    killed._sinks._sinks[0].abandon()
    monkeypatch.setattr("mien.store.session_folder.write_text", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        recover(out)
    monkeypatch.undo()
    assert recover(out).session.frames == 50
    assert (out / "summary.html").is_file()
