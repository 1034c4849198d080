"""Numbers about groups, from real session folders of people who agreed, through the command."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import reading, released
from test_cli import mien
from test_policy import OTHERS

from mien.emotions import EMOTIONS
from mien.privacy.audit_log import AuditLog
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import Deployment, deployment_text
from mien.privacy.level import Level
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.privacy.sessions import state_folder
from mien.records import HeadPose
from mien.store.keeper import SessionKeeper
from mien.store.session_folder import SessionFolder
from mien.store.session_records import KeptSession, SessionRecord

LEARNING = Deployment("learning-outside-institution", "EU", "improving-material", **OTHERS)
SCHOOL = Deployment("education-institution", "EU", "improving-material", **OTHERS)
START = datetime(2026, 11, 23, 9, tzinfo=UTC)
ROOT = Path("results/sessions")


def attend(place: Path, person: str, label: str, deployment: Deployment = LEARNING, faces: int = 1, yaw: float = 0.0) -> None:
    """Let somebody who agreed sit through two minutes, one frame a second."""
    root, notice = place / ROOT, notice_for(decide(deployment))
    ledger = ConsentLedger(state_folder(root))
    for purpose in ("show", "keep", "groups"):
        ledger.record(person, purpose, "granted", notice)
    folder = root / f"2026-11-23_09-00-00-{person}"
    session = SessionRecord(folder.name, START, folder=str(folder), person=ledger.random_name(person))
    keeper = SessionKeeper(session, [SessionFolder(folder, KeptSession(session))])
    for second in range(121):
        shown = [
            replace(reading(label, 0.9, (100.0 * k, 10, 80, 90), f"f{k}"), pose=HeadPose(yaw, 0.0, 0.0)) for k in range(faces)
        ]
        keeper.update(released(second, float(second), shown, 1.0))
    keeper.finish("ended")


def ask(place: Path, *more: str, people: int, deployment: Deployment = LEARNING) -> subprocess.CompletedProcess[str]:
    (place / "deployment.toml").write_text(deployment_text(deployment))
    rows = ["person,group", *(f"p{k},class" for k in range(people))]
    (place / "class.csv").write_text("\n".join(rows) + "\n")
    times = ("--from", START.isoformat(), "--to", (START + timedelta(minutes=2)).isoformat())
    command = ("groups", "--members", "class.csv", *times, "--deployment", "deployment.toml", "--out", "out.json", *more)
    return mien(*command, cwd=place)


def test_a_class_is_shown_and_nobody_in_it(tmp_path: Path) -> None:
    for k in range(64):  # so many that the noise, of a person or two, cannot reach the limits below once in 100,000 runs
        attend(tmp_path, f"p{k}", "happy" if k < 42 else "sad")
    answer = ask(tmp_path, people=64)
    assert answer.returncode == 0, answer.stderr
    document = json.loads((tmp_path / "out.json").read_text())
    assert [cell["people"] for cell in document["cells"]] == [60, 60]
    happy = [cell["shares"][EMOTIONS.index("happy")] for cell in document["cells"]]
    assert all(0.4 < share < 0.9 for share in happy)  # two thirds, and noise
    names = [f"p{k}" for k in range(64)] + list(ConsentLedger(state_folder(tmp_path / ROOT)).people().values())
    told = answer.stdout + json.dumps(document)
    assert not any(f'"{name}"' in told or f" {name} " in told for name in names)
    again = ask(tmp_path, people=64)
    assert again.stdout == answer.stdout
    events = [event["event"] for event in AuditLog(state_folder(tmp_path / ROOT)).events()]
    assert events == ["group-published"]


@pytest.mark.parametrize("more", [("--bin", "30"), ("-k", "5"), ("--members", "other.csv")])
def test_the_same_time_is_not_cut_twice(more: tuple[str, str], tmp_path: Path) -> None:
    for k in range(12):
        attend(tmp_path, f"p{k}", "happy")
    (tmp_path / "other.csv").write_text("person,group\n" + "".join(f"p{k},class\n" for k in range(11)))
    assert ask(tmp_path, people=12).returncode == 0
    refused = ask(tmp_path, *more, people=12)
    assert refused.returncode == 2
    assert "published already" in refused.stderr


def test_who_did_not_agree_or_shares_a_camera_is_not_counted(tmp_path: Path) -> None:
    for k in range(10):
        attend(tmp_path, f"p{k}", "happy", faces=2 if k == 9 else 1)
    answer = ask(tmp_path, people=10)
    assert "too few people" in answer.stdout
    assert json.loads(answer.stdout.splitlines()[-1])["suppressed"] == 2


def test_a_withdrawal_before_publishing_counts(tmp_path: Path) -> None:
    for k in range(10):
        attend(tmp_path, f"p{k}", "happy")
    ConsentLedger(state_folder(tmp_path / ROOT)).record("p3", "groups", "withdrawn", notice_for(decide(LEARNING)))
    assert json.loads(ask(tmp_path, people=10).stdout.splitlines()[-1])["suppressed"] == 2


def test_a_school_in_the_union_sees_where_heads_point_and_no_expression(tmp_path: Path) -> None:
    for k in range(60):
        attend(tmp_path, f"p{k}", "happy", SCHOOL, yaw=0.0 if k < 30 else 60.0)
    answer = ask(tmp_path, people=60, deployment=SCHOOL)
    assert answer.returncode == 0, answer.stderr
    document = json.loads((tmp_path / "out.json").read_text())
    assert (document["policy"], document["categories"]) == (Level.OBSERVABLES.value, ["facing the screen", "turned away"])
    assert "happy" not in answer.stdout
    assert all(0.2 < cell["shares"][0] < 0.8 for cell in document["cells"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--bin", "5"), "30 s or more"),
        (("-k", "3"), "k is 3"),
        (("--from", "yesterday"), "is no time"),
        (("--from", "2026-11-23T09:00"), "time zone"),
        (("--from", "2026-11-24T09:00+00:00"), "before it starts"),
        (("--members", "gone.csv"), "cannot read gone.csv"),
        (("--members", "deployment.toml"), "columns person and group"),
    ],
)
def test_wrong_wishes_are_refused_in_one_line(more: tuple[str, str], said: str, tmp_path: Path) -> None:
    answer = ask(tmp_path, *more, people=10)
    assert answer.returncode in (2, 3)
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_broken_memory_of_what_was_published_stops_publishing(tmp_path: Path) -> None:
    attend(tmp_path, "p0", "happy")
    (state_folder(tmp_path / ROOT) / "groups.json").write_text("[{]")
    answer = ask(tmp_path, people=10)
    assert answer.returncode == 3
    assert "nothing more is published" in answer.stderr
