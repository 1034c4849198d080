"""Exports of a session as CSV, Parquet, JSON, HTML or ZIP. Each contains the policy level under ``policy``."""

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
from mien.sessions.document import session_document, summary_document
from mien.sessions.events import event_document
from mien.sessions.layout import ALL_NAMES, EVENTS_NAME, OBSERVATIONS_NAME, PAGE_NAME, SCREENSHOTS, SUMMARY_NAME
from mien.sessions.observations import OBSERVABLE_COLUMNS
from mien.sessions.records import KeptSession
from mien.summaries.page import summary_page

INTERVALS_NAME: Final = "intervals.csv"
POLICY_COLUMN: Final = "policy"
"""Last column of a CSV, and metadata key in Parquet."""
_REST: Final = ("unread_s", "facing_s", "away_s", "empty_s")
INTERVAL_COLUMNS: Final = ("from_s", "to_s", *(f"{name}_s" for name in EMOTIONS), *_REST)
"""One row per time slice: seconds of face time by expression, then unread, facing, away and empty seconds."""


def export_session(kept: KeptSession, folder: Path | None, form: str, target: Path) -> None:
    """Write a session to ``target``.

    Args:
        kept: the session.
        folder: its folder; None to write time slices instead of observations to CSV and Parquet.
        form: one of ``FORMS``.
        target: path of the output file.

    Raises:
        UsageError: the format is unknown.
        DataError: the observations file is broken.
        DeviceError: the file cannot be written, or pyarrow is missing for Parquet.
    """
    if form not in FORMS:
        raise UsageError(f"format is {form!r}; it must be one of {', '.join(FORMS)}")
    readings = folder / OBSERVATIONS_NAME if folder is not None and (folder / OBSERVATIONS_NAME).is_file() else None
    FORMS[form](kept, readings, target)


def _csv(kept: KeptSession, readings: Path | None, target: Path) -> None:
    if readings is None:
        write_text(target, intervals_csv(kept), private=True)
        return
    try:
        with (
            readings.open(newline="", encoding="utf-8") as rows,
            atomic_path(target, private=True) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as handle,
        ):
            found = csv.reader(rows)
            header = next(found, [])
            # older versions wrote empty columns for expressions that were not permitted
            places = [k for k, name in enumerate(header) if kept.session.has_expressions or name in OBSERVABLE_COLUMNS]
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow([*(header[k] for k in places), POLICY_COLUMN])
            writer.writerows([*(row[k] for k in places), kept.session.policy] for row in found)
    except (UnicodeDecodeError, IndexError, csv.Error) as error:
        raise DataError(f"{readings} is not an observations file: {error}") from error


def _parquet(kept: KeptSession, readings: Path | None, target: Path) -> None:
    require(("pyarrow",), "parquet", "Parquet")
    from mien.summaries.parquet import write_columns, write_parquet

    said = {POLICY_COLUMN: kept.session.policy}
    if readings is not None:
        write_parquet(readings, target, said, kept.session.has_expressions)
        return
    rows = _interval_rows(kept)
    write_columns({name: [row[k] for row in rows] for k, name in enumerate(_interval_columns(kept))}, target, said)


def _json(kept: KeptSession, readings: Path | None, target: Path) -> None:
    write_json(target, session_document(kept), private=True)


def _html(kept: KeptSession, readings: Path | None, target: Path) -> None:
    write_text(target, summary_page(kept), private=True)


def _zip(kept: KeptSession, readings: Path | None, target: Path) -> None:
    """Write all files of the session, or create them from the database; earlier sessions in its folder are left out."""
    name = kept.session.session_id
    made = {
        SUMMARY_NAME: json.dumps(summary_document(kept), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        PAGE_NAME: summary_page(kept),
        EVENTS_NAME: "".join(json.dumps(event_document(event), ensure_ascii=False) + "\n" for event in kept.events),
        INTERVALS_NAME: intervals_csv(kept),
    }
    with (
        atomic_path(target, private=True) as temporary,
        # copied files may be dated 1970, which only a relaxed archive takes
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive,
    ):
        for file_name, text in made.items():
            archive.writestr(f"{name}/{file_name}", text)
        folder = readings.parent if readings is not None else None
        for path in (*(folder / each for each in ALL_NAMES), *sorted(folder.glob(SCREENSHOTS))) if folder is not None else ():
            if path.is_file() and not path.is_symlink() and path.name not in made:
                archive.write(path, f"{name}/{path.name}")


FORMS: Final[dict[str, Callable[[KeptSession, Path | None, Path], None]]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
    "html": _html,
    "zip": _zip,
}
"""Writers by format; the format is also the file extension."""


def intervals_csv(kept: KeptSession) -> str:
    """Return the time slices as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_interval_columns(kept), POLICY_COLUMN))
    writer.writerows([*(f"{value:.4f}" for value in row), kept.session.policy] for row in _interval_rows(kept))
    return text.getvalue()


def _interval_columns(kept: KeptSession) -> tuple[str, ...]:
    return INTERVAL_COLUMNS if kept.session.has_expressions else ("from_s", "to_s", *_REST)


def _interval_rows(kept: KeptSession) -> list[tuple[float, ...]]:
    shown = kept.session.has_expressions
    return [
        (row.from_s, row.to_s, *(row.label_s if shown else ()), row.unread_s, row.facing_s, row.away_s, row.empty_s)
        for row in kept.intervals
    ]
