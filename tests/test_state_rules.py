from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st

from mien.checked_table import CheckedTable
from mien.cli import app
from mien.errors import DataError, FaultsError
from mien.records import HeadPose
from mien.states.rules import KINDS, STATE_CEILING, STATES, Condition
from mien.states.rules_file import default_rules_text, parse_rules, read_rules
from mien.states.rules_table import rules_markdown, rules_text
from mien.states.signals import AT, COLUMNS, FAULTS, SIGNALS, Measure
from mien.states.wording import fault_of_message, fault_of_observable, fault_of_state
from mien.vision.legibility import unread_reasons

RULE = """\
[interventions]
max_per_hour = 3

[[rule]]
name = "stuck"
kind = "confusion"
about = "face"
text = "May be confusion"
window_s = 20
hold_s = 2
confidence_max = 0.3
evidence = "Weak."
literature = ["a2000"]
[rule.least]
watched_s = 15
read_s = 12
confidence = 0.5
[[rule.condition]]
signal = "angry_share + fear_share"
min = 0.5
stay_min = 0.4
[[rule.condition]]
signal = "screen_share"
min = 0.6
max = 0.9
or_no_evidence = "elsewhere"
[rule.intervention]
text = "Is something unclear?"
after_s = 3
cooldown_s = 60

[[rule]]
name = "empty"
kind = "observable"
about = "picture"
text = "Nobody in view"
window_s = 10
[rule.least]
watched_s = 5
[[rule.condition]]
signal = "present_share"
max = 0.1

[literature.a2000]
authors = "A and B"
year = 2000
title = "T"
found = "F."
doi = "10.1000/182"
"""


def changed(old: str, new: str) -> str:
    assert RULE.count(old) >= 1, old
    return RULE.replace(old, new, 1)


def error_of(text: str) -> str:
    with pytest.raises(FaultsError) as caught:
        parse_rules(text, "the rules file x.toml")
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_rules_are_read() -> None:
    stuck, empty = parse_rules(RULE, "x").rules
    assert (stuck.name, stuck.kind, stuck.window_s, stuck.hold_s, stuck.confidence_max) == ("stuck", "confusion", 20, 2, 0.3)
    assert [c.text for c in stuck.conditions] == [
        "0.5 <= angry_share + fear_share (stays from 0.4)",
        "0.6 <= screen_share <= 0.9",
    ]
    assert stuck.conditions[1].or_no_evidence == "elsewhere"
    assert stuck.intervention is not None
    assert (stuck.intervention.after_s, stuck.intervention.cooldown_s) == (3, 60)
    assert stuck.literature[0].short == "A and B 2000"
    assert (stuck.is_state, empty.is_state, empty.confidence_max, empty.intervention) == (True, False, 1.0, None)
    assert parse_rules(RULE, "x").max_per_hour == 3
    assert [rule.name for rule in parse_rules(RULE, "x").observables().rules] == ["empty"]


