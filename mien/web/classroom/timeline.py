"""The timeline of a lesson for its teacher: published bins, marks and notes. It contains published numbers only."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any, Final

from mien.emotions import EMOTIONS
from mien.privacy.lesson_bins import SIGNALS, BinView, view
from mien.web.classroom.store import ClassRecord, ClosedBin, LessonMark

MAX_MEAN: Final = 12
"""Largest number of bins over which a mean is shown."""
CSV_COLUMNS: Final = (
    "from_s",
    "to_s",
    "state",
    "people",
    "measured",
    "facing",
    "facing_error",
    *EMOTIONS,
    "error",
    *(name.replace(" ", "_") for name in SIGNALS),
    "signal_error",
    "marks",
)


def class_document(
    record: ClassRecord, closed: list[ClosedBin], marks: list[LessonMark], now_s: float, mean: int = 1
) -> dict[str, Any]:
    """Return the data of a teacher's page.

    Args:
        record: the class.
        closed: its closed bins in order.
        marks: its marks and notes.
        now_s: the server's time in seconds since 1970.
        mean: width of the moving average in bins, 1 to ``MAX_MEAN``; each bin shows the mean of the bins ending with it.
    """
    plan = record.plan
    return {
        "title": record.title,
        "state": record.state,
        "level": record.level.value,
        "bin_s": plan.bin_s,
        "bins": plan.bins,
        "k": plan.k,
        "budget": plan.budget,
        "noise": round(plan.noise, 2),
        "signal_noise": round(plan.signal_noise, 2),
        "categories": list(plan.categories),
        "signals": list(SIGNALS),
        "created_s": record.created_s,
        "started_s": record.started_s,
        "elapsed_s": None if record.started_s is None else round((record.ended_s or now_s) - record.started_s, 1),
        "mean": mean,
        "timeline": [_row(record, closed, k, mean) for k in range(len(closed))],
        "lesson": lesson_mean(record, closed),
        "marks": [asdict(mark) for mark in marks],
    }


def lesson_mean(record: ClassRecord, closed: list[ClosedBin]) -> dict[str, Any] | None:
    """Return the mean of all published bins of a lesson; None if there are none."""
    if not closed:
        return None
    found = asdict(view(record.plan, [each.published for each in closed]))
    found["published"] = sum(each.published.measured is not None for each in closed)
    return found


def class_table(record: ClassRecord, closed: list[ClosedBin], marks: list[LessonMark]) -> str:
    """Return the timeline as CSV; marks and notes are in the row of their bin.

    A bin that is not closed has a row only if it has marks or notes, without a state and numbers.
    """
    plan = record.plan
    texts: dict[int, list[str]] = {}
    for mark in marks:  # the end of the lesson belongs to its last bin
        texts.setdefault(min(int(mark.at_s // plan.bin_s), plan.bins - 1), []).append(_plain(mark.text))
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for k in range(len(closed)):
        row = _row(record, closed, k, 1)
        flat = {name: row[name] for name in CSV_COLUMNS if name in row}
        flat |= dict(zip(plan.categories, row["expressions"], strict=False))
        flat |= {name.replace(" ", "_"): value for name, value in zip(SIGNALS, row["signals"] or (), strict=False)}
        writer.writerow(flat | {"marks": "; ".join(texts.get(k, ()))})
    for k in sorted(k for k in texts if k >= len(closed)):
        writer.writerow(_span(record, k) | {"marks": "; ".join(texts[k])})
    return out.getvalue()


def _row(record: ClassRecord, closed: list[ClosedBin], k: int, mean: int) -> dict[str, Any]:
    plan, bin_ = record.plan, closed[k]
    seen = view(plan, [each.published for each in closed[max(0, k - mean + 1) : k + 1]])
    if bin_.published.people is None:
        seen = BinView(k)
    elif bin_.published.measured is None:
        seen = BinView(k, seen.people, signals=seen.signals, signal_error=seen.signal_error)
    state = "gap" if bin_.state == "gap" else "too few" if bin_.published.measured is None else "published"
    return _span(record, k) | {"state": state} | asdict(seen)


def _span(record: ClassRecord, k: int) -> dict[str, Any]:
    return {"from_s": k * record.plan.bin_s, "to_s": (k + 1) * record.plan.bin_s}


def _plain(text: str) -> str:
    """Escape text that a spreadsheet would interpret as a formula."""
    return f"'{text}" if text[:1] in "=+-@" else text
