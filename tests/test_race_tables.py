"""Known answers of two racers give known numbers and a table of them; what the command refuses."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import race
from conftest import REPOSITORY
from peers import ABSENT
from race import log_once
from scores import against, numbers
from table import full_page, markdown_table, terminal_table

from mien.vision.bundles import DEFAULT_BUNDLE

# numbers


def turn_of(direct: list[int], loop: list[int | None], ms: float, start_s: float) -> dict:
    def rows(labels: list[int | None]) -> list[list[float] | None]:
        return [None if label is None else np.eye(7)[label].tolist() for label in labels]

    return {
        "first_result_s": start_s,
        "memory_mb": 100 * ms,
        "clips": {"clip": {"scores": rows([0, None]), "ms": [2 * ms, 4 * ms]}},
        "crops": {"scores": rows(list(direct)), "ms": [ms] * len(direct)},
        "canvases": {"scores": rows(loop), "ms": [5 * ms] * len(loop)},
        "about": {"note": "as told"},
    }


LABELS = np.array([0, 1, 2, 3])
OURS = [turn_of([0, 1], [0, 1], 1.0, 1.0), turn_of([2, 0], [2, None], 3.0, 1.5)]
THEIRS = [turn_of([0, 0], [None, None], 2.0, 4.0), turn_of([0, 0], [0, 3], 12.0, 3.0)]


def test_known_answers_give_known_numbers() -> None:
    row = numbers(OURS, LABELS, 40.0)
    assert row["n"] == 4
    assert row["accuracy"] == 0.75
    assert row["loop_accuracy"] == 0.75
    assert row["accuracy_ci"][0] < 0.75 < row["accuracy_ci"][1]
    assert row["macro_f1"] == pytest.approx((2 / 3 + 1 + 1 + 0) / 4)
    assert row["detection_rate"] == 0.75
    assert row["clip_detection_rate"] == 0.5
    assert (row["face_ms"], row["frame_ms"], row["picture_ms"]) == (2.0, 6.0, 10.0)
    assert row["frame_p95_ms"] == pytest.approx((3.9 + 11.7) / 2)
    assert (row["first_result_s"], row["size_mb"], row["memory_mb"]) == (1.25, 40.0, 300.0)


def test_fewer_canvases_than_crops_keep_their_labels() -> None:
    fewer = [turn_of([0, 1], [0], 1.0, 1.0), turn_of([2, 3], [3], 1.0, 1.0)]
    row = numbers(fewer, LABELS, 1.0)
    assert (row["n"], row["loop_n"]) == (4, 2)
    assert (row["accuracy"], row["loop_accuracy"]) == (1.0, 0.5)  # the second round's canvas shows a 2


def test_ratios_are_taken_round_by_round() -> None:
    ours, theirs = numbers(OURS, LABELS, 40.0), numbers(THEIRS, LABELS, 400.0)
    found = against(THEIRS, OURS, LABELS, theirs, ours)
    assert found["face_ms"] == {"ratio": 3.0, "least": 2.0, "most": 4.0}
    assert found["first_result_s"] == {"ratio": 3.0, "least": 2.0, "most": 4.0}
    assert found["size_mb"]["ratio"] == 10.0
    assert found["accuracy"]["difference"] == -0.5
    assert found["accuracy"]["ci"][0] <= -0.5 <= found["accuracy"]["ci"][1]
    assert theirs["loop_accuracy"] == 0.25


def test_memory_that_nobody_measured_is_a_dash() -> None:
    unmeasured = [{**turn, "memory_mb": None} for turn in OURS]
    row = numbers(unmeasured, LABELS, 40.0)
    assert row["memory_mb"] is None
    assert "memory_mb" not in against(THEIRS, unmeasured, LABELS, numbers(THEIRS, LABELS, 1.0), row)
    shown = markdown_table(document(row, numbers(THEIRS, LABELS, 1.0), None))
    assert next(line for line in shown.splitlines() if line.startswith("| mien")).rstrip().endswith("| – |")


# tables


def document(ours: dict, theirs: dict, compared: dict | None) -> dict:
    row = {"notes": ["in its own way", ""], "failure": "", "versions": {"thing": "1.0"}}
    return {
        "race": {
            "date": "2030-01-02",
            "command": "python race.py",
            "split": "PublicTest",
            "images": 4,
            "canvases": 4,
            "rounds": 2,
            "clips": ["clip"],
            "dataset_hash": "abc",
        },
        "machine": {
            "cpu": "a processor",
            "cores": 8,
            "cores_used": 2,
            "memory_gb": 16.0,
            "system": "Linux",
            "load_before": 0.1,
            "load_after": 1.0,
        },
        "peers": {
            "absent": {"version": "", "notes": [], "failure": "unavailable", "versions": {}},
            "mien": {**row, "version": "0.1.0", "numbers": ours},
            "other": {**row, "version": "2.0", "numbers": theirs, "against": compared},
        },
    }


def test_the_table_holds_numbers_ratios_and_reasons(tmp_path: Path) -> None:
    ours, theirs = numbers(OURS, LABELS, 40.0), numbers(THEIRS, LABELS, 400.0)
    whole = document(ours, theirs, against(THEIRS, OURS, LABELS, theirs, ours))
    lines = markdown_table(whole).splitlines()
    assert lines[2].startswith("| mien 0.1.0 | 75.0% (30.1 to 95.4) | 0.667 |")
    assert "| 7.00 (×3.0) |" in lines[3]
    assert "| 400 (×10.0) |" in lines[3]
    assert lines[4] == "| absent |" + " – |" * 11
    assert len({line.count("|") for line in lines[:5]}) == 1
    assert "- absent: unavailable" in lines
    assert "- other: in its own way" in lines
    assert "other on crops: -50.0 points compared with Mien" in full_page(whole)
    assert "other: thing 1.0" in full_page(whole)
    assert all(len(line) < 200 for line in terminal_table(whole).splitlines())
    place = tmp_path / "race.json"
    place.write_text(json.dumps(whole))
    assert command("--table", str(place)).stdout == markdown_table(whole)


# the command


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    there = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run([sys.executable, race.__file__, *arguments], capture_output=True, text=True, check=False, env=there)


def test_what_a_user_can_get_wrong_is_one_line(fer_zip: Path, tmp_path: Path) -> None:
    places = ("--data", str(fer_zip), "--envs", str(tmp_path / "envs"), "--clips", str(tmp_path))
    for arguments, code, said in [
        ((), 2, "--data, --clips, --envs"),
        ((*places, "--peers", "mien,other"), 2, "no peer 'other'; --peers takes mien, fer, human, face-api, face-api-tiny"),
        ((*places, "--peers", "deepface"), 2, ABSENT["deepface"]),
        ((*places, "--rounds", "0"), 2, "--rounds"),
        ((*places, "--rounds", "30"), 2, "14 images cannot be shared among 30 rounds"),
        (places, 3, "no clip"),
        (("--table", str(tmp_path / "none.json")), 3, "none.json"),
    ]:
        answer = command(*arguments)
        assert (answer.returncode, answer.stderr.count("\n")) == (code, 1), answer.stderr
        assert said in answer.stderr


def test_a_scoring_of_privatetest_is_written_down_once(tmp_path: Path) -> None:
    truths = {"people": numbers(OURS, LABELS, 1.0)}
    for _ in range(2):  # the second time the same race was resumed
        log_once(tmp_path / "work", tmp_path, truths, "of other data")
    with (tmp_path / "private_test_log.csv").open() as handle:
        (row,) = csv.DictReader(handle)
    assert (row["model"], row["people_n"], row["people"], row["accuracy"]) == (DEFAULT_BUNDLE, "4", "0.7500", "")


def test_images_on_which_a_truth_says_nothing_are_left_out() -> None:
    row = numbers(OURS, np.array([0, -1, 2, -1]), 1.0)
    assert (row["n"], row["accuracy"], row["loop_n"], row["loop_accuracy"]) == (2, 1.0, 2, 1.0)
