"""Sessions that are killed at any moment open with all that was written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY
from writing import frames, kill, recorder

from mien.errors import DeviceError
from mien.sessions.archive import Archive
from mien.sessions.recovery import load_folder, recover
from mien.summaries.views import write_views


def wait_for_rows(path: Path, count: int) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if path.is_file() and path.read_bytes().count(b"\n") > count:
            return
        time.sleep(0.02)
    pytest.fail(f"{path} got no {count} rows in two minutes")


def live_demo(out: Path, seconds: str) -> subprocess.Popen[str]:
    """Start a real live run on the demo with the detector that is always there."""
    command = [sys.executable, "-m", "mien", "live", "--source", "demo", "--headless", "--out", str(out), "--duration-s", seconds]
    environment = {name: value for name, value in os.environ.items() if name != "MIEN_MODELS"} | {"XDG_CACHE_HOME": str(out)}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )


@pytest.fixture(scope="module")
def whole_demo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The readings of the first 5 seconds of the demo: every run of it gives these bytes."""
    out = tmp_path_factory.mktemp("demo") / "out"
    with live_demo(out, "5") as run:
        assert run.wait(timeout=900) == 0
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
        recover(out, write_views)
    assert Archive(tmp_path).sessions()[0].record.state == "running"
    seen = partial.read_bytes()
    run.send_signal(signal.SIGKILL)
    run.wait()
    found = recover(out, write_views)
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
    assert recover(out, write_views).session == load_folder(out).session  # a second time changes nothing
    (listed,) = Archive(tmp_path).sessions()
    assert (listed.record.state, listed.record.frames_with_face) == ("recovered", lines)


EVENTS = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from writing import frames, kill, recorder
from mien.sessions.records import EventRecord
running = recorder(Path(sys.argv[1]))
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
    found = recover(out, write_views)
    numbers = [event.details["n"] for event in found.events]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= said[-1]  # the line that was on its way may be cut
    assert found.session.source == "camera 0"
    assert found.session.frames >= said[-1]


def test_recovering_may_itself_be_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    killed = recorder(out)
    for result in frames(50):
        killed.update(result)
    kill(killed)
    monkeypatch.setattr("mien.summaries.views.write_text", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        recover(out, write_views)
    monkeypatch.undo()
    assert recover(out, write_views).session.frames == 50
    assert (out / "summary.html").is_file()
