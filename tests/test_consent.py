"""Notice and consent: the notice matches the policy, and decisions have the right consequences."""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from test_policy import ROWS

from mien.errors import DataError, StorageError, UsageError
from mien.files import write_text
from mien.privacy.consent import PURPOSES, REQUIRES, STATES, ConsentLedger, Consequences
from mien.privacy.level import Level
from mien.privacy.notice import Notice, notice_for
from mien.privacy.policy import decide

NOTICE, OTHER = Notice("one"), Notice("two")


@pytest.fixture
def ledger(tmp_path: Path) -> ConsentLedger:
    return ConsentLedger(tmp_path / "privacy")


@pytest.mark.parametrize("name", ROWS)
def test_the_notice_matches_the_policy(name: str) -> None:
    deployment, level, _ = ROWS[name]
    text = notice_for(decide(deployment)).text
    assert ("which of seven expressions" in text) == (level is Level.FULL)
    assert ("does not read your expression" in text) == (level is Level.OBSERVABLES)
    assert ("this use is not permitted" in text) == (level is Level.REFUSED)
    assert (deployment.operator or "[[OPERATOR") in text
    assert ("You may withdraw your consent" in text) == (deployment.legal_basis == "consent" and level is not Level.REFUSED)
    assert ("parent or guardian" in text) == (deployment.minors and level is not Level.REFUSED)
    assert "feeling" in text or level is not Level.FULL


def test_the_notice_fits_on_a_page_and_its_version_changes_with_every_word() -> None:
    policy = decide(ROWS["learning-in-union"][0])
    notice, week = notice_for(policy), notice_for(decide(replace(ROWS["learning-in-union"][0], retention_days=7)))
    assert len(notice.text.split()) < 350
    assert notice_for(policy) == notice
    assert len({notice.version, week.version, notice_for(decide()).version}) == 3
    assert "after 7 days" in week.text


def test_silence_is_no_consent(ledger: ConsentLedger) -> None:
    assert not any(ledger.allows("Ada", purpose, NOTICE) for purpose in PURPOSES)
    assert ledger.states("Ada") == {}


def test_consent_applies_to_its_purpose_and_notice_only(ledger: ConsentLedger) -> None:
    assert ledger.record("Ada", "show", "granted", NOTICE) == Consequences()
    assert ledger.allows("Ada", "show", NOTICE)
    assert not ledger.allows("Ada", "show", OTHER)
    assert not ledger.allows("Ada", "keep", NOTICE)
    assert not ledger.allows("Bob", "show", NOTICE)


def test_a_purpose_requires_other_purposes(ledger: ConsentLedger) -> None:
    ledger.record("Ada", "research", "granted", NOTICE)
    ledger.record("Ada", "keep", "granted", NOTICE)
    assert not ledger.allows("Ada", "research", NOTICE)
    ledger.record("Ada", "show", "granted", NOTICE)
    assert ledger.allows("Ada", "research", NOTICE)
    ledger.record("Ada", "keep", "withdrawn", NOTICE)
    assert not ledger.allows("Ada", "research", NOTICE)
    assert ledger.allows("Ada", "show", NOTICE)
    assert [purpose for purpose in PURPOSES if ledger.consenting(purpose, NOTICE)] == ["show"]


