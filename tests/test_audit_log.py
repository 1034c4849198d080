"""The audit log detects changed, removed, reordered and truncated lines, and supports concurrent writers."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import REPOSITORY, MienHere
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cli import mien

from mien.errors import DataError
from mien.privacy.audit_log import EVENTS, HASH, NUMBER, AuditLog
from mien.privacy.chain import Chain, Head, head_from


def filled(folder: Path, lines: int = 6, first: int = 0) -> AuditLog:
    log = AuditLog(folder)
    for k in range(lines):
        log.record("session-ended", datetime(2026, 3, 1, 12, 0, k, tzinfo=UTC), seconds=10 * k or first, frames=250 * k)
    return log


def test_events_come_back_in_order(tmp_path: Path) -> None:
    log = filled(tmp_path / "privacy", 3)
    assert [(row["n"], row["at"], row["event"], row["seconds"]) for row in log.events()] == [
        (1, "2026-03-01T12:00:00Z", "session-ended", 0),
        (2, "2026-03-01T12:00:01Z", "session-ended", 10),
        (3, "2026-03-01T12:00:02Z", "session-ended", 20),
    ]
    verdict = log.verify()
    assert (verdict.head.lines, verdict.fault, verdict.note) == (3, "", "")


def test_a_missing_log_is_intact(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "none")
    assert log.verify().head == Head()
    assert list(log.events()) == []
    assert list(tmp_path.iterdir()) == []


def changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"frames":500', b'"frames":501'), *lines[3:]]


def rehashed(lines: list[bytes]) -> list[bytes]:
    """Return lines with one changed by somebody who knows how its hash is made, but leaves those after it."""
    import hashlib

    row = json.loads(lines[2])
    row["frames"] = 1
    body = {key: value for key, value in row.items() if key != "hash"}
    row["hash"] = hashlib.sha256(json.dumps(body, separators=(",", ":")).encode()).hexdigest()
    return [*lines[:2], json.dumps(row, separators=(",", ":")).encode() + b"\n", *lines[3:]]


ATTACKS = {
    "changed": (changed, 2),
    "changed and rehashed": (rehashed, 3),
    "removed": (lambda lines: [*lines[:2], *lines[3:]], 2),
    "first removed": (lambda lines: lines[1:], 0),
    "reordered": (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 2),
    "doubled": (lambda lines: [*lines[:3], lines[2], *lines[3:]], 3),
    "last removed": (lambda lines: lines[:-1], 5),
    "all removed": (lambda lines: [], 0),
    "last cut short": (lambda lines: [*lines[:-1], lines[-1][:-20]], 5),
    "last line's end removed": (lambda lines: [*lines[:-1], lines[-1][:-1]], 5),
    "blanks added": (lambda lines: [*lines[:2], lines[2].replace(b",", b", "), *lines[3:]], 2),
    "garbage": (lambda lines: [*lines[:4], b"\xff\x00\n", *lines[4:]], 4),
    "another kind of JSON": (lambda lines: [*lines[:4], b"[1,2]\n", *lines[4:]], 4),
    "deep JSON": (lambda lines: [*lines[:4], b"[" * 50_000 + b"\n", *lines[4:]], 4),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_found_at_its_line(name: str, tmp_path: Path) -> None:
    attack, whole = ATTACKS[name]
    log = filled(tmp_path)
    log.path.write_bytes(b"".join(attack(log.path.read_bytes().splitlines(keepends=True))))
    verdict = log.verify()
    assert verdict.fault
    assert verdict.head.lines == whole


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_single_byte_can_be_changed_unseen(data: st.DataObject, tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    if not log.path.exists():
        filled(tmp_path)
    whole = log.path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    try:
        log.path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        assert log.verify().fault
    finally:
        log.path.write_bytes(whole)


def test_a_head_stored_elsewhere_detects_a_rewritten_log(tmp_path: Path) -> None:
    log = filled(tmp_path)
    kept = log.verify().head
    log.record("exported", sessions=1)
    assert log.verify(kept).fault == ""
    log.path.unlink()
    log.path.with_name("audit.jsonl.head").unlink()
    filled(tmp_path, 9, first=5)  # another first event, then the same ones
    assert log.verify().fault == ""
    assert str(kept) in log.verify(kept).fault
    with pytest.raises(DataError, match="7:abc"):
        head_from("7:abc")


def test_a_missing_head_is_found(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.path.with_name("audit.jsonl.head").unlink()
    assert "audit.jsonl.head" in log.verify().fault
    log.path.with_name("audit.jsonl.head").write_text("nonsense")
    with pytest.raises(DataError, match="nonsense"):
        log.verify()


def test_a_kill_within_a_line_loses_only_that_line(tmp_path: Path) -> None:
    log = filled(tmp_path)
    with log.path.open("ab") as handle:
        handle.write(b'{"n":7,"at":"2026-')
    verdict = log.verify()
    assert (verdict.fault, verdict.head.lines) == ("", 6)
    assert verdict.note
    log.record("exported", sessions=1)
    assert [row["n"] for row in log.events()] == [1, 2, 3, 4, 5, 6, 7]
    assert log.verify().note == ""


def test_a_kill_between_the_line_and_the_head_loses_nothing(tmp_path: Path) -> None:
    log = filled(tmp_path)
    head_path = log.path.with_name("audit.jsonl.head")
    before = head_path.read_text()
    log.record("exported", sessions=1)
    head_path.write_text(before)
    assert log.verify().note.startswith("1 ")
    log.record("exported", sessions=2)
    assert [row.get("sessions") for row in log.events()][-2:] == [1, 2]
    assert log.verify().note == ""


def test_nothing_is_appended_to_a_truncated_log(tmp_path: Path) -> None:
    log = filled(tmp_path)
    cut = b"".join(log.path.read_bytes().splitlines(keepends=True)[:-1])
    log.path.write_bytes(cut)
    with pytest.raises(DataError, match=r"audit\.jsonl, line 6"):
        log.record("exported", sessions=1)
    assert log.path.read_bytes() == cut


WRITER = """
import sys
from pathlib import Path
from threading import Thread
from mien.privacy.audit_log import AuditLog

