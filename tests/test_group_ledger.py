"""The ledger of published groups: budgets that kills, races, lost files and old versions do not reset."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.errors import DataError, UsageError
from mien.privacy.aggregates import Binning
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.privacy.group_ledger import GroupLedger, TimedCategory
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.privacy.publications import COURSE_BUDGET
from mien.sessions.archive import Archive
from mien.sessions.rights import Rights

CUT = Binning(1_795_000_000.0, 60.0, 1, 5, 4.0, ("facing", "away"))
CLASS = frozenset(f"person {number}" for number in range(12))


def nothing() -> list[TimedCategory]:
    return []


def minute(number: int, **changes: Any) -> Binning:
    return replace(CUT, start_s=CUT.start_s + 60 * number, **changes)


def test_a_budget_is_spent_bin_by_bin_and_then_refuses(tmp_path: Path) -> None:
    ledger = GroupLedger(tmp_path)
    for number in range(12):
        ledger.publish(minute(number), {"class": CLASS}, nothing)
        assert ledger.spent(CLASS) == pytest.approx((number + 1) / 12)
    before = ledger.path.read_bytes()
    with pytest.raises(UsageError, match=r"12 of 12 .* 8% .* 0%"):
        ledger.publish(minute(12), {"class": CLASS}, nothing)
    with pytest.raises(UsageError, match="1 of 8 "):
        ledger.publish(minute(50), {"others": frozenset([*"abcdefg", "person 3"])}, nothing)
    assert ledger.path.read_bytes() == before
    ledger.publish(minute(50), {"others": frozenset("abcdefg")}, nothing)


def test_a_person_in_two_groups_is_charged_twice(tmp_path: Path) -> None:
    ledger = GroupLedger(tmp_path)
    groups = {"class": CLASS, "front row": frozenset(sorted(CLASS)[:5])}
    ledger.publish(replace(CUT, bins=6), groups, nothing)
    assert ledger.spent([sorted(CLASS)[0]]) == 1
    assert ledger.spent([sorted(CLASS)[11]]) == 0.5
    with pytest.raises(UsageError, match="5 of 12 "):
        ledger.publish(minute(6), groups, nothing)
    assert ledger.publish(minute(6, bins=6), {"back row": CLASS - groups["front row"]}, nothing)


def test_a_repeated_request_is_free_and_reads_nothing(tmp_path: Path) -> None:
    def fails() -> list[TimedCategory]:
        raise AssertionError("was asked for")

    ledger, groups = GroupLedger(tmp_path), {"class": CLASS, "club": frozenset("abcde")}
    moments = [(person, CUT.start_s, "facing", 60.0) for person in CLASS]
    cells = ledger.publish(CUT, groups, lambda: moments)
    assert ledger.publish(CUT, groups, fails) == cells
    assert ledger.publish(CUT, {"class": CLASS}, fails) == tuple(cell for cell in cells if cell.group == "class")
    assert ledger.spent(CLASS) == pytest.approx(1 / 12)
    # even if the ledger and the log are lost, the noise is the same
    for name in ("groups.json", "audit.jsonl", "audit.jsonl.head"):
        (tmp_path / name).unlink()
    assert ledger.publish(CUT, groups, lambda: moments) == cells


@pytest.mark.parametrize(
    ("cut", "groups", "named"),
    [
        (minute(1), {"class": CLASS | {"one more"}}, r"'class'.* 12 people.* 1 .* 0 "),
        (minute(1), {"class": frozenset(sorted(CLASS)[1:])}, r"'class'.* 12 people.* 0 .* 1 "),
        (minute(0, noise=5.0), {"class": CLASS}, r"'class'.* 1 bins of 60 s from 2026-11-18T"),
        (replace(CUT, start_s=CUT.start_s + 59), {"class": CLASS}, r"'class'.* 1 bins of 60 s"),
        (minute(1), {"new": frozenset("abcd")}, "'new' has 4 people"),
    ],
)
def test_a_group_has_fixed_members_and_each_time_is_published_once(
    cut: Binning, groups: dict[str, frozenset[str]], named: str, tmp_path: Path
) -> None:
    ledger = GroupLedger(tmp_path)
    ledger.publish(CUT, {"class": CLASS}, nothing)
    with pytest.raises(UsageError, match=named):
        ledger.publish(cut, groups | {"fresh": frozenset("vwxyz")}, nothing)
    assert ledger.spent("vwxyz") == 0  # refused as a whole


@pytest.mark.parametrize("start_s", [-62_135_600_000.0, -1.0, 253_402_300_000.0, 1e15])
def test_a_time_out_of_range_is_refused(start_s: float, tmp_path: Path) -> None:
    ledger = GroupLedger(tmp_path)
    with pytest.raises(UsageError, match="1970"):
        ledger.publish(replace(CUT, start_s=start_s), {"class": CLASS}, nothing)
    ledger.publish(CUT, {"class": CLASS}, nothing)


# what must not reset a budget


def test_a_lost_older_or_foreign_ledger_stops_publishing(tmp_path: Path) -> None:
    ledger = GroupLedger(tmp_path)
    ledger.publish(minute(0), {"class": CLASS}, nothing)
    older = ledger.path.read_bytes()
    ledger.publish(minute(1), {"class": CLASS}, nothing)
    ledger.path.write_bytes(older)
    with pytest.raises(DataError, match="1 publications, the audit log 2"):
        ledger.publish(minute(2), {"class": CLASS}, nothing)
    ledger.path.unlink()
    with pytest.raises(DataError, match="0 publications, the audit log 2"):
        ledger.publish(minute(2), {"class": CLASS}, nothing)
    (tmp_path / "noise.key").unlink()
    ledger.path.write_bytes(older)
    with pytest.raises(DataError, match=r"noise\.key"):
        ledger.publish(minute(2), {"class": CLASS}, nothing)


@pytest.mark.parametrize("left", ["nothing", "no file", "first line"])
def test_a_log_that_was_cut_resets_no_budget_however_often_it_is_asked(left: str, tmp_path: Path) -> None:
    ledger = GroupLedger(tmp_path)
    ledger.publish(minute(0), {"class": CLASS}, nothing)
    older, log = ledger.path.read_bytes(), tmp_path / "audit.jsonl"
    ledger.publish(minute(1), {"class": CLASS}, nothing)
    if left == "first line":
        ledger.path.write_bytes(older)
    else:
        ledger.path.unlink()
    if left == "no file":
        log.unlink()
    else:
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[: left == "first line"]))
    for _ in range(3):
        with pytest.raises(DataError, match=r"audit\.jsonl"):
            ledger.publish(minute(2), {"class": CLASS}, nothing)
    assert not ledger.path.exists() or ledger.path.read_bytes() == older


def broken(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        document = json.loads(text)
        other = change(document["publications"][0])
        return json.dumps(document if other is None else other)

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: "[" * 100_000,
        lambda text: '{"format": "mien-groups-3", "publications": []}',
        lambda text: "7",
        lambda text: "[{}]",
        lambda text: text.replace('"noise": 4.0', '"noise": NaN'),
        lambda text: text.replace('"noise": 4.0', '"noise": 1e-200'),
        lambda text: text.replace('"noise": 4.0', '"noise": true'),
        lambda text: text.replace('"start_s": 1795000000.0', '"start_s": 1e300'),
        lambda text: text.replace('"bins": 1', '"bins": ' + "9" * 400),
        lambda text: text.replace('"bin_s": 60.0', '"bin_s": 0'),
        broken(lambda row: row.update(members=None)),
        broken(lambda row: row.update(members=[1])),
        broken(lambda row: row.update(cells=[[]])),
        broken(lambda row: row["cells"][0].update(group="another class")),
        broken(lambda row: row.update(group="another class")),
        broken(lambda row: row["cut"].update(categories=7)),
        broken(lambda row: [{"asked": {"start": 0, "end": 9, "bin_s": 0, "k": 5, "groups": {}, "categories": []}, "cells": []}]),
        broken(lambda row: [{"asked": {"start": 0, "end": 9, "bin_s": 1, "k": 5, "groups": [], "categories": []}, "cells": []}]),
    ],
)
def test_a_broken_ledger_stops_publishing_in_one_line(change: Callable[[str], str], tmp_path: Path) -> None:
    ledger = GroupLedger(tmp_path)
    ledger.publish(CUT, {"class": CLASS}, nothing)
    ledger.path.write_text(change(ledger.path.read_text()))
    with pytest.raises(DataError, match=r"groups\.json"):
        ledger.publish(minute(1), {"class": CLASS}, nothing)


WORKER = """
import sys
from pathlib import Path
from mien.errors import UsageError
from mien.privacy.aggregates import Binning
from mien.privacy.group_ledger import GroupLedger