REFUSED = {
    "wrong key": ("hold_s = 2", "holds_s = 2", "line 10: rule 'stuck', holds_s is not a key here", "Did you mean 'hold_s'?"),
    "wrong key of a condition": ("stay_min = 0.4", "stays = 0.4", "line 21: rule 'stuck', condition 1, stays is not a key"),
    "wrong key of what is needed": ("read_s = 12", "face_seconds = 12", "rule 'stuck', least, face_seconds is not a key"),
    "wrong key at the top": ("[interventions]", "[intervention]", "intervention is not a key here"),
    "wrong key of the limits": ("max_per_hour", "per_hour", "interventions, per_hour is not a key here"),
    "missing key": ('about = "face"\n', "", "rule 'stuck', about is missing"),
    "no window": ("window_s = 20\n", "", "window_s is missing"),
    "window of nothing": ("window_s = 20", "window_s = 0", "line 9: rule 'stuck', window_s is 0; it must be 1 to 600"),
    "window before now": ("window_s = 20", "window_s = -5", "window_s is -5; it must be 1 to 600"),
    "window too long": ("window_s = 20", "window_s = 601", "window_s is 601; it must be 1 to 600"),
    "window no number": ("window_s = 20", 'window_s = "20"', "window_s is '20'; it must be a number"),
    "window true": ("window_s = 20", "window_s = true", "window_s is True; it must be a number"),
    "window endless": ("window_s = 20", "window_s = inf", "window_s is inf; it must be a number"),
    "window shorter than its evidence": (
        "window_s = 20",
        "window_s = 13",
        "rule 'stuck', least, watched_s is 15, more than window_s, which is 13",
    ),
    "min above max": ("min = 0.6\nmax = 0.9", "min = 0.9\nmax = 0.6", "condition 2, min is 0.9 and max is 0.6"),
    "leaves above where it enters": ("stay_min = 0.4", "stay_min = 0.6", "condition 1, stay_min is 0.6, above min, which is 0.5"),
    "leaves below where it enters": ("max = 0.1", "max = 0.1\nstay_max = 0.05", "stay_max is 0.05, below max, which is 0.1"),
    "leaves what it never enters": ("max = 0.1", "max = 0.1\nstay_min = 0.05", "stay_min is set without min"),
    "no threshold": ("max = 0.1\n", "", "rule 'empty', condition 1, min and max are both missing"),
    "never fails": ("max = 0.1", "max = 1", "max never fails: present_share"),
    "percent": ("min = 0.5", "min = 50", "condition 1, min is 50; it must be 0 to 1"),
    "not a number at all": ("min = 0.5", "min = nan", "min is nan; it must be a number"),
    "unknown signal": ('"screen_share"', '"screen_shares"', "condition 2, signal names 'screen_shares'", "mean 'screen_share'?"),
    "sum of what does not add up": ('"screen_share"', '"valence + arousal"', "signal adds valence + arousal"),
    "sum of one thing": ('"angry_share + fear_share"', '"fear_share + fear_share"', "fear_share + fear_share"),
    "one signal in two conditions": ('"screen_share"', '"fear_share"', "fear_share"),
    "unknown state": ('"confusion"', '"tiredness"', "kind is 'tiredness'; it must be one of observable, confusion"),
    "unknown subject": ('"picture"', '"everybody"', "rule 'empty', about is 'everybody'"),
    "one name twice": ('name = "empty"', 'name = "stuck"', "name is 'stuck' as in an earlier rule"),
    "name in capitals": ('name = "stuck"', 'name = "Stuck!"', "name is 'Stuck!'"),
    "state without literature": ('literature = ["a2000"]\n', "", "rule 'stuck', literature is missing"),
    "unknown literature": ('["a2000"]', '["a2001"]', "literature names 'a2001'", "mean 'a2000'?"),
    "no DOI": ("10.1000/182", "doi.org/x", "line 49: literature, a2000, doi is 'doi.org/x'"),
    "state without ceiling": ("confidence_max = 0.3\n", "", "confidence_max is missing"),
    "surer than people": ("confidence_max = 0.3", "confidence_max = 0.9", "confidence_max is 0.9", "at most 0.59"),
    "sure of nothing": ("confidence_max = 0.3", "confidence_max = 0", "confidence_max is 0; it must be more than 0"),
    "says is": ("May be confusion", "The learner is confused", "rule 'stuck', text says 'is'"),
    "says 's": ("May be confusion", "She's lost", 'text says "She\'s"'),
    "does not say may be": ("May be confusion", "Confusion", "text does not say 'may be'"),
    "observable names a state": ("Nobody in view", "No attention", "rule 'empty', text says 'attention'"),
    "suggestion claims": ("Is something unclear?", "You are confused.", "rule 'stuck', intervention, text claims a state"),
    "cooldown of nothing": ("cooldown_s = 60", "cooldown_s = 0", "intervention, cooldown_s is 0; it must be 10 to 86400"),
    "no cooldown": ("cooldown_s = 60\n", "", "intervention, cooldown_s is missing"),
    "expressions without evidence": ("read_s = 12\n", "", "least must set read_s and confidence"),
    "observable of expressions": ('"present_share"', '"happy_share"', "rule 'empty', condition uses happy_share"),
    "observable without evidence": ("[rule.least]\nwatched_s = 5\n", "", "rule 'empty', least must set watched_s or face_s"),
    "several faces of one face": ('"screen_share"', '"several_share"', "rule 'stuck', about is 'face'"),
    "boredom from a face": ('or_no_evidence = "elsewhere"\n', "", "rule 'stuck', condition"),
    "limits that are none": ("max_per_hour = 3", "max_per_hour = 1000", "interventions, max_per_hour is 1000"),
    "limits that are no table": ("[interventions]\nmax_per_hour = 3", "interventions = 3", "interventions is 3; it must be"),
    "rule that is no table": (RULE, 'rule = "x"', "rule must be tables, each under [[rule]]"),
    "no rule": (RULE, "", "[[rule]]"),
    "control characters": ("Weak.", "\\u001b[31m", "rule 'stuck', evidence must be 1 to 2000 printable characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_rules_are_refused_with_rule_and_key(name: str) -> None:
    old, new, *expected = REFUSED[name]
    text = changed(old, new)
    if name == "boredom from a face":
        text = text.replace('"confusion"', '"boredom"')
    message = error_of(text)
    assert message.startswith("the rules file x.toml:")
    for part in expected:
        assert part in message


def test_all_errors_are_reported_with_their_lines() -> None:
    message = error_of(RULE.replace("window_s = 20", "window_s = 0").replace("max = 0.1", "max = 7").replace("hold_s", "hold"))
    lines = message.splitlines()
    assert lines[0] == "the rules file x.toml:"
    assert len(lines) == 4
    text = RULE.splitlines()
    for line in lines[1:]:
        number = re.match(r"  line (\d+): ", line)
        assert number, line
        assert text[int(number[1]) - 1].split(" ")[0].startswith(("window_s", "max", "hold_s"))


def test_a_missing_or_invalid_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mien states init"):
        read_rules(tmp_path / "gone.toml")
    (tmp_path / "broken.toml").write_text("[[rule]\n")
    with pytest.raises(DataError, match=r"broken\.toml"):
        read_rules(tmp_path / "broken.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe4")
    with pytest.raises(DataError, match=r"latin\.toml"):
        read_rules(tmp_path / "latin.toml")
    with pytest.raises(DataError, match="/dev/zero"):
        read_rules(Path("/dev/zero"))


@given(st.text(max_size=200))
def test_any_other_text_is_refused_without_a_crash(text: str) -> None:
    with pytest.raises((DataError, FaultsError), match=r"\Ax( is not TOML|:[\s\S]*rule)"):
        parse_rules(text, "x")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 700)
    | st.floats()
    | st.sampled_from([*KINDS, *SIGNALS, "face", "picture", "", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "signal", "min", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ("name", "kind", "about", "text", "window_s", "hold_s", "confidence_max", "evidence", "literature", "least", "condition",
        "intervention", "other")  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=len(KEYS)))
def test_random_rules_are_refused_without_a_crash(values: dict[str, Any]) -> None:
    from mien.states.rules_file import _rule

    faults: list[str] = []
    _rule(CheckedTable(values, "rule 1", faults, []), {})
    assert faults  # none of these is valid
    assert all(fault.startswith("rule ") for fault in faults)


def test_the_default_rules_are_valid_and_cite_their_sources() -> None:
    rules = read_rules()
    assert {rule.kind for rule in rules.rules} == set(KINDS)
    assert [rule.is_state for rule in rules.rules] == sorted(rule.is_state for rule in rules.rules)  # observables first
    for rule in rules.rules:
        assert rule.evidence
        if rule.is_state:
            assert rule.literature
            assert rule.confidence_max <= STATE_CEILING
            assert " is " not in rule.text
    cited = {source.key for rule in rules.rules for source in rule.literature}
    assert cited == set(rules.sources)
    found = {source.key: source for source in rules.sources.values()}
    assert (found["grafsgaard2013"].year, found["mcdaniel2007"].year, found["barrett2019"].year) == (2013, 2007, 2019)
    ceilings = {rule.kind: rule.confidence_max for rule in rules.rules if rule.is_state}
    # kappa of trained judges at fixed times, and AUC of a detector of facial movements
    published = {"boredom": (0.25, 0.61), "confusion": (0.36, 0.649), "frustration": (0.27, 0.631), "lost-attention": (1, 0.816)}
    for state, (kappa, auc) in published.items():
        assert ceilings[state] <= min(kappa, 2 * auc - 1) + 0.005
    assert set(ceilings) == set(STATES)


def test_the_default_file_explains_every_key_and_signal() -> None:
    comments = "\n".join(line for line in default_rules_text().splitlines() if line.startswith("#"))
    used = {key for rule in tomllib.loads(default_rules_text())["rule"] for key in rule}
    for key in used | {"watched_s", "face_s", "read_s", "confidence", "min", "max", "stay_min", "stay_max", "or_no_evidence",
                       "after_s", "cooldown_s", "max_per_hour"} | set(SIGNALS):  # fmt: skip
        assert re.search(rf"\b{key}\b", comments), key


def test_page_and_terminal_show_the_rules() -> None:
    page, rules = (REPOSITORY / "docs" / "explanation" / "learning-states.md").read_text(), read_rules()
    assert f"prints -->\n{rules_markdown(rules)}\n" in page
    for signal in SIGNALS.values():
        assert f"| `{signal.name}` | {signal.meaning} | {'yes' if signal.needs_expressions else 'no'} |" in page
    text = rules_text(rules)
    for rule in rules.rules:
        assert f"{rule.name}  ({rule.kind})" in text
    for source in rules.sources.values():
        assert f"[{source.key}]" in text
    assert max(map(len, text.splitlines())) <= 110
    assert max(map(len, rules_text(rules, 60).splitlines())) <= 60
    example = page.split("```toml\n")[1].split("```")[0]
    assert parse_rules(example, "the page").rules[0].name == "away-for-long"


def test_reasons_for_unread_faces_match_the_pipeline() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 1, 48, 48)).astype(np.uint8)
    noise[1] //= 16
    noise[2] = 128
    blurred = np.linspace(0, 255, 48, dtype=np.uint8)
    noise[4, 0] = np.add.outer(blurred // 2, blurred // 2)
    poses = [None, None, None, HeadPose(80, 0, 0), None]
    assert set(unread_reasons(noise, [10, 99, 99, 99, 99], poses, [False] * 5)) == set(FAULTS)


@pytest.mark.parametrize("text", ["May be confusion", "Attention may be elsewhere", "The learner may be stuck"])
def test_possibilities_are_permitted_in_texts(text: str) -> None:
    assert fault_of_state(text) == ""


@pytest.mark.parametrize(
    "text",
    ["The learner is bored", "Learners are lost", "He feels lost, it may be", "Clearly confused", "It’s boredom", "Boredom", ""],
)
def test_claims_are_not_permitted_in_texts(text: str) -> None:
    assert fault_of_state(text)


def test_texts_of_observables_and_suggestions() -> None:
    for text in ("Bored", "Distracted by something", "Disengagement"):
        assert fault_of_observable(text)
    assert fault_of_observable("Head turned away, picture too dark") == ""
    for text in ("You look bored.", "Well done! You seem confused!", "Attention"):
        assert fault_of_message(text)
    for text in ("Are you bored? Take a break.", "This may be frustrating.", "Take a break."):
        assert fault_of_message(text) == ""


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 0.5))
def test_margins_are_0_at_the_bound_and_1_at_the_far_end(value: float, low: float, high: float, slack: float) -> None:
    low, high = sorted((low, high))
    measure = Measure((SIGNALS["valence"],))
    for condition in (
        Condition(measure, min=low, stay_min=low - slack),
        Condition(measure, max=high, stay_max=high + slack),
        Condition(measure, min=low, max=high),
    ):
        assert 0 <= condition.margin(value) <= 1
        if condition.holds(value, already=False):
            assert condition.holds(value, already=True)
        else:
            assert condition.margin(value) == 0
    if low < 1:
        assert Condition(measure, min=low).margin(1) == pytest.approx(1)


