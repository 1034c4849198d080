"""The whole loop on real images, by the commands a user types: from drift to another bundle in use, and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

STORY = REPOSITORY / "benchmarks" / "retraining.py"


@pytest.mark.timeout(600)
def test_from_drift_to_another_bundle_in_use_and_back(shared: Path, tmp_path: Path) -> None:
    small = ("--faces", "1000", "--old", "6000", "--test", "1000")
    told = subprocess.run(
        [sys.executable, str(STORY), "--data", str(shared / "data" / "fer2013.zip"), *small],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    steps = [
        "monitor images",
        "retrain --request",
        "models promote",
        "models path",
        "models rollback",
        "models history",
        "audit verify",
    ]
    places = [told.stdout.index(f"$ mien {step}") for step in steps]
    assert places == sorted(places)
    assert "the camera or its picture has changed" in told.stdout
    assert json.loads(told.stdout.splitlines()[-1])["passed"] is True
    assert "/home/mien/models/" in told.stdout.split("$ mien models path")[1]  # the name stood for the candidate
    assert "is the packaged bundle again" in told.stdout
    assert "whole, 2 events" in told.stdout
