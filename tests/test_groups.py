"""Numbers about groups, from real session folders of people who agreed, through the command."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import no_views, reading, released
from test_cli import mien
from test_policy import OTHERS

from mien.emotions import EMOTIONS
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import Deployment, deployment_text
from mien.privacy.level import Level
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.records import HeadPose
from mien.sessions.folder import SessionFolder
from mien.sessions.groups import GroupRequest, _shown
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import KeptSession, SessionRecord

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
    recorder = SessionRecorder(session, lambda: [SessionFolder(folder, KeptSession(session), no_views)])
    for second in range(121):
        shown = [
            replace(reading(label, 0.9, (100.0 * k, 10, 80, 90), f"f{k}"), pose=HeadPose(yaw, 0.0, 0.0)) for k in range(faces)
        ]
        recorder.update(released(second, float(second), shown, 1.0))
    recorder.finish("ended")


def ask(place: Path, *more: str, people: int, deployment: Deployment = LEARNING) -> subprocess.CompletedProcess[str]:
    (place / "deployment.toml").write_text(deployment_text(deployment))
    rows = ["person,group", *(f"p{k},class" for k in range(people))]
    (place / "class.csv").write_text("\n".join(rows) + "\n")
    times = ("--from", START.isoformat(), "--to", (START + timedelta(minutes=2)).isoformat())
    command = (
        "sessions",
        "groups",
        "--members",
        "class.csv",
        *times,
        "--deployment",
        "deployment.toml",
        "--out",
        "out.json",
        *more,
    )
    return mien(*command, cwd=place)


def test_a_class_is_shown_and_nobody_in_it(tmp_path: Path) -> None:
    for k in range(64):  # so many that the noise, of 4 people, cannot reach the limits below once in 10,000 runs
        attend(tmp_path, f"p{k}", "happy" if k < 42 else "sad")
    answer = ask(tmp_path, "--bin-s", "60", people=64)
    assert answer.returncode == 0, answer.stderr
    document = json.loads((tmp_path / "out.json").read_text())
    assert [(cell["from_s"], cell["to_s"]) for cell in document["cells"]] == [(0.0, 60.0), (60.0, 120.0)]
    assert all(44 <= cell["people"] <= 64 for cell in document["cells"])
    assert (document["noise"], document["budget_spent"]) == (4.0, round(2 / 12, 4))
    happy = [cell["shares"][EMOTIONS.index("happy")] for cell in document["cells"]]
    assert all(0.4 < share < 0.9 for share in happy)  # two thirds, and noise
    names = [f"p{k}" for k in range(64)] + list(ConsentLedger(state_folder(tmp_path / ROOT)).people().values())
    told = answer.stdout + json.dumps(document)
    assert not any(f'"{name}"' in told or f" {name} " in told for name in names)
    again = ask(tmp_path, "--bin-s", "60", people=64)
    assert again.stdout == answer.stdout
    assert not any(name in (state_folder(tmp_path / ROOT) / "groups.json").read_text() for name in names)
    events = [event["event"] for event in AuditLog(state_folder(tmp_path / ROOT)).events()]
    assert events == ["group-published"]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--bin-s", "30"), "'class'"),
        (("-k", "5"), "'class'"),
        (("--noise", "20"), "'class'"),
        (("--members", "other.csv"), "12 people"),
        (("--to", "2126-11-23T09:00Z", "--bin-s", "60"), "52,594,560 bins"),
        (("--to", "2126-11-23T09:00Z"), "3.15567e+09 s"),
    ],
)
def test_a_group_is_published_with_one_binning_and_fixed_members(more: tuple[str, ...], named: str, tmp_path: Path) -> None:
    attend(tmp_path, "p0", "happy")
    (tmp_path / "other.csv").write_text("person,group\n" + "".join(f"p{k},class\n" for k in range(11)))
    assert ask(tmp_path, people=12).returncode == 0
    refused = ask(tmp_path, *more, people=12)
    assert refused.returncode == 2
    assert named in refused.stderr
    assert [line.split()[0] for line in refused.stderr.splitlines()] == ["Under", "error:"]


def test_a_spent_budget_refuses_and_follows_people_into_other_groups(tmp_path: Path) -> None:
    attend(tmp_path, "p0", "happy")
    assert '"budget_spent": 0.3333' in ask(tmp_path, "--bin-s", "30", people=12).stdout
    later = ("--from", "2026-11-23T10:00Z", "--to", "2026-11-23T11:00Z")
    assert ask(tmp_path, *later, "--bin-s", "450", people=12).returncode == 0
    (tmp_path / "club.csv").write_text("person,group\n" + "".join(f"p{k},club\n" for k in range(11, 30)))
    refused = ask(tmp_path, "--members", "club.csv", people=12)
    assert refused.returncode == 2
    assert "1 of 19 " in refused.stderr
    assert " 0% " in refused.stderr
    assert ask(tmp_path, "--bin-s", "30", people=12).returncode == 0  # a repeated request is free


def test_who_did_not_agree_withdrew_or_shares_a_camera_is_not_counted(tmp_path: Path) -> None:
    for k in range(4):
        attend(tmp_path, f"p{k}", "happy", faces=2 if k == 1 else 1)
    notice, root = notice_for(decide(LEARNING)), tmp_path / ROOT
    ConsentLedger(state_folder(root)).record("p2", "groups", "withdrawn", notice)
    request = GroupRequest(START, START + timedelta(minutes=2), {"some": frozenset({"p0", "p1", "p2", "stranger"})})
    assert {moment[0] for moment in _shown(root, decide(LEARNING), request, EMOTIONS)} == {"p0"}


def test_a_group_in_which_hardly_anybody_was_there_is_not_shown(tmp_path: Path) -> None:
    attend(tmp_path, "p0", "happy")
    (state_folder(tmp_path / ROOT) / "noise.key").write_bytes(bytes(32))
    answer = ask(tmp_path, people=10)
    assert "too few people" in answer.stdout
    assert json.loads(answer.stdout.splitlines()[-1])["suppressed"] == 1


def test_suppressed_bins_take_one_line_and_a_dry_run_spends_nothing(tmp_path: Path) -> None:
    attend(tmp_path, "p0", "happy")
    (state_folder(tmp_path / ROOT) / "noise.key").write_bytes(bytes(32))
    tried = ask(tmp_path, "--bin-s", "30", "--dry-run", people=12)
    assert tried.returncode == 0, tried.stderr
    assert "4 bins of 30 s" in tried.stdout
    assert "To publish for the first time: class" in tried.stdout
    assert json.loads(tried.stdout.splitlines()[-1]) == {"bins": 4, "new": ["class"], "cost": 0.3333, "budget_spent": 0.0}
    answer = ask(tmp_path, "--bin-s", "30", people=12)  # the time is not used up
    hidden = json.loads(answer.stdout.splitlines()[-1])["suppressed"]
    lines = [line for line in answer.stdout.splitlines() if "suppressed: too few people" in line]
    assert 0 < len(lines) <= hidden
    if hidden == 4:
        assert len(lines) == 1
        assert "4 bins suppressed" in lines[0]
    again = ask(tmp_path, "--bin-s", "30", "--dry-run", people=12)
    assert "nothing; repeating is free" in again.stdout
    assert json.loads(again.stdout.splitlines()[-1])["cost"] == 0.0


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
    ("more", "named"),
    [
        (("--bin-s", "5"), "5 s"),
        (("--bin-s", "300"), "300 s"),
        (("-k", "3"), "k is 3"),
        (("-k", "11"), "10 people"),
        (("--noise", "0"), "noise is 0"),
        (("--bin-s", "30", "--noise", "2"), "noise of 3 people"),
        (("--from", "yesterday"), "'yesterday'"),
        (("--from", "2026-11-23T09:00"), "+01:00"),
        (("--from", "2026-11-24T09:00+00:00"), "2026-11-24"),
        (("--members", "gone.csv"), "gone.csv"),
        (("--members", "deployment.toml"), "deployment.toml"),
    ],
)
def test_invalid_options_are_refused_in_one_line(more: tuple[str, str], named: str, tmp_path: Path) -> None:
    answer = ask(tmp_path, *more, people=10)
    assert answer.returncode in (2, 3)
    assert named in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_broken_group_ledger_stops_publishing(tmp_path: Path) -> None:
    attend(tmp_path, "p0", "happy")
    (state_folder(tmp_path / ROOT) / "groups.json").write_text("[{]")
    answer = ask(tmp_path, people=10)
    assert answer.returncode == 3
    assert "groups.json" in answer.stderr