@pytest.mark.parametrize("state", ["refused", "withdrawn"])
def test_a_purpose_that_was_ended_with_another_does_not_come_back_with_it(state: str, ledger: ConsentLedger) -> None:
    for purpose in ("keep", "show", "groups"):  # in any order
        ledger.record("Ada", purpose, "granted", NOTICE)
    assert ledger.allows("Ada", "keep", NOTICE)
    ledger.record("Ada", "show", state, NOTICE)
    assert ledger.states("Ada") == dict.fromkeys(("keep", "show", "groups"), (state, NOTICE.hash))
    ledger.record("Ada", "show", "granted", NOTICE)
    assert [purpose for purpose in PURPOSES if ledger.allows("Ada", purpose, NOTICE)] == ["show"]
    assert [purpose for purpose in PURPOSES if ledger.consenting(purpose, NOTICE)] == ["show"]
    ledger.record("Ada", "keep", "granted", NOTICE)
    assert ledger.allows("Ada", "keep", NOTICE)
    assert [row["state"] for row in ledger.history("Ada")].count(state) == 1  # what was said stays as it was said


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [
        ("show", Consequences(("show", "keep", "groups", "research"), erase_sessions=True, recall=True)),
        ("keep", Consequences(("keep", "research"), erase_sessions=True, recall=True)),
        ("groups", Consequences(("groups",))),
        ("research", Consequences(("research",), recall=True)),
    ],
)
@pytest.mark.parametrize("state", ["refused", "withdrawn"])
def test_consequences_of_a_refusal_or_withdrawal(purpose: str, state: str, expected: Consequences, ledger: ConsentLedger) -> None:
    for each in PURPOSES:
        ledger.record("Ada", each, "granted", NOTICE)
    assert ledger.record("Ada", purpose, state, NOTICE) == expected
    assert not any(ledger.allows("Ada", each, NOTICE) for each in expected.stop)
    assert not any(ledger.allows("Ada", each, NOTICE) for each in PURPOSES if purpose in REQUIRES[each])


