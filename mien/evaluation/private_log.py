"""The book in which every scoring of PrivateTest is written down.

A test set tells the truth once. Whoever reads a number can see here how often it was asked for.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mien.data.fer2013 import FER2013_HASH
from mien.files import write_text
from mien.revision import git_revision

FILE: Final = "private_test_log.csv"
COLUMNS: Final = (
    "date",
    "model",
    "bundle_sha256",
    "code",
    "n",
    "accuracy",
    "low",
    "high",
    "macro_f1",
    "ece",
    "clean",
    "strict",
    "consensus",
)


def log_place(out: Path, dataset_hash: str) -> Path:
    """Return where the log stands: in a clone's ``docs/results`` for FER2013 itself, else in ``out``."""
    docs = Path(__file__).resolve().parents[2] / "docs" / "results"
    return (docs if docs.is_dir() and dataset_hash == FER2013_HASH else out) / FILE


def log_scoring(out: Path, bundle_sha256: str, numbers: dict[str, Any]) -> str:
    """Write a scoring of PrivateTest into the right log and return a line about it."""
    log = log_place(out, numbers["dataset_hash"])
    before = append_scoring(log, bundle_sha256, numbers)
    return f"\nWritten down in {log}" + (f": this bundle had been scored {before} time(s) before" if before else "")


def append_scoring(log: Path, bundle_sha256: str, numbers: dict[str, Any]) -> int:
    """Write one scoring down; return how often this bundle had been scored before.

    Args:
        log: the CSV.
        bundle_sha256: hash of the bundle's file.
        numbers: of the evaluation.
    """
    old = log.read_text(encoding="utf-8") if log.is_file() else ",".join(COLUMNS) + "\n"
    before = sum(row["bundle_sha256"] == bundle_sha256 for row in csv.DictReader(io.StringIO(old)))
    views = numbers["views"]
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        [
            datetime.now(UTC).strftime("%Y-%m-%d"),
            numbers["model"],
            bundle_sha256,
            git_revision(),
            numbers["n"],
            *(f"{value:.4f}" for value in (numbers["accuracy"], *numbers["accuracy_ci"], numbers["macro_f1"], numbers["ece"])),
            *(f"{views[name]['accuracy']:.4f}" if name in views else "" for name in COLUMNS[-3:]),
        ]
    )
    write_text(log, old + line.getvalue())
    return int(before)
