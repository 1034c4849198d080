"""Runs that are stopped, and disks that refuse, with real processes: one orderly end, its own exit code, no traceback."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import REPOSITORY, SHARED
from lrs_servers import PASSWORD, USER, free_port, strict_store

from mien.privacy.deployment import Deployment, deployment_text

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows none of these signals")
SOFTWARE_TEST = deployment_text(Deployment("software-test", "EU", "software-test"))
"""A declaration, so that there is a log."""
ASKS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def started(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program in ``folder``; whatever is left of it is killed in the end."""
    fast = {"MIEN_MODELS": str(SHARED / "models")}  # where it is, the faster detector
    run = subprocess.Popen(
        [sys.executable, "-m", "mien", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | fast | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509  under nohup it would be ignored
    )
    try:
        yield run
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=900)


def wait_for(condition: Callable[[], object], run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if condition():
            return
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    pytest.fail("nothing of it in two minutes")


def has_rows(path: Path, count: int = 5) -> bool:
    return path.is_file() and path.read_bytes().count(b"\n") > count


def ended(run: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = run.communicate(timeout=900)
    assert "Traceback" not in err, err
    assert "Exception ignored" not in err, err
    return run.returncode, out, err


LIVE = ("live", "--source", "demo", "--headless", "--duration-s", "3600", "--out", "s", "--model", "mien-xs")


@pytest.mark.parametrize("name", ASKS)
def test_a_session_ends_alike_whatever_asks_for_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "deployment.toml").write_text(SOFTWARE_TEST)
    port = free_port()
    server = {"MIEN_LRS": f"http://127.0.0.1:{port}/xAPI", "MIEN_LRS_USER": USER, "MIEN_LRS_PASSWORD": PASSWORD}
    with strict_store(port) as store, started(tmp_path, *LIVE, **server) as run:
        wait_for(lambda: has_rows(tmp_path / "s" / "observations.partial.csv"), run)
        for _ in range(3):  # a terminal that is closed, and people, ask more than once
            run.send_signal(getattr(signal, name))
            if name == "SIGINT":
                break
        code, out, err = ended(run)
    assert code == 0, err
    last = json.loads(out.splitlines()[-1])
    assert (last["missing"], last["out"]) == ([], "s")
    summary = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert summary["state"] == "interrupted"
    with (tmp_path / "s" / "observations.csv").open(newline="") as handle:
        assert 0 < len(list(csv.DictReader(handle))) <= summary["frames"]
    log = (tmp_path / "results" / "sessions" / "privacy" / "audit.jsonl").read_text()
    assert "session-ended" in log
    assert store.stored()[-1]["verb"]["display"]["en"] == "terminated"


def test_a_second_ctrl_c_interrupts_no_saving_and_ends_in_no_traceback(tmp_path: Path) -> None:
    with started(tmp_path, *LIVE) as run:
        wait_for(lambda: has_rows(tmp_path / "s" / "observations.partial.csv"), run)
        for _ in range(2):
            run.send_signal(signal.SIGINT)
            time.sleep(0.05)
        code, out, err = ended(run)
    assert code == 0, err
    assert json.loads((tmp_path / "s" / "summary.json").read_text())["state"] == "interrupted"
    assert json.loads(out.splitlines()[-1])["missing"] == []


@pytest.mark.parametrize("count", [1, 2, 6])
def test_ctrl_c_at_any_moment_of_any_number_ends_in_no_traceback(count: int, tmp_path: Path) -> None:
    with started(tmp_path, *LIVE) as run:
        wait_for((tmp_path / "s").exists, run)
        for _ in range(count):
            run.send_signal(signal.SIGINT)
            time.sleep(0.01)
        code, _, _ = ended(run)
    assert code in (0, 130)


def test_what_is_to_be_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    program = (
        "import signal, sys\nfrom mien.cli import main\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from mien.stops import orderly_stops\nwith orderly_stops():\n    signal.raise_signal(signal.SIGHUP)\nprint('went on')\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert answer.stdout == "went on\n", answer.stderr


@pytest.mark.parametrize("name", ASKS)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_analysis_keeps_what_was_finished_and_leaves_no_half(name: str, workers: str, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "deployment.toml").write_text(SOFTWARE_TEST)
    folder = tmp_path / "a" / "sad_to_happy"
    recording = str(clips / "sad_to_happy.mp4")
    arguments = ("analyze", recording, "--out", "a", "--workers", workers, "--model", "mien-xs")
    with started(tmp_path, *arguments) as run:
        wait_for((folder / "segments" / "times.npz").is_file, run)
        os.killpg(run.pid, getattr(signal, name))  # all of them, as a terminal does
        code, _, err = ended(run)
    assert code == 130, err
    assert "resume" in err
    log = (tmp_path / "results" / "sessions" / "privacy" / "audit.jsonl").read_text()
    assert "session-ended" in log
    assert (folder / "segments" / "begun.json").is_file()
    assert [path.name for path in folder.rglob(".*")] == []


def test_a_video_that_a_kill_left_half_drawn_is_removed_by_the_next_run(clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "sad_to_happy"
    arguments = ("analyze", str(clips / "sad_to_happy.mp4"), "--out", "a", "--workers", "1", "--model", "mien-xs")
    with started(tmp_path, *arguments) as run:
        assert ended(run)[0] == 0
    with started(tmp_path, *arguments, "--annotate") as run:
        wait_for(lambda: any(folder.glob(".annotated-*.mp4")), run)
        os.killpg(run.pid, signal.SIGKILL)
    left = set(folder.glob(".annotated-*.mp4"))
    assert left
    with started(tmp_path, *arguments, "--annotate") as run:
        wait_for(lambda: bool(set(folder.glob(".annotated-*.mp4")) - left), run)
        os.killpg(run.pid, signal.SIGTERM)
        assert ended(run)[0] == 130
    assert not list(folder.glob(".annotated-*.mp4"))
    (folder / ".summary-abcd1234.json").write_text("{")  # what any other kill leaves
    with started(tmp_path, *arguments) as run:
        assert ended(run)[0] == 0
    assert not list(folder.glob(".*"))


def test_training_ends_with_everything_saved(fer_folder: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", str(fer_folder), "--recipe", "tiny", "--epochs", "500", "--batch-size", "7", "--out", "r")
    with started(tmp_path, *arguments) as run:
        wait_for((tmp_path / "r" / "last.pt").is_file, run)
        run.send_signal(signal.SIGHUP)
        run.send_signal(signal.SIGHUP)
        code, _, err = ended(run)
    assert code == 130, err
    assert "saved in r" in err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk; the limit on file sizes is tested without")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_session_on_a_full_disk_says_what_is_missing(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "full").write_bytes(bytes(230_000))
    arguments = [*LIVE[:-3], str(small_disk / "s"), "--model", "mien-xs"]
    arguments[arguments.index("3600")] = "20"
    with started(tmp_path, *arguments) as run:
        code, out, err = ended(run)
    assert code == 5, err
    last = json.loads(out.splitlines()[-1])
    assert last["frames"] == 500
    assert "No space left on device" in last["missing"][0]
    assert err.splitlines()[-1].startswith("error: not everything was saved")


def test_a_session_without_room_for_its_first_frame_ends_alike(small_disk: Path, tmp_path: Path) -> None:
    with (small_disk / "full").open("wb", buffering=0) as handle:
        try:
            while True:
                handle.write(bytes(4096))
        except OSError:
            pass
    arguments = [*LIVE[:-3], str(small_disk / "s"), "--model", "mien-xs"]
    with started(tmp_path, *arguments) as run:
        code, out, err = ended(run)
    assert code == 5, err
    assert json.loads(out.splitlines()[-1])["missing"]


def test_a_folder_that_is_removed_ends_alike(tmp_path: Path) -> None:
    arguments = list(LIVE)
    arguments[arguments.index("3600")] = "20"
    with started(tmp_path, *arguments) as run:
        wait_for(lambda: has_rows(tmp_path / "s" / "observations.partial.csv"), run)
        shutil.rmtree(tmp_path / "s")
        code, out, err = ended(run)
    assert code == 5, err
    assert "was removed while the session ran" in json.loads(out.splitlines()[-1])["missing"][0]
    assert not (tmp_path / "s").exists()


def test_an_analysis_on_a_full_disk_says_what_is_missing(small_disk: Path, clips: Path, tmp_path: Path) -> None:
    (small_disk / "full").write_bytes(bytes(200_000))
    arguments = ("analyze", str(clips / "sad_to_happy.mp4"), "--out", str(small_disk / "a"), "--workers", "1")
    with started(tmp_path, *arguments, "--model", "mien-xs") as run:
        code, out, err = ended(run)
    assert code == 5, err
    last = json.loads(out.splitlines()[-1])
    assert "No space left on device" in last["missing"][0]
    assert last["failed"] == ["sad_to_happy.mp4"]


def test_a_checkpoint_for_which_there_is_no_room_is_a_sentence(fer_folder: Path, tmp_path: Path) -> None:
    program = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "from mien.cli import main\nsys.argv = ['mien', *sys.argv[1:]]\nmain()\n"
    )
    arguments = ("train", "--data", str(fer_folder), "--recipe", "tiny", "--epochs", "1", "--batch-size", "7", "--out", "r")
    answer = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert "Traceback" not in answer.stderr, answer.stderr
    assert answer.returncode == 5
    assert "File too large" in answer.stderr
    assert not list((tmp_path / "r").glob(".*"))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp1252:strict"])
def test_output_in_few_letters_is_plain_and_ends_in_json(encoding: str, tmp_path: Path) -> None:
    arguments = list(LIVE)
    arguments[arguments.index("3600")] = "1"
    with started(tmp_path, *arguments, PYTHONIOENCODING=encoding) as run:
        code, out, err = ended(run)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["frames"] == 25
    assert "####" in out


def test_every_help_page_is_printed_in_few_letters(tmp_path: Path) -> None:
    for verb in ("", "analyze", "live", "train", "states show", "policy table", "sessions list"):
        arguments = verb.split() if verb in ("states show", "policy table", "sessions list") else [*verb.split(), "--help"]
        with started(tmp_path, *arguments, PYTHONIOENCODING="ascii") as run:
            code, _, err = ended(run)
        assert code == 0, err


def test_output_that_nobody_reads_or_that_fits_nowhere_is_no_traceback(tmp_path: Path) -> None:
    for target, code in (("/dev/full", 5),):
        command = f"{sys.executable} -m mien policy table > {target}"
        answer = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == code, answer.stderr
        assert "Traceback" not in answer.stderr
        assert "Exception ignored" not in answer.stderr
    read, write = os.pipe()
    os.close(read)
    answer = subprocess.run(
        [sys.executable, "-m", "mien", "policy", "table"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=write, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert answer.stderr == ""
