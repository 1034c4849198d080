"""The page of a session: its words are true, it stands alone, and it shows what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from kept_sessions import kept, seconds

from mien.emotions import COLOURS
from mien.sessions.records import EventRecord, IntervalRecord, KeptSession, SessionRecord, TrackRecord
from mien.summaries.page import summary_page


class Reader(HTMLParser):
    """Collects the text of a page, and complains of tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return None

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(whole: KeptSession) -> Reader:
    reader = Reader()
    reader.feed(summary_page(whole))
    assert reader.open == []
    return reader


def words(whole: KeptSession) -> str:
    return " ".join(read(whole).text).replace("\N{NO-BREAK SPACE}", " ")


def test_the_first_sentence_tells_the_session() -> None:
    text = words(kept(state="ended"))
    assert "Wednesday, 4 March 2026, 09:30 · camera 0 · 12 s" in text
    assert "Up to 2 faces at once could be seen 97% of the time. Shown most: happy (73%), then sad (27%)." in text
    assert "Faces were turned to the screen 89% of the time." in text
    assert "Never shown: " in text
    assert "5 changes from one expression straight to another" in text
    assert "happy → sad" in text
    assert "not read: too small" in text
    assert "6% of those delivered" in text  # 20 dropped of 320
    assert "expressions, not feelings" in text


def test_it_loads_nothing_and_its_links_lead_somewhere() -> None:
    reader = read(kept())
    assert reader.links
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)
    html = summary_page(kept())
    assert "<script" not in html
    assert not re.search(r"url\(|@import|https?://", html)


def test_what_comes_from_outside_is_only_text() -> None:
    evil = "<img src=x onerror=alert(1)>"
    whole = kept(source=evil, model=evil, detector=evil, unread={evil: 3}, session_id=evil)
    whole = replace(whole, events=(EventRecord(1.0, evil, evil, {evil: evil}),))
    html = summary_page(whole)
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") >= 6


@pytest.mark.parametrize(("state", "said"), [("recovered", "was cut off"), ("running", "still running"), ("ended", "")])
def test_the_state_of_the_session_is_said_where_it_matters(state: str, said: str) -> None:
    text = words(kept(state=state))
    assert (said in text) if said else ("cut off" not in text and "still running" not in text)


def test_a_session_without_faces_without_frames_and_without_poses() -> None:
    bare = kept().session
    nobody = KeptSession(
        replace(bare, frames_with_face=0, faces_max=0, readings=0, uncertain=0, unread={}),
        intervals=(IntervalRecord(0.0, 10.0, empty_s=10.0),),
    )
    text = words(nobody)
    assert "In 12 s no face was seen." in text
    assert "No face was seen, so there is no head direction." in text
    assert "not measured" not in text
    assert read(nobody).ids == ["facing", "belief"]
    nothing = KeptSession(SessionRecord("s", bare.started_at))
    assert "no face was seen" in words(nothing)
    poseless = replace(kept(), intervals=(IntervalRecord(0.0, 12.5, seconds(happy=3)),), transitions=(), tracks=(), events=())
    text = words(poseless)
    assert "Head poses were not measured" in text
    assert "No face went from one expression to another" in text
    assert "What happened" not in text
    unread = replace(poseless, intervals=(IntervalRecord(0.0, 12.5, unread_s=3.0),))
    assert "None could be read." in words(unread)


def rule(text: str, **seconds: float) -> dict[str, Any]:
    none = {
        "holds_s": 0.0,
        "no_sign_s": 0.0,
        "no_evidence_s": 0.0,
        "times": int("holds_s" in seconds),
        "confidence_highest": None,
    }
    return {"kind": "observable", "text": text, **none, **seconds}


def test_rules_that_could_not_be_judged_are_not_called_rules_that_did_not_hold() -> None:
    rules = {"a": rule("Dark", holds_s=2.0), "b": rule("Alone", no_sign_s=2.0), "c": rule("Far", no_evidence_s=3.5)}
    text = words(replace(kept(), more={"states": {"rules": rules}}))
    assert "Never occurred: Alone." in text
    assert "Too short, or too little was seen, to tell: Far." in text


def test_drift_is_a_sentence_and_no_count() -> None:
    drift = {"status": "unavailable", "in_words": "drift detection is off: not checked in recordings"}
    html = summary_page(replace(kept(), more={"drift": drift}))
    assert "Drift: not checked in recordings.</p>" in html
    assert "unavailable" not in html