ledger, name, same = GroupLedger(Path(sys.argv[1])), sys.argv[2], sys.argv[3] == "same"
print("ready", flush=True)
for number in range(12 if same else 10_000):
    cut = Binning(1_795_000_000.0 + 60 * number, 60.0, 1, 5, 4.0, ("facing", "away"))
    people = frozenset(f"person {k}" if same else f"{name} {number} {k}" for k in range(5))
    try:
        ledger.publish(cut, {f"{name} {number}": people}, list)
    except UsageError:
        continue
    print("published", name, number, flush=True)
"""


def worker(folder: Path, name: str, people: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), name, people]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_runs_at_the_same_time_share_one_budget(tmp_path: Path) -> None:
    workers = [worker(tmp_path, name, "same") for name in "abc"]
    told = [process.communicate(timeout=900) for process in workers]
    assert [errors for _, errors in told] == ["", "", ""]
    assert sum(output.count("published") for output, _ in told) == round(COURSE_BUDGET * 16) == 12
    assert len(json.loads((tmp_path / "groups.json").read_text())["publications"]) == 12


def test_what_was_handed_out_before_a_kill_is_in_the_ledger(tmp_path: Path) -> None:
    chance, handed_out = random.Random(3), set()
    for number in range(6):
        process = worker(tmp_path, f"run{number}", "others")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        output, errors = process.communicate()
        assert errors == ""
        handed_out |= {line.removeprefix("published ") for line in output.splitlines() if line.startswith("published")}
    assert handed_out
    document = json.loads((tmp_path / "groups.json").read_text())
    assert handed_out <= {row["group"] for row in document["publications"]}
    GroupLedger(tmp_path).publish(CUT, {"class": CLASS}, nothing)  # and the next one goes on
    assert AuditLog(tmp_path).verify().fault == ""


# what older versions left


def old_ledger(folder: Path, people: list[str]) -> dict[str, Any]:
    """Write what a version without a budget wrote, and return what it published."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"start": CUT.start_s, "end": CUT.start_s + 130, "groups": {"class": people}, "bin_s": 60.0, "k": 5}
    cells = [
        {"group": "class", "from_s": 0.0, "to_s": 60.0, "people": 10, "shares": [0.75, 0.25]},
        {"group": "class", "from_s": 60.0, "to_s": 120.0, "people": 0, "shares": None},
    ]
    document = [{"asked": asked | {"categories": ["facing", "away"]}, "cells": cells}]
    (folder / "groups.json").write_text(json.dumps(document, indent=2))
    AuditLog(folder).record("group-published", groups=1, bins=2, suppressed=1, k=5)
    return document[0]


