"""The log of PrivateTest scorings.

Every scoring of PrivateTest is appended to a CSV, so that the use of the test set can be reviewed. The log is
written beside the results; the log of a checkout, in ``docs/results``, is for released bundles only.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mien.data.fer2013 import FER2013_HASH
from mien.errors import DataError
from mien.files import write_text
from mien.locks import one_writer
from mien.modelcard import FER2013, PEOPLE
from mien.version import git_revision
from mien.vision.bundles import packaged_bundle

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
    "people_n",
    "people",
    "people_low",
    "people_high",
    "people_macro_f1",
    "people_ece",
    "ferplus",
)
"""``n`` to ``consensus`` refer to FER2013's labels; ``consensus``, on images with agreeing raters, was last written by
version 0.1. Columns from ``people_n`` on refer to the raters' majority."""


def release_log_folder(bundle: Path, dataset_hash: str) -> Path | None:
    """Return the folder of the checkout's log for a packaged bundle scored on FER2013; None otherwise.

    It is None in an installed package as well.
    """
    docs = Path(__file__).resolve().parents[2] / "docs" / "results"
    packaged = packaged_bundle(bundle.stem).resolve() == bundle.resolve()
    return docs if packaged and dataset_hash == FER2013_HASH and docs.is_dir() else None


def log_scoring(folder: Path, bundle_sha256: str, numbers: dict[str, Any]) -> str:
    """Append a scoring of PrivateTest to the log in ``folder`` and return a message for the user."""
    log = folder / FILE
    before = append_scoring(log, bundle_sha256, numbers)
    return f"\nLogged in {log}" + (f"; earlier scorings of this bundle: {before}" if before else "")


def append_scoring(log: Path, bundle_sha256: str, numbers: dict[str, Any]) -> int:
    """Append one scoring and return the number of earlier scorings of this bundle.

    Args:
        log: the CSV.
        bundle_sha256: hash of the bundle file.
        numbers: results of the evaluation.

    Raises:
        DataError: the log cannot be read.
    """
    with one_writer(log):
        return _append(log, bundle_sha256, numbers)


def _append(log: Path, bundle_sha256: str, numbers: dict[str, Any]) -> int:
    old = _read(log)
    before = sum(row.get("bundle_sha256") == bundle_sha256 for row in old)
    row = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "model": numbers["model"],
        "bundle_sha256": bundle_sha256,
        "code": git_revision(),
    }
    labels, people = (numbers["truths"].get(name) for name in (FER2013, PEOPLE))
    if labels:
        low, high = labels["accuracy_ci"]
        values = {"accuracy": labels["accuracy"], "low": low, "high": high, "macro_f1": labels["macro_f1"], "ece": labels["ece"]}
        values |= {view: labels["views"][view]["accuracy"] for view in ("clean", "strict") if view in labels["views"]}
        row |= {"n": labels["n"], **_short(values)}
    if people:
        low, high = people["accuracy_ci"]
        values = {"people": people["accuracy"], "people_low": low, "people_high": high}
        values |= {"people_macro_f1": people["macro_f1"], "people_ece": people["ece"]}
        values |= {"ferplus": people["ferplus"]["accuracy"]} if "ferplus" in people else {}
        row |= {"people_n": people["n"], **_short(values)}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*old, row])
    write_text(log, text.getvalue())
    return before


def _short(values: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.4f}" for name, value in values.items()}


def _read(log: Path) -> list[dict[str, str]]:
    """Return the rows of the log; logs of version 0.1 have fewer columns."""
    if not log.is_file():
        return []
    try:
        reader = csv.DictReader(io.StringIO(log.read_text("utf-8")))
        rows, columns = list(reader), reader.fieldnames or ["bundle_sha256"]
        if "bundle_sha256" not in columns or not set(columns) <= set(COLUMNS):  # rewriting would lose them
            raise ValueError("unknown columns")
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"cannot read the evaluation log {log} ({error}). Restore a backup") from error
    return [{key: value or "" for key, value in row.items() if key} for row in rows]
