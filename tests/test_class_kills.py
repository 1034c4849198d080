"""Server processes killed under load: nothing confirmed is lost, nothing is counted twice, no bin is published twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from class_load import kill


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "postgres"), [(1, False), (2, True)], ids=["SQLite", "two processes on PostgreSQL"])
def test_killed_processes_lose_nothing_and_invent_nothing(
    processes: int, postgres: bool, here: Path, yunet: Path, request: pytest.FixtureRequest
) -> None:
    if postgres:
        request.getfixturevalue("postgres")  # skips where there is none
    found = kill(3, 60, processes, postgres, bin_s=1800)
    assert found["kills"] == 3
    assert found["lost"] == 0
    assert found["confirmed"] >= 60
    assert found["stored_messages"] == found["confirmed"]  # each once


@pytest.mark.slow
def test_bins_are_closed_once_while_processes_are_killed(here: Path, yunet: Path, postgres: object) -> None:
    found = kill(4, 120, 2, True, bin_s=30)
    assert found["bins"] == list(range(len(found["bins"])))
    assert found["below_k"] == 0
    assert all(abs(value - 120) < 6 * found["noise"] for value in found["measured"])
