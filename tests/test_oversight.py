"""Sessions under a declaration, run for real: consent asked before, heeded while it runs, and everything logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from test_cli import mien
from test_policy import OTHERS

from mien.errors import NotPermittedError
from mien.privacy.audit_log import AuditLog
from mien.privacy.deployment import Deployment, deployment_text
from mien.privacy.oversight import Oversight
from mien.privacy.sessions import state_folder
from mien.store.names import PARTIAL_NAME

LEARNING = Deployment("learning-outside-institution", "EU", "feedback-to-the-learner", **OTHERS)
LIVE = ("live", "--source", "demo", "--headless", "--deployment", "deployment.toml")
ROOT = Path("results/sessions")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a declaration that rests on consent."""
    (tmp_path / "deployment.toml").write_text(deployment_text(LEARNING))
    return tmp_path


def say(place: Path, purpose: str, state: str, person: str = "ada-17") -> subprocess.CompletedProcess[str]:
    answer = mien("privacy", "consent", person, purpose, state, cwd=place)
    assert answer.returncode == 0, answer.stderr
    return answer


def logged(place: Path) -> list[str]:
    return [str(event["event"]) for event in AuditLog(state_folder(place / ROOT)).events()]


def sessions(place: Path) -> list[Path]:
    root = place / ROOT
    return [path for path in root.iterdir() if path.name != "privacy"] if root.is_dir() else []


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


class Running:
    """A live session in a process of its own, which saves into a folder and a database."""

    def __init__(self, place: Path, more: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "mien", *LIVE, "--seconds", "3600", "--person", "ada-17", "--db", "mine.db", *more]
        environment = {**os.environ, "XDG_DATA_HOME": str(place / "data")}
        self._process = subprocess.Popen(
            command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while not any((path / PARTIAL_NAME).is_file() for path in sessions(place)) or b"person" not in bytes_below(place / ROOT):
            assert self._process.poll() is None, self._process.communicate()[1]
            time.sleep(0.05)

    def ends(self) -> tuple[str, str]:
        out, errors = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, errors
        return out, errors


def test_without_a_name_or_a_yes_nothing_begins(place: Path) -> None:
    nobody = mien(*LIVE, "--seconds", "0.2", cwd=place)
    assert (nobody.returncode, "--person NAME" in nobody.stderr) == (2, True), nobody.stderr
    silent = mien(*LIVE, "--seconds", "0.2", "--person", "ada-17", cwd=place)
    assert silent.returncode == 2
    assert "ada-17 has not agreed to being read" in silent.stderr
    say(place, "show", "refused")
    refused = mien(*LIVE, "--seconds", "0.2", "--person", "ada-17", cwd=place)
    assert "ada-17 has not agreed" in refused.stderr
    assert "Traceback" not in nobody.stderr + silent.stderr + refused.stderr
    assert sessions(place) == []


def test_a_yes_to_another_notice_is_none(place: Path) -> None:
    say(place, "show", "granted")
    (place / "deployment.toml").write_text(deployment_text(LEARNING).replace("privacy@example.org", "other@example.org"))
    with pytest.raises(NotPermittedError, match="has not agreed"):
        Oversight(place / "deployment.toml", place / ROOT, "ada-17")


def test_who_agreed_to_be_shown_and_not_kept_leaves_no_file(place: Path) -> None:
    say(place, "show", "granted")
    ran = mien(*LIVE, "--seconds", "0.4", "--person", "ada-17", cwd=place)
    assert ran.returncode == 0, ran.stderr
    assert "no file of this session is made" in ran.stderr
    assert "nothing is saved" in ran.stdout
    assert sessions(place) == []


def test_a_kept_session_says_under_what_and_of_whom_and_the_log_says_so_too(place: Path) -> None:
    for purpose in ("show", "keep"):
        say(place, purpose, "granted")
    ran = mien(*LIVE, "--seconds", "0.4", "--person", "ada-17", "--db", "mine.db", cwd=place)
    assert ran.returncode == 0, ran.stderr
    assert "mien privacy notice" in ran.stderr
    (folder,) = sessions(place)
    name = json.loads((place / ROOT / "privacy" / "people.json").read_text())["ada-17"]
    summary, mark = (json.loads((folder / file).read_text()) for file in ("summary.json", "privacy.json"))
    assert (summary["policy"], summary["rule"], summary["person"]) == ("full", "learning-in-union", name)
    assert (mark["level"], mark["person"]) == ("full", name)
    listed = json.loads(mien("sessions", "show", "last", "--db", "mine.db", "--json", cwd=place).stdout)
    assert (listed["policy"], listed["person"]) == ("full", name)
    assert logged(place) == ["consent", "consent", "policy-decided", "notice-shown", "session-started", "session-ended"]
    assert mien("audit", "verify", cwd=place).returncode == 0
    assert b"ada-17" not in bytes_below(folder)


def test_withdrawing_stops_a_running_session_at_once_and_erases_it_everywhere(place: Path) -> None:
    for purpose in ("show", "keep"):
        say(place, purpose, "granted")
    running = Running(place)
    (folder,) = sessions(place)
    while folder.name.encode() not in b"".join(path.read_bytes() for path in place.glob("mine.db*")):
        time.sleep(0.05)
    say(place, "show", "withdrawn")
    out, _ = running.ends()
    assert "Consent was taken back" in out
    assert sessions(place) == []
    assert folder.name.encode() not in b"".join(path.read_bytes() for path in place.glob("mine.db*"))
    assert json.loads(out.splitlines()[-1])["frames"] == 0
    assert logged(place)[-2:] == ["session-ended", "erased"]


def test_taking_back_the_keeping_erases_and_goes_on(place: Path) -> None:
    for purpose in ("show", "keep"):
        say(place, purpose, "granted")
    running = Running(place, ("--seconds", "1000000"))
    say(place, "keep", "withdrawn")
    deadline = time.monotonic() + 30
    while sessions(place):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert running._process.poll() is None
    say(place, "show", "withdrawn")
    running.ends()
    assert sessions(place) == []


def test_own_use_asks_nobody_and_leaves_no_log(tmp_path: Path) -> None:
    ran = mien("live", "--source", "demo", "--headless", "--seconds", "0.2", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / ROOT / "privacy").exists()
