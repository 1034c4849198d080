"""Locks and places: one writer at a time, across versions and kills, and files where they have always been."""

from __future__ import annotations

import fcntl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mien.errors import DeviceError
from mien.locks import one_writer, only_writer
from mien.places import cache_folder, data_folder

WRITER = """
import pathlib, sys
from mien.locks import one_writer
with one_writer(pathlib.Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""


def writer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_writer_waits_for_the_holder_of_the_lock_file(tmp_path: Path) -> None:
    """Earlier versions hold the same file by flock, so old and new programs keep out of each other's way."""
    with (tmp_path / "ledger.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with writer(tmp_path / "ledger") as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
            fcntl.flock(held, fcntl.LOCK_UN)
            assert process.communicate(timeout=900)[0] == "in\n"


def test_waiting_for_another_writer_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.locks.WAIT_S", 0.1)
    with (tmp_path / "ledger.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DeviceError, match=r"ledger has been locked by other programs"), one_writer(tmp_path / "ledger"):
            pass
    with one_writer(tmp_path / "ledger"):
        pass


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    with writer(tmp_path / "ledger") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        process.kill()
    with one_writer(tmp_path / "ledger"):
        pass


def test_a_second_training_in_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    with only_writer(tmp_path / "runs" / "a"):
        program = f"""
import sys
from pathlib import Path
from mien.errors import UsageError
from mien.locks import only_writer
try:
    with only_writer(Path({str(tmp_path / "runs" / "a")!r})):
        sys.exit("entered")
except UsageError as error:
    print(error)
"""
        answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=900, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert str(tmp_path / "runs" / "a") in answer.stdout
    with only_writer(tmp_path / "runs" / "a"):
        pass


def test_a_run_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(DeviceError, match="another folder"), only_writer(tmp_path / "a"):
        pass


def test_the_lock_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "old.lock").touch(mode=0o644)
    for name in ("new", "old"):
        with one_writer(tmp_path / name):
            assert stat.S_IMODE((tmp_path / f"{name}.lock").stat().st_mode) == 0o600


def test_files_stay_where_they_have_always_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert (data_folder(), cache_folder()) == (tmp_path / "data/mien", tmp_path / "cache/mien")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
    assert (data_folder(), cache_folder()) == (tmp_path / ".local/share/mien", tmp_path / ".cache/mien")