def write(log):
    for k in range(15):
        log.record("session-ended", seconds=int(sys.argv[2]), frames=k)

log = AuditLog(Path(sys.argv[1]))
threads = [Thread(target=write, args=(log,)) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_concurrent_writers_make_one_intact_log(tmp_path: Path) -> None:
    runs = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(k)], cwd=REPOSITORY) for k in range(4)]
    assert [run.wait(timeout=900) for run in runs] == [0] * 4
    log = AuditLog(tmp_path)
    assert log.verify().fault == ""
    rows = list(log.events())
    assert [row["n"] for row in rows] == list(range(1, 121))
    for writer in range(4):
        assert sorted(row["frames"] for row in rows if row["seconds"] == writer) == sorted([*range(15), *range(15)])


PERSONAL = ("Ada Lovelace", "ada@example.org", "results/sessions/2026-03-01_12-00-00", "../x", "", "a" * 63, "A" * 64)


@pytest.mark.parametrize("event", EVENTS)
def test_no_field_takes_free_text(event: str, tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    right = {name: 3 if kind is NUMBER else "f" * 64 if kind is HASH else kind[0] for name, kind in EVENTS[event].items()}
    log.record(event, **right)
    for name in right:
        for words in (*PERSONAL, -1, True, 10**16):
            with pytest.raises(ValueError, match=name):
                log.record(event, **{**right, name: words})
    with pytest.raises(ValueError, match="takes"):
        log.record(event, **right, person="Ada")
    assert len(list(log.events())) == 1


def test_another_event_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="was-sad"):
        AuditLog(tmp_path).record("was-sad")
    with pytest.raises(ValueError, match="'n'"):
        Chain(tmp_path / "x.jsonl").append({"n": 3})
    with pytest.raises(ValueError, match="65536"):
        Chain(tmp_path / "x.jsonl").append({"text": "x" * 100_000})


def test_the_command_verifies_the_log_and_reports_faults(tmp_path: Path) -> None:
    log = filled(tmp_path / "results" / "sessions" / "privacy")
    answer = mien("privacy", "log", "verify", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "6 events" in answer.stdout
    head = answer.stdout.splitlines()[-1].removeprefix("head ")
    assert mien("privacy", "log", "verify", "--head", head, cwd=tmp_path).returncode == 0
    shown = mien("privacy", "log", "show", cwd=tmp_path).stdout.splitlines()
    assert json.loads(shown[-1]) == {
        "n": 6,
        "at": "2026-03-01T12:00:05Z",
        "event": "session-ended",
        "seconds": 50,
        "frames": 1250,
    }
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    broken = mien("privacy", "log", "verify", cwd=tmp_path)
    assert broken.returncode == 3
    assert "audit.jsonl" in broken.stderr
    assert "expected 3" in broken.stderr
    assert mien("privacy", "log", "verify", "--head", "12:zz", cwd=tmp_path).returncode == 3


@pytest.mark.parametrize("command", ["verify", "show"])
def test_a_command_in_the_wrong_folder_says_that_there_is_no_log(command: str, mien_here: MienHere, here: Path) -> None:
    path = here / "results" / "sessions" / "privacy" / "audit.jsonl"
    code, out, err = mien_here("privacy", "log", command)
    assert (code, out) == (3, "")
    assert f"no audit log at {path}" in err
    assert "--sessions" in err
    filled(path.parent)
    path.unlink()  # its head stays
    code, out, err = mien_here("privacy", "log", command)
    assert (code, out) == (3, "")
    assert "its head 6" in err