def picture(**changes: Any) -> KeptSession:
    """Return a session of one picture: three happy faces, two neutral ones."""
    shown = [seconds(happy=0.04)] * 3 + [seconds(neutral=0.04)] * 2
    one = {"frames": 1, "frames_with_face": 1, "faces_max": 5, "readings": 5, "uncertain": 1, "unread": {}, "duration_s": 0.04}
    whole = kept(**{**one, **changes})
    return replace(
        whole,
        tracks=tuple(TrackRecord(f"t{k}", 0.0, 0.0, 1, int(k == 0), row, 0.04) for k, row in enumerate(shown)),
        intervals=(IntervalRecord(0.0, 0.5, seconds(happy=0.12, neutral=0.08), facing_s=0.2),),
        transitions=(),
        events=(),
    )


def test_a_picture_has_faces_and_no_time() -> None:
    text = words(picture())
    assert "5 faces: 3 happy, 2 neutral." in text
    assert "shown most: 3 of 5 faces" in text
    assert "60.0% · 3 faces" in text
    assert "5 of 5 faces turned to the screen." in text
    assert not re.search(r"\d s\b|face time|of the time", text)
    assert read(picture()).ids == ["shares", "facing", "faces", "belief"]
    happy = replace(picture(), intervals=(IntervalRecord(0.0, 0.5, seconds(happy=0.2)),))
    assert "5 faces: all happy." in words(happy)
    four = (IntervalRecord(0.0, 0.5, seconds(happy=0.16), 0.04),)
    unread = replace(picture(unread={"too dark": 1}, readings=4), intervals=four)
    assert "5 faces: 4 happy, 1 not read." in words(unread)
    nobody = replace(picture(frames_with_face=0, faces_max=0), tracks=(), intervals=())
    assert "No face was seen." in words(nobody)


def test_shares_have_a_scale_from_0_to_100_percent_and_units_stay_with_their_numbers() -> None:
    html = summary_page(kept())
    assert '<i style="width:73.3%' in html.split('id="shares"')[1]
    assert ">73.3% ·" in html
    assert "8.2\N{NO-BREAK SPACE}s" in html


def test_the_columns_of_the_timeline_are_as_high_as_the_shares() -> None:
    whole = replace(
        kept(duration_s=20.0),
        intervals=(
            IntervalRecord(0.0, 10.0, seconds(happy=7.5, sad=2.5)),
            IntervalRecord(10.0, 20.0, seconds(sad=5.0), empty_s=5.0),
        ),
    )
    html = summary_page(whole)
    paths = dict(re.findall(r'<path style="fill:([^"]+)" d="([^"]+)"/>', html.split('id="facing"')[0]))
    assert paths == {COLOURS["happy"]: "M0 25.0h1v75.0h-1z", COLOURS["sad"]: "M0 0.0h1v25.0h-1zM1 50.0h1v50.0h-1z"}


def test_events_close_together_share_a_mark_and_too_many_are_cut() -> None:
    events = tuple(EventRecord(t, "note") for t in (0.5, 0.6, 6.0))
    assert re.findall(r'<b style="left:[\d.]+%" title="[^"]*">([^<]+)</b>', summary_page(replace(kept(), events=events))) == [
        "1–2",
        "3",
    ]
    many = tuple(EventRecord(12.5 * k / 50, "note") for k in range(50))
    assert "The first 20 of 50." in words(replace(kept(), events=many))


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_reaches_over_the_edge_of_the_screen(width: int, tmp_path: Path) -> None:
    """A real browser lays the page out, and says how wide it became."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed")
    frame = f'<iframe src="page.html" style="width:{width}px;height:2000px;border:0"></iframe>'
    script = (
        "<script>onload=()=>{const d=document.querySelector('iframe').contentDocument;"
        "document.title=d.documentElement.scrollWidth+' '+d.querySelectorAll('section').length}</script>"
    )
    (tmp_path / "page.html").write_text(summary_page(kept()))
    (tmp_path / "frame.html").write_text(f"<!doctype html>{frame}{script}")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    answer = subprocess.run(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "frame.html").as_uri()],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    found = re.search(r"<title>(\d+) (\d+)</title>", answer.stdout)
    assert found is not None, answer.stderr[-500:]
    assert int(found[1]) <= width
    assert int(found[2]) == 6
