"""The page that links all summaries, and the list that names analyses beside sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from test_data_as_people_have_it import run

from mien.sessions.records import SessionRecord
from mien.summaries.index import IndexRow, index_page


def test_the_page_links_every_summary_newest_first_and_escapes_names() -> None:
    old = SessionRecord("old", datetime(2026, 3, 1, tzinfo=UTC), source="<b>")
    new = SessionRecord("new", datetime(2026, 3, 2, tzinfo=UTC), source="camera")
    page = index_page([IndexRow(old, "live", "sessions/old/summary.html"), IndexRow(new, "recording", "")])
    assert "2 summaries" in page
    assert page.index(">new<") < page.index(">old<")
    assert '<a href="sessions/old/summary.html">&lt;b&gt;</a>' in page
    assert "<small>old</small>" in page
    assert "No session yet" in index_page([])


def test_the_list_names_analyses_and_writes_the_page(here: Path) -> None:
    for k in range(3):
        cv2.imwrite(str(here / f"{k}.png"), np.full((240, 320, 3), 90, np.uint8))
    run("live", "--source", "0.png", "--headless", "--out", "results/sessions/a lesson")
    run("analyze", "1.png")
    said = run("sessions", "list", "--page")
    assert "0.png" in said
    assert "1.png" in said
    assert (here / "results" / "sessions.html").as_uri() in said
    page = (here / "results" / "sessions.html").read_text()
    assert 'href="sessions/a%20lesson/summary.html"' in page
    assert 'href="analyses/1/summary.html"' in page
    assert "recording" in page
    run("sessions", "delete", "a lesson", "--yes")
    assert not (here / "results" / "sessions.html").exists()  # it names what was erased
