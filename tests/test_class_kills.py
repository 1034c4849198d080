"""Server processes killed under load: nothing confirmed is lost, nothing is counted twice, no bin is published twice.

Ten kills; ``benchmarks/class_load.py --kills 20`` makes more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from class_load import LONG_BIN_S, faults, kill


@pytest.mark.parametrize(
    "changes",
    [{"lost": 1}, {"bins": [0, 2]}, {"bins": [0, 1, 1]}, {"below_k": 1}, {"measured": [120, 20]}, {"stored_messages": 241.0}],
    ids=str,
)
def test_each_fault_is_found(changes: dict[str, Any]) -> None:
    right = {"lost": 0, "bins": [0, 1], "below_k": 0, "measured": [119, 123], "noise": 6.0, "stored_messages": 240.0}
    right["confirmed"] = 240
    assert faults(right, 120, LONG_BIN_S) == []
    assert len(faults(right | changes, 120, LONG_BIN_S)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "postgres"), [(1, False), (2, True)], ids=["SQLite", "two processes on PostgreSQL"])
def test_killed_processes_lose_nothing_and_invent_nothing(
    processes: int, postgres: bool, here: Path, yunet: Path, request: pytest.FixtureRequest
) -> None:
    if postgres:
        request.getfixturevalue("postgres")  # skips where there is none
    found = kill(3, 60, processes, postgres, bin_s=LONG_BIN_S)
    assert found["kills"] == 3
    assert found["confirmed"] >= 60
    assert faults(found, 60, LONG_BIN_S) == []


@pytest.mark.slow
def test_bins_are_closed_once_while_processes_are_killed(here: Path, yunet: Path, postgres: object) -> None:
    found = kill(4, 120, 2, True, bin_s=30)
    assert found["kills"] == 4
    assert faults(found, 120, 30) == []
