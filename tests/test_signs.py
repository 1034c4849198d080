"""Rules in a real session: signs on screen, suggestions as events, sums in the summary; no state where none may be computed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_cli import mien
from test_policy import ROWS

from mien.errors import FaultsError, UsageError
from mien.privacy.deployment import deployment_text
from mien.recordings.analysis import Analysis
from mien.recordings.settings import AnalyzeSettings
from mien.session import Session
from mien.sessions.events import read_events
from mien.settings import LiveSettings
from mien.summaries.text import summary_text

RULES = """
[interventions]
max_per_hour = 4

[[rule]]
name = "somebody-there"
kind = "observable"
about = "picture"
text = "Somebody is there"
window_s = 2
evidence = "A face was found."
[rule.least]
watched_s = 1
[[rule.condition]]
signal = "present_share"
min = 0.5
[rule.intervention]
text = "Good to see you."
cooldown_s = 60

[[rule]]
name = "may-be-confusion"
kind = "confusion"
about = "picture"
text = "May be confusion"
window_s = 2
confidence_max = 0.2
evidence = "Made up for a test."
literature = ["nobody"]
[rule.least]
watched_s = 1
read_s = 1
confidence = 0.1
[[rule.condition]]
signal = "happy_share"
min = 0.01

[literature.nobody]
authors = "Nobody"
year = 2026
title = "A test"
found = "nothing"
"""


def watch(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    settings = {"view": "none", "seconds": 6.0, "rules": rules, "states": True} | changes
    return Session(LiveSettings(source="demo", out=tmp_path / "out", model="mien-xs", **settings)).run()


def test_a_suggestion_is_an_event_everywhere_and_a_sign_a_sum(tmp_path: Path) -> None:
    summary = watch(tmp_path)
    rules = summary["states"]["rules"]
    assert rules["somebody-there"]["holds_s"] > 2
    assert rules["may-be-confusion"]["confidence_highest"] <= 0.2
    (event,) = read_events(tmp_path / "out" / "events.jsonl")
    assert (event.kind, event.details["message"]) == ("intervention", "Good to see you.")
    page = (tmp_path / "out" / "summary.html").read_text()
    assert "Good to see you." in page
    assert "May be confusion" in page
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["states"] == summary["states"]


def test_states_are_not_asked_for_unless_the_user_does(tmp_path: Path) -> None:
    assert set(watch(tmp_path, states=False)["states"]["rules"]) == {"somebody-there"}


@pytest.mark.parametrize("row", ["institution-in-union", "workplace-in-union", "minors"])
def test_under_observables_no_state_is_computed_though_it_was_asked_for(row: str, tmp_path: Path) -> None:
    deployment = ROWS[row][0]
    (tmp_path / "deployment.toml").write_text(deployment_text(deployment).replace('"consent"', '"public-task"'))
    summary = watch(tmp_path, deployment=tmp_path / "deployment.toml")
    rules = summary["states"]["rules"]
    assert set(rules) == {"somebody-there"}
    assert rules["somebody-there"]["holds_s"] > 2
    assert summary["policy"] == "observables"
    page = (tmp_path / "out" / "summary.html").read_text()
    assert "no expression was read, by the rule" in page
    assert "Shares" not in page
    text = summary_text(summary)
    assert "observables only" in text
    assert "happy" not in text


def test_wrong_rules_are_refused_before_anything_is_watched(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES.replace("window_s = 2", "window_s = 9999"))
    with pytest.raises(FaultsError, match="window_s"):
        Session(LiveSettings(source="demo", out=tmp_path / "out", model="mien-xs", view="none", rules=tmp_path / "rules.toml"))
    refused = mien("live", "--source", "demo", "--headless", "--rules", "rules.toml", cwd=tmp_path)
    assert (refused.returncode, "window_s" in refused.stderr, "Traceback" in refused.stderr) == (2, True, False)
    unsure = mien("live", "--source", "demo", "--headless", "--states", "on", cwd=tmp_path)
    assert (unsure.returncode, "off or experimental" in unsure.stderr) == (2, True)


def test_a_recording_is_asked_by_the_same_rules(shared: Path, yunet: Path, tmp_path: Path) -> None:
    clip, out, rules = shared / "media" / "neutral_smile_neutral.mp4", tmp_path / "out", tmp_path / "rules.toml"
    rules.write_text(RULES)
    wish = AnalyzeSettings((clip,), out, model="mien-xs", states=True, rules=rules)
    Analysis(wish).run()
    summary = json.loads((out / clip.stem / "summary.json").read_text())
    assert summary["states"]["rules"]["may-be-confusion"]["holds_s"] > 0  # the clip smiles, and that is what this rule asks for
    events = [json.loads(line) for line in (out / clip.stem / "events.jsonl").read_text().splitlines()]
    assert [event["details"]["rule"] for event in events] == ["somebody-there"]
    with pytest.raises(UsageError, match="states was experimental, is off"):
        Analysis(replace(wish, states=False))
    rules.write_text(RULES.replace("Good to see you", "Welcome"))
    with pytest.raises(UsageError, match=r"rules was \w+, is \w+"):
        Analysis(wish)
    rules.write_text(RULES.replace("window_s = 2", "window_s = 9999"))
    with pytest.raises(FaultsError, match="window_s"):
        Analysis(replace(wish, again=True))