def test_an_old_ledger_is_read_and_its_people_have_no_budget_left(tmp_path: Path) -> None:
    published = old_ledger(tmp_path, sorted(CLASS))
    ledger = GroupLedger(tmp_path)
    cells = ledger.publish(replace(CUT, bins=2), {"class": CLASS}, nothing)
    assert [cell.shares for cell in cells] == [(0.75, 0.25), None]
    assert [cell.people for cell in cells] == [cell["people"] for cell in published["cells"]]
    with pytest.raises(UsageError, match=r"12 of 12 .* 0%"):
        ledger.publish(minute(2), {"class": CLASS}, nothing)
    with pytest.raises(UsageError, match="2 bins of 60 s from 2026-11-18"):
        ledger.publish(CUT, {"class": CLASS}, nothing)
    ledger.publish(minute(2), {"others": frozenset("abcde")}, nothing)
    assert "person 3" not in ledger.path.read_text()
    assert ledger.publish(replace(CUT, bins=2), {"class": CLASS}, nothing) == cells


def test_erasing_a_person_takes_the_name_out_of_an_old_ledger_and_keeps_the_budget_spent(tmp_path: Path) -> None:
    root = tmp_path / "sessions"
    rights = Rights(Archive(root))
    rights.record_consent("Ada Lovelace", "show", "granted", notice_for(decide()))
    old_ledger(state_folder(root), [*sorted(CLASS), "Ada Lovelace"])
    rights.erase_person("Ada Lovelace")
    assert b"Ada" not in b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert GroupLedger(state_folder(root)).spent(["Ada Lovelace"]) == 1
    rights.record_consent("Bob", "show", "granted", notice_for(decide()))
    rights.erase_person("Bob")
    assert (state_folder(root) / "groups.json").is_file()
