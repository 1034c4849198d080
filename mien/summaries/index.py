"""Index page with links to the summaries of all sessions and analyses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mien.pages import render
from mien.sessions.layout import INDEX_TITLE
from mien.sessions.records import SessionRecord
from mien.words import length


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A row of the index page.

    Attributes:
        record: the session.
        kind: ``live`` or ``recording``.
        link: address of its summary, relative to the page; "" if there is none.
    """

    record: SessionRecord
    kind: str
    link: str


def index_page(rows: Sequence[IndexRow]) -> str:
    """Return the page as HTML, newest session first."""
    return render(
        "index.html",
        heading=INDEX_TITLE,
        sections=[],
        rows=[
            {
                "link": row.link,
                "name": row.record.session_id,
                "kind": row.kind,
                "started": f"{row.record.started_at:%Y-%m-%d %H:%M}",
                "source": row.record.source or row.record.session_id,
                "length": length(row.record.duration_s) if row.record.frames != 1 else "–",
                "faces": row.record.faces_max,
                "state": row.record.state,
            }
            for row in sorted(rows, key=lambda row: row.record.started_at, reverse=True)
        ],
    )
