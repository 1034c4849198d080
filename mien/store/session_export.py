"""A session in the form another program, a person or an archive wants it. Each form says what could be read (``policy``)."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError, require
from mien.files import atomic_path, write_json, write_text
from mien.store.events import event_document
from mien.store.names import ALL_NAMES, EVENTS_NAME, OBSERVATIONS_NAME, PAGE_NAME, SUMMARY_NAME
from mien.store.session_records import KeptSession
from mien.store.summary_document import summary_document
from mien.store.summary_page import summary_page

INTERVALS_NAME: Final = "intervals.csv"
POLICY_COLUMN: Final = "policy"
"""The last column of a CSV; in Parquet a key of the file's metadata."""
INTERVAL_COLUMNS: Final = ("from_s", "to_s", *(f"{name}_s" for name in EMOTIONS), "unread_s", "facing_s", "away_s", "empty_s")
"""One row a time slice: seconds of face time by expression, and how the rest was spent."""


def export_session(kept: KeptSession, folder: Path | None, form: str, target: Path) -> None:
    """Write a session to ``target``.

    Args:
        kept: the session.
        folder: its folder; None where there is none, and time slices stand for the readings.
        form: one of ``FORMS``.
        target: the file.

    Raises:
        UsageError: another form.
        DataError: the readings are none of Mien's.
        DeviceError: the file cannot be written, or pyarrow is missing for Parquet.
    """
    if form not in FORMS:
        raise UsageError(f"format is {form!r}; it must be one of {', '.join(FORMS)}")
    readings = folder / OBSERVATIONS_NAME if folder is not None and (folder / OBSERVATIONS_NAME).is_file() else None
    FORMS[form](kept, readings, target)


def _csv(kept: KeptSession, readings: Path | None, target: Path) -> None:
    if readings is None:
        write_text(target, intervals_csv(kept))
        return
    try:
        with (
            readings.open(newline="", encoding="utf-8") as rows,
            atomic_path(target) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as handle,
        ):
            writer = csv.writer(handle, lineterminator="\n")
            for number, row in enumerate(csv.reader(rows)):
                writer.writerow([*row, kept.session.policy if number else POLICY_COLUMN])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{readings} is no file of observations: {error}") from error


def _parquet(kept: KeptSession, readings: Path | None, target: Path) -> None:
    require(("pyarrow",), "parquet", "Parquet")
    from mien.store.parquet import write_columns, write_parquet

    said = {POLICY_COLUMN: kept.session.policy}
    if readings is not None:
        write_parquet(readings, target, said)
        return
    rows = _interval_rows(kept)
    write_columns({name: [row[k] for row in rows] for k, name in enumerate(INTERVAL_COLUMNS)}, target, said)


def _json(kept: KeptSession, readings: Path | None, target: Path) -> None:
    write_json(target, session_document(kept))


def _html(kept: KeptSession, readings: Path | None, target: Path) -> None:
    write_text(target, summary_page(kept))


def _zip(kept: KeptSession, readings: Path | None, target: Path) -> None:
    """Write everything of the session: its folder's files, or what the database knows as the same files."""
    name = kept.session.session_id
    made = {
        SUMMARY_NAME: json.dumps(summary_document(kept), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        PAGE_NAME: summary_page(kept),
        EVENTS_NAME: "".join(json.dumps(event_document(event), ensure_ascii=False) + "\n" for event in kept.events),
        INTERVALS_NAME: intervals_csv(kept),
    }
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file_name, text in made.items():
            archive.writestr(f"{name}/{file_name}", text)
        for path in (readings.parent / each for each in ALL_NAMES) if readings is not None else ():
            if path.is_file() and path.name not in made:
                archive.write(path, f"{name}/{path.name}")


FORMS: Final[dict[str, Callable[[KeptSession, Path | None, Path], None]]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
    "html": _html,
    "zip": _zip,
}
"""How each form is written; the form is also the file's ending."""


def session_document(kept: KeptSession) -> dict[str, object]:
    """Return a session with its events as one JSON document."""
    return summary_document(kept) | {"events": [event_document(event) for event in kept.events]}


def intervals_csv(kept: KeptSession) -> str:
    """Return the time slices as the text of a CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*INTERVAL_COLUMNS, POLICY_COLUMN))
    writer.writerows([*(f"{value:.4f}" for value in row), kept.session.policy] for row in _interval_rows(kept))
    return text.getvalue()


def _interval_rows(kept: KeptSession) -> list[tuple[float, ...]]:
    return [(row.from_s, row.to_s, *row.label_s, row.unread_s, row.facing_s, row.away_s, row.empty_s) for row in kept.intervals]