def test_the_ledger_is_append_only_and_pseudonymous(ledger: ConsentLedger, tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for state in STATES:
        ledger.record("Ada Lovelace", "keep", state, NOTICE, at)
    assert [row["state"] for row in ledger.history("Ada Lovelace")] == list(STATES)
    assert ledger.history("Ada Lovelace")[0] == {
        "at": "2026-03-01T12:00:00Z",
        "purpose": "keep",
        "state": "granted",
        "notice": NOTICE.hash,
    }
    lines = (tmp_path / "privacy" / "consents.jsonl").read_bytes()
    assert b"Ada" not in lines
    assert (tmp_path / "privacy" / "people.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "privacy" / "consents.jsonl").write_bytes(lines.replace(b"refused", b"granted"))
    with pytest.raises(DataError, match=r"consents\.jsonl, line 2"):
        ledger.states("Ada Lovelace")


def test_forgetting_a_person_leaves_pseudonymous_lines(ledger: ConsentLedger, tmp_path: Path) -> None:
    ledger.record("Ada", "keep", "granted", NOTICE)
    ledger.record("Bob", "keep", "granted", NOTICE)
    before = (tmp_path / "privacy" / "consents.jsonl").read_bytes()
    assert ledger.forget("Ada")
    assert not ledger.forget("Ada")
    assert (tmp_path / "privacy" / "consents.jsonl").read_bytes() == before
    assert list(ledger.people()) == ["Bob"]
    assert ledger.history("Ada") == []
    assert ledger.random_name("Ada") == ""


@pytest.mark.parametrize(
    ("person", "purpose", "state", "named"),
    [
        ("Ada", "watch", "granted", "'watch'.* show, keep"),
        ("Ada", "show", "yes", "'yes'.* granted"),
        ("", "show", "granted", "''"),
        ("a\nb", "show", "granted", r"a\\nb"),
        ("x" * 201, "show", "granted", "200"),
    ],
)
def test_an_invalid_value_is_named(person: str, purpose: str, state: str, named: str, ledger: ConsentLedger) -> None:
    with pytest.raises(UsageError, match=named):
        ledger.record(person, purpose, state, NOTICE)
    assert ledger.people() == {}


@pytest.mark.parametrize("text", ["{", "[1]", json.dumps({"Ada": 3}), "\udcff"])
def test_a_broken_people_file_is_reported(text: str, ledger: ConsentLedger, tmp_path: Path) -> None:
    (tmp_path / "privacy").mkdir()
    (tmp_path / "privacy" / "people.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"people\.json"):
        ledger.states("Ada")


def test_a_line_that_a_kill_cut_short_blocks_no_decision(ledger: ConsentLedger, tmp_path: Path) -> None:
    ledger.record("Ada", "show", "granted", NOTICE)
    path = tmp_path / "privacy" / "consents.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert ledger.allows("Ada", "show", NOTICE)
    ledger.record("Ada", "show", "withdrawn", NOTICE)
    assert not ledger.allows("Ada", "show", NOTICE)
    path.write_bytes(path.read_bytes()[:-5])  # a line that the head has: not a kill
    with pytest.raises(DataError, match="line 2"):
        ledger.states("Ada")


def test_a_full_disk_leaves_no_half_of_a_line(ledger: ConsentLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.record("Ada", "show", "granted", NOTICE)
    path = tmp_path / "privacy" / "consents.jsonl"
    whole = path.read_bytes()

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        with pytest.raises(StorageError, match="Free some space"):
            ledger.record("Ada", "show", "withdrawn", NOTICE)
    assert path.read_bytes() == whole
    ledger.record("Ada", "show", "withdrawn", NOTICE)


def test_a_line_whose_head_cannot_be_written_has_no_effect(
    ledger: ConsentLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record("Ada", "show", "granted", NOTICE)
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).suffix == ".head":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(StorageError, match=r"consents\.jsonl\.head"):
            ledger.record("Ada", "show", "withdrawn", NOTICE)
    assert ledger.states("Ada")["show"][0] == "granted"  # as the error says
    ledger.record("Ada", "show", "withdrawn", NOTICE)
    assert [line["state"] for line in ledger.history("Ada")] == ["granted", "withdrawn"]


def test_what_a_killed_program_left_of_the_people_goes_with_the_next_change(ledger: ConsentLedger, tmp_path: Path) -> None:
    ledger.record("Ada", "show", "granted", NOTICE)
    folder = tmp_path / "privacy"
    shutil.copy(folder / "people.json", folder / ".people-abcd_123.json")
    ledger.forget("Ada")
    assert b"Ada" not in b"".join(path.read_bytes() for path in folder.iterdir())
    (folder / ".people-abcd_123.json").write_text('{"Bob')
    ledger.record("Eve", "show", "granted", NOTICE)
    assert sorted(path.name for path in folder.glob(".people*")) == []


def test_an_unknown_participant_cannot_withdraw(ledger: ConsentLedger) -> None:
    ledger.record("p-17", "keep", "granted", NOTICE)
    with pytest.raises(UsageError, match="no participant 'p-71'"):
        ledger.record("p-71", "keep", "withdrawn", NOTICE)
    assert list(ledger.people()) == ["p-17"]


def test_ctrl_c_after_a_line_was_written_breaks_no_ledger(ledger: ConsentLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*arguments: Any, **named: Any) -> None:
        write_text(*arguments, **named)
        raise KeyboardInterrupt

    ledger.record("ada", "show", "granted", NOTICE)
    with monkeypatch.context() as patch:
        patch.setattr("mien.privacy.chain.write_text", stopped)
        with pytest.raises(KeyboardInterrupt):
            ledger.record("ada", "keep", "granted", NOTICE)
    assert ledger.allows("ada", "keep", NOTICE)
    ledger.record("ada", "keep", "withdrawn", NOTICE)
    assert not ledger.allows("ada", "keep", NOTICE)


def test_storage_that_is_granted_without_what_it_requires_does_not_end_a_withdrawal(ledger: ConsentLedger) -> None:
    for purpose, state in (("show", "granted"), ("keep", "granted"), ("show", "withdrawn"), ("keep", "granted")):
        ledger.record("ada", purpose, state, NOTICE)
    assert list(ledger.withdrawals()) == [ledger.random_name("ada")]
    ledger.record("ada", "show", "granted", NOTICE)
    assert ledger.withdrawals() == {}
