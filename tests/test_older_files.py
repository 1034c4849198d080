"""Files that version 0.1 wrote are still read. ``tests/fixtures/v0_1`` was made by that version and is never made again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import REPOSITORY
from kept_sessions import kept

from mien.emotions import EMOTIONS
from mien.messaging.outbox import Outbox
from mien.privacy.audit_log import AuditLog
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import read_deployment
from mien.sessions.archive import Archive
from mien.sessions.database import Database
from mien.sessions.records import TransitionRecord
from mien.states.rules_file import read_rules
from mien.summaries.views import write_views

FULL, KILLED = "2026-03-04_09-30-00-full", "2026-03-04_10-30-00-kill"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a copy of the files: reading some of them changes them."""
    copy = tmp_path / "v0_1"
    shutil.copytree(REPOSITORY / "tests/fixtures/v0_1", copy)
    return copy


def test_a_finished_session(old: Path) -> None:
    archive = Archive(old / "sessions")
    assert [(found.record.session_id, found.record.state) for found in archive.sessions()] == [
        (FULL, "ended"),
        (KILLED, "recovered"),
    ]
    found = archive.load(archive.find(FULL), write_views)
    session = found.session
    assert (session.frames, session.frames_with_face, session.faces_max) == (40, 35, 2)
    assert (session.readings, session.unread, session.dropped) == (35, {"too small": 10}, 1)
    assert (session.model, session.version, session.policy) == ("mien-s", "0.1", "full")
    assert {name: round(s, 3) for name, s in zip(EMOTIONS, found.label_s, strict=True) if s} == {"happy": 1.5, "sad": 2.0}
    assert found.transitions == (TransitionRecord("happy", "sad", 1),)
    assert [(track.track_id, track.readings, round(track.away_s, 3)) for track in found.tracks] == [
        ("k3f9", 35, 0.4),
        ("b2aa", 0, 0),
    ]
    assert sum(row.empty_s for row in found.intervals) == pytest.approx(0.5)
    assert [(event.kind, event.track_id, event.details["rule"]) for event in found.events] == [("intervention", "k3f9", "pause")]
    assert (found.session.presence_share, found.more["dwell"]["happy"]["count"]) == (0.875, 1)


def test_a_session_that_was_killed(old: Path) -> None:
    archive = Archive(old / "sessions")
    found = archive.load(archive.find(KILLED), write_views)
    assert (found.session.state, found.session.readings, found.session.unread) == ("recovered", 35, {"too small": 10})
    assert (found.session.frames, found.session.frames_with_face) == (40, 35)
    assert found.face_s == pytest.approx(3.5, abs=0.15)
    assert found.transitions == (TransitionRecord("happy", "sad", 1),)
    assert len(found.events) == 1
    assert (old / "sessions" / KILLED / "summary.json").is_file()


def test_a_database(old: Path) -> None:
    database = Database(f"sqlite:///{old / 'sessions.db'}")
    assert [session.session_id for session in database.sessions()] == ["2026-03-04_09-30-00-data", "2026-03-05_09-30-00-data"]
    found, observed = (database.load(session.session_id) for session in database.sessions())
    assert found == kept("2026-03-04_09-30-00-data", folder="results/s1")
    assert observed is not None
    assert (observed.session.person, observed.face_s, observed.session.has_expressions) == ("p-1", 0.0, False)
    database.close()


def test_an_outbox(old: Path) -> None:
    outbox = Outbox(old / "outbox.db", "webhook https://example.org/hook", clock=lambda: 1.8e9 + 60)  # a minute later
    states = ("waiting", "sent", "refused")
    assert {state: outbox.count(state) for state in states} == dict.fromkeys(states, 1)
    assert outbox.reasons() == ["400 Bad Request"]
    (message,) = outbox.take(5)
    assert (message.message_id, message.body, message.attempts) == ("m-waiting", '{"n": "m-waiting"}', 1)
    outbox.put("m-sent", "a second time")
    assert {state: outbox.count(state) for state in states} == dict.fromkeys(states, 1)
    outbox.close()


def test_a_consent_ledger_and_an_audit_log(old: Path) -> None:
    folder = old / "sessions" / "privacy"
    ledger, log = ConsentLedger(folder), AuditLog(folder)
    said = {person: {purpose: state for purpose, (state, _) in ledger.states(person).items()} for person in ledger.people()}
    assert said == {"learner-17": {"show": "granted", "keep": "granted"}, "learner-18": {"show": "withdrawn"}}
    assert [event["event"] for event in log.events()] == ["consent"] * 4 + ["exported"]
    assert not log.verify().fault
    log.record("exported", sessions=2)
    assert not log.verify().fault


def test_a_declaration(old: Path) -> None:
    found = read_deployment(old / "deployment.toml")
    assert (found.context, found.jurisdiction, found.purpose) == ("research", "UK", "research")
    assert (found.minors, found.legal_basis, found.retention_days, found.approval) == (False, "consent", 30, "EC-2026-7")


def test_a_file_of_rules(old: Path) -> None:
    rules = read_rules(old / "rules.toml")
    assert {rule.kind for rule in rules.rules} == {"observable", "confusion", "frustration", "boredom", "lost-attention"}
    assert [rule.name for rule in rules.rules] == re.findall(r'^name = "(.*)"', (old / "rules.toml").read_text(), re.MULTILINE)
    assert (rules.max_per_hour, len(rules.sources)) == (4, 9)