def test_a_signal_without_time_is_nan() -> None:
    sums = np.zeros(len(COLUMNS))
    for signal in SIGNALS.values():
        assert np.isnan(Measure((signal,)).value(sums))
    sums[[AT["read"], AT["changes"], AT["sad"], AT["angry"]]] = 30, 5, 6, 3
    assert Measure((SIGNALS["label_changes_per_min"],)).value(sums) == pytest.approx(10)
    assert Measure((SIGNALS["sad_share"], SIGNALS["angry_share"])).value(sums) == pytest.approx(0.3)


def mien(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    wide = os.environ | {"COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "mien", *arguments], cwd=cwd, env=wide, capture_output=True, text=True, check=False
    )


def test_the_command_line(tmp_path: Path) -> None:
    names = [group.typer_instance.info.name for group in app.registered_groups if group.typer_instance]
    assert "states" in names
    made = mien("states", "init", "mine.toml", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "mine.toml").read_text() == default_rules_text()
    again = mien("states", "init", "mine.toml", cwd=tmp_path)
    assert (again.returncode, "already exists" in again.stderr) == (2, True)
    valid = mien("states", "check", "mine.toml", cwd=tmp_path)
    assert valid.stdout.startswith(
        "mine.toml: valid; 9 rules, 4 about states; 5 with a suggestion, at most 4 suggestions per hour"
    )
    assert mien("states", "show", "mine.toml", cwd=tmp_path).stdout.splitlines()[1:] == rules_text(read_rules()).splitlines()[1:]
    assert mien("states", "show", "--markdown", cwd=tmp_path).stdout == rules_markdown(read_rules())
    text = default_rules_text().replace("window_s = 20", "window_s = 0", 1).replace("May be boredom", "Is bored", 1)
    (tmp_path / "mine.toml").write_text(text)
    for verb in ("check", "show"):
        invalid = mien("states", verb, "mine.toml", cwd=tmp_path)
        assert invalid.returncode == 2
        assert "rule 'nobody-in-view', window_s is 0" in invalid.stderr
        assert "rule 'may-be-boredom', text says 'Is'" in invalid.stderr
        assert "Traceback" not in invalid.stderr
    assert mien("states", "check", "gone.toml", cwd=tmp_path).returncode == 3
