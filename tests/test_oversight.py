"""Real sessions under a declaration: consent is required before, checked while running, and everything is logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_cli import mien
from test_policy import OTHERS

from mien.errors import DeviceError, NotPermittedError
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import Deployment, deployment_text
from mien.privacy.notice import notice_for
from mien.privacy.oversight import Oversight
from mien.privacy.policy import policy_here
from mien.records import Frame, Snapshot
from mien.session import Session
from mien.sessions.folder import SessionFolder
from mien.sessions.layout import PARTIAL_NAME
from mien.sessions.records import KeptSession
from mien.settings import LiveSettings
from mien.summaries.text import summary_text
from mien.views.view import Command

LEARNING = Deployment("learning-outside-institution", "EU", "feedback-to-the-learner", **OTHERS)
LIVE = ("live", "--source", "demo", "--headless", "--deployment", "deployment.toml")
ROOT = Path("results/sessions")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a declaration whose legal basis is consent."""
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
    """A live session in a separate process, stored in a folder and a database."""

    def __init__(self, place: Path, more: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "mien", *LIVE, "--duration-s", "3600", "--person", "ada-17", "--db", "mine.db", *more]
        environment = {**os.environ, "XDG_DATA_HOME": str(place / "data")}
        self._process = subprocess.Popen(
            command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while not any((path / PARTIAL_NAME).is_file() for path in sessions(place)) or b"person" not in bytes_below(place / ROOT):
            assert self._process.poll() is None, self._process.communicate()[1]
            time.sleep(0.05)

    def ends(self) -> tuple[str, str]:
        out, errors = self._process.communicate(timeout=900)
        assert self._process.returncode == 0, errors
        return out, errors


def test_no_session_starts_without_a_participant_or_consent(place: Path) -> None:
    nobody = mien(*LIVE, "--duration-s", "0.2", cwd=place)
    assert (nobody.returncode, "--person" in nobody.stderr) == (2, True), nobody.stderr
    silent = mien(*LIVE, "--duration-s", "0.2", "--person", "ada-17", cwd=place)
    assert silent.returncode == 2
    assert "ada-17" in silent.stderr
    say(place, "show", "refused")
    refused = mien(*LIVE, "--duration-s", "0.2", "--person", "ada-17", cwd=place)
    assert (refused.returncode, "ada-17" in refused.stderr) == (2, True)
    assert "Traceback" not in nobody.stderr + silent.stderr + refused.stderr
    assert sessions(place) == []


def test_consent_to_another_notice_does_not_count(place: Path) -> None:
    say(place, "show", "granted")
    (place / "deployment.toml").write_text(deployment_text(LEARNING).replace("privacy@example.org", "other@example.org"))
    with pytest.raises(NotPermittedError, match="ada-17"):
        Oversight(place / "deployment.toml", place / ROOT, "ada-17")


def test_without_consent_to_storage_no_file_is_written(place: Path) -> None:
    say(place, "show", "granted")
    ran = mien(*LIVE, "--duration-s", "0.4", "--person", "ada-17", cwd=place)
    assert ran.returncode == 0, ran.stderr
    assert "ada-17" in ran.stderr
    assert sessions(place) == []
    assert "this session was not stored" in ran.stdout
    assert "results/sessions" not in ran.stdout
    assert json.loads(ran.stdout.splitlines()[-1])["out"] is None


def test_a_stored_session_records_policy_and_pseudonym_and_is_logged(place: Path) -> None:
    for purpose in ("show", "keep"):
        say(place, purpose, "granted")
    ran = mien(*LIVE, "--duration-s", "0.4", "--person", "ada-17", "--db", "mine.db", cwd=place)
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
    assert mien("privacy", "log", "verify", cwd=place).returncode == 0
    assert b"ada-17" not in bytes_below(folder)


def test_a_withdrawal_stops_and_erases_a_running_session(place: Path) -> None:
    for purpose in ("show", "keep"):
        say(place, purpose, "granted")
    running = Running(place)
    (folder,) = sessions(place)
    while folder.name.encode() not in b"".join(path.read_bytes() for path in place.glob("mine.db*")):
        time.sleep(0.05)
    say(place, "show", "withdrawn")
    out, _ = running.ends()
    assert "Consent was withdrawn" in out
    assert sessions(place) == []
    assert folder.name.encode() not in b"".join(path.read_bytes() for path in place.glob("mine.db*"))
    assert json.loads(out.splitlines()[-1])["frames"] == 0
    assert logged(place)[-2:] == ["session-ended", "erased"]


def test_a_withdrawal_of_storage_erases_and_the_session_continues(place: Path) -> None:
    for purpose in ("show", "keep"):
        say(place, purpose, "granted")
    running = Running(place, ("--duration-s", "1000000"))
    say(place, "keep", "withdrawn")
    deadline = time.monotonic() + 600
    while sessions(place):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert running._process.poll() is None
    say(place, "show", "withdrawn")
    running.ends()
    assert sessions(place) == []


def test_own_use_needs_no_consent_and_is_not_logged(tmp_path: Path) -> None:
    ran = mien("live", "--source", "demo", "--headless", "--duration-s", "0.2", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / ROOT / "privacy").exists()


def test_a_withdrawal_while_the_summary_is_written_erases_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for purpose in ("show", "keep"):
        say(place, purpose, "granted")
    monkeypatch.chdir(place)
    finish = SessionFolder.finish

    def late(folder: SessionFolder, kept: KeptSession) -> Sequence[str]:
        names = finish(folder, kept)
        say(place, "show", "withdrawn")
        return names

    monkeypatch.setattr(SessionFolder, "finish", late)
    settings = LiveSettings(
        source="demo",
        out=ROOT / "2026-03-04_09-30-00-k3f9",
        model="mien-xs",
        view="none",
        seconds=0.4,
        deployment=Path("deployment.toml"),
        person="ada-17",
    )
    assert Session(settings).run()["withdrawn"]
    assert sessions(place) == []


class PressingView:
    """A view in which commands are given with the first frame; the consent ledger is damaged when the view is closed."""

    stays = False

    def __init__(self, ledger: Path, *commands: Command) -> None:
        self._ledger, self._commands = ledger, commands

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        return self._commands if snapshot.frames else ()

    def close(self) -> None:
        self._ledger.write_text("garbage\n")


def run_until(commands: Sequence[Command], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a session that is stored, with a ledger that is damaged at its end, and return its summary."""
    ledger = ConsentLedger(state_folder(ROOT))
    for purpose in ("show", "keep"):
        ledger.record("ada-17", purpose, "granted", notice_for(policy_here(Path("deployment.toml"))[0]))
    path = state_folder(ROOT) / "consents.jsonl"
    monkeypatch.setattr("mien.session.open_view", lambda name: PressingView(path, *commands))
    settings = LiveSettings(
        source="demo",
        out=ROOT / "2026-03-04_09-30-00-k3f9",
        model="mien-xs",
        view="terminal",
        seconds=5.0,
        deployment=Path("deployment.toml"),
        person="ada-17",
    )
    return Session(settings).run()


def test_a_withdrawal_that_cannot_be_recorded_still_erases_the_session(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    summary = run_until([Command.WITHDRAW, Command.WITHDRAW], monkeypatch)
    assert summary["withdrawn"]
    assert sessions(place) == []
    assert ["the withdrawal was not recorded" in reason for reason in summary["not_erased"]] == [True]
    assert "the withdrawal was not recorded" in summary_text(summary)
    assert logged(place)[-2:] == ["erased", "consent"]


def test_a_session_whose_ledger_is_damaged_at_its_end_is_stored(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    summary = run_until([Command.QUIT], monkeypatch)
    assert ["consents.jsonl" in reason for reason in summary["missing"]] == [True]
    assert "summary.json" in summary["files"]
    assert not (sessions(place)[0] / PARTIAL_NAME).exists()


def test_an_erasure_that_failed_is_not_logged_as_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    ledger, notice = ConsentLedger(state_folder(ROOT)), notice_for(policy_here(Path("deployment.toml"))[0])
    for purpose in ("show", "keep"):
        ledger.record("ada-17", purpose, "granted", notice)

    def refused(folder: SessionFolder, *, findable: bool = False) -> int:
        ledger.record("ada-17", "show", "withdrawn", notice)
        raise DeviceError("cannot erase observations.csv")

    monkeypatch.setattr("mien.session.open_view", lambda name: PressingView(place / "unused", Command.WITHDRAW, Command.WITHDRAW))
    monkeypatch.setattr(SessionFolder, "erase", refused)
    settings = LiveSettings(
        source="demo", out=ROOT / "s", model="mien-xs", view="terminal", deployment=Path("deployment.toml"), person="ada-17"
    )
    summary = Session(settings).run()
    assert (summary["missing"], summary["not_erased"]) == ([], ["cannot erase observations.csv"])
    assert "Not everything was erased or recorded:\ncannot erase observations.csv" in summary_text(summary)
    assert "erased" not in logged(place)
