"""Pages: what comes from outside is text on every page, and only templates hold HTML."""

from __future__ import annotations

import ast
import re
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from drifting import make_faces, reference_of, stream, verdicts
from kept_sessions import kept
from test_audit_report import flawed_dataset

from mien.audit.audit import run_audit
from mien.audit.page import page_html
from mien.data.reader import read_dataset
from mien.evaluation.evaluate import evaluate_bundle
from mien.evaluation.report import write_report
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.page import drift_page
from mien.monitoring.summary import summarise
from mien.monitoring.trigger import DriftTrigger
from mien.sessions.records import EventRecord
from mien.summaries.page import summary_page
from mien.vision.bundles import bundle_path

HOSTILE = """"'><script>alert("x")</script><img src=x onerror='alert(1)'>{{ 7 * 7 }}&amp;"""
ELEMENTS = frozenset(
    [
        *("html", "head", "meta", "title", "style", "body", "header", "main", "nav", "footer", "section", "div", "p", "small"),
        *("h1", "h2", "h3", "a", "b", "i", "span", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "figure", "img"),
        *("svg", "rect", "line", "text", "polyline", "circle", "path"),
    ]
)
ATTRIBUTES = frozenset(
    [
        *("lang", "charset", "name", "content", "href", "id", "class", "style", "title", "alt", "src", "loading", "role"),
        *("aria-label", "viewbox", "preserveaspectratio", "shape-rendering", "text-anchor", "x", "y", "x1", "x2", "y1", "y2"),
        *("width", "height", "points", "cx", "cy", "r", "d"),
    ]
)


class Strict(HTMLParser):
    """Reads a page that may hold no element and no attribute but those of the templates."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            if name in ("src", "href"):
                assert (value or "").startswith(("data:image/png;base64,", "#")), value
            if name == "style":
                assert "alert" not in (value or ""), value

    def handle_data(self, data: str) -> None:
        self.text += data


def escaped_in(page: str) -> int:
    """Return how often the hostile text is shown as it is; fails where it became something else than text."""
    assert "<script" not in page
    assert "onerror='" not in page
    return Strict(page).text.count(HOSTILE)


@contextmanager
def silent(_: str) -> Any:
    yield lambda done, total: None


def test_hostile_names_are_text_on_a_sessions_page() -> None:
    names = ("source", "model", "detector", "version", "policy", "rule")
    odd_id = "\"'><img src=x onerror=alert(1)>"  # ids are names of folders, so this is the worst that there can be
    whole = kept(**dict.fromkeys(names, HOSTILE), unread={HOSTILE: 3}, session_id=odd_id)
    rule = {"kind": "observable", "text": HOSTILE, "holds_s": 2.0, "times": 1, "no_evidence_s": 0.5, "confidence_highest": None}
    whole = replace(
        whole,
        events=(EventRecord(1.0, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}),),
        tracks=tuple(replace(track, track_id=HOSTILE) for track in whole.tracks),
        more={"states": {"rules": {"r": rule}}, "drift": {"status": HOSTILE, "in_words": HOSTILE}},
    )
    # six of the session, the event's kind, face, key and value, two faces, the rule, drift twice, unread
    assert escaped_in(summary_page(whole)) >= 14
    assert odd_id in Strict(summary_page(whole)).text


def test_hostile_names_are_text_on_the_page_of_drift() -> None:
    reference = replace(reference_of(*make_faces(800, seed=0)), source=HOSTILE, bundle=HOSTILE)
    monitor, trigger = DriftMonitor(reference, 1.0, 20_000), DriftTrigger(reference)
    found = verdicts(monitor, stream(make_faces(600, seed=2, darker=1.5)[0]))
    for verdict in found:
        trigger.update(verdict)
    alarm_settings = {"false_alarm_every_h": 1.0, "faces_per_h": 20_000.0, "m": 3, "n": 4, "cooldown_h": 24.0}
    facts = summarise(HOSTILE, reference, monitor, trigger, found, {"faces": 600, HOSTILE: 1}, alarm_settings, [(HOSTILE, 0.0)])
    assert facts["events"]
    assert escaped_in(drift_page(facts)) >= 5  # the source, the reference and its bundle, a count, a session


def test_hostile_names_are_text_on_the_page_of_the_audit() -> None:
    audit = run_audit(flawed_dataset(), (), silent)
    audit.facts["dataset_hash"] = HOSTILE
    audit.facts["clean_split"]["rules"][HOSTILE] = HOSTILE
    assert escaped_in(page_html(audit, HOSTILE)) >= 4  # the title, the heading, the hash, a rule


def test_hostile_names_are_text_in_the_report(fer_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    dataset = read_dataset(fer_folder, lambda done, total: None).dataset
    evaluation = evaluate_bundle(bundle_path("mien-s"), dataset, "PublicTest", silent)
    evaluation.facts.update(split=HOSTILE, dataset_hash=HOSTILE, manifest_differences=[HOSTILE])
    evaluation.facts["groups"] = {HOSTILE: {"n": 3, "refused": HOSTILE}}
    card = replace(evaluation.card, name=HOSTILE, excluded_use=HOSTILE, command=HOSTILE)
    write_report(replace(evaluation, card=card), tmp_path)
    # title and heading twice each, the name, a difference, a group twice, the command, the excluded use, the hash
    assert escaped_in((tmp_path / "report.html").read_text()) >= 11


def test_only_templates_hold_html_and_none_switches_escaping_off() -> None:
    for path in (REPOSITORY / "mien").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = re.search(r"</\w+>|<(?:div|span|p|table|tr|t[dh]|svg|section|img)\b", node.value)
                assert found is None or path.name == "http.py", f"{path}:{node.lineno} holds HTML: {found[0]!r}"
            assert not (isinstance(node, ast.Name) and node.id == "Markup"), path
    for path in (REPOSITORY / "mien" / "templates").glob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", path.read_text(encoding="utf-8")), path
