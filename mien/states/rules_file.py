"""The rules file in TOML, with validation.

All errors are reported at once, each with rule, key and, where known, line. The packaged rules are in
``default_rules.toml`` and pass the same checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from mien.checked_table import CheckedTable, fault_message, parse_checked, read_toml
from mien.errors import FaultsError, nearest
from mien.states.rules import (
    KINDS,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    OBSERVABLE,
    PICTURE,
    STATE_CEILING,
    SUBJECTS,
    Citation,
    Condition,
    Evidence,
    InterventionRule,
    Rule,
    RuleSet,
)  # fmt: skip
from mien.states.signals import SIGNALS, Measure
from mien.states.wording import fault_of_message, fault_of_observable, fault_of_state

_DEFAULT: Final = resources.files("mien.states") / "default_rules.toml"
_DEFAULT_NAME: Final = "the default rules"
_MAX_BYTES: Final = 256 * 1024
_MAX_RULES: Final = 100
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DOI: Final = re.compile(r"10\.\d{4,9}/\S+")
_DAY_S: Final = 86400.0
_MIN_COOLDOWN_S: Final = 10.0


def default_rules_text() -> str:
    """Return the text of the packaged rules file, with comments."""
    return _DEFAULT.read_text(encoding="utf-8")


def read_rules(path: Path | None = None) -> RuleSet:
    """Return the rules of a file; None for the packaged rules.

    Raises:
        DataError: the file is missing or not valid TOML.
        FaultsError: rules are invalid; the message lists all errors.
    """
    if path is None:
        return parse_rules(default_rules_text(), _DEFAULT_NAME)
    text = read_toml(path, "the rules file", _MAX_BYTES, f"Make one with: mien states init {path}")
    return parse_rules(text, f"the rules file {path}")


def parse_rules(text: str, name: str) -> RuleSet:
    """Return the rules in a text.

    Args:
        text: TOML.
        name: name of the text in errors.

    Raises:
        DataError: the text is not valid TOML.
        FaultsError: rules are invalid; the message lists all errors.
    """
    faults: list[str] = []
    whole = parse_checked(text, name, faults)
    sources = _sources(whole.table("literature"))
    limits = whole.table("interventions")
    per_hour = 4.0
    if limits is not None:
        per_hour = limits.number("max_per_hour", 0, 60) or 0.0
        limits.close()
    tables = whole.tables("rule", "rule")
    if not tables and not faults:
        faults.append("it has no [[rule]]")
    if len(tables) > _MAX_RULES:
        faults.append(f"it has {len(tables)} rules; the limit is {_MAX_RULES}")
    rules = [_rule(table, sources) for table in tables[:_MAX_RULES]]
    for number, rule in enumerate(rules):
        if rule.name and rule.name in [earlier.name for earlier in rules[:number]]:
            tables[number].note("name", f"is {rule.name!r} as in an earlier rule; names must be unique")
    whole.close()
    if faults:
        raise FaultsError(fault_message(name, faults))
    return RuleSet(name, tuple(rules), int(per_hour), sources)


def _sources(table: CheckedTable | None) -> dict[str, Citation]:
    """Return the literature by key."""
    found: dict[str, Citation] = {}
    for key, entry in ({} if table is None else table.named_tables()).items():
        year = entry.number("year", 1800, 2100)
        doi = entry.text("doi", needed=False)
        if doi and not _DOI.fullmatch(doi):
            entry.note("doi", f"is {doi!r}, which is not a DOI; write it like 10.1177/1529100619832930")
        authors, title, finding = entry.text("authors"), entry.text("title"), entry.text("found")
        found[key] = Citation(key, authors, int(year or 0), title, finding, doi)
        entry.close()
    return found


def _rule(table: CheckedTable, sources: Mapping[str, Citation]) -> Rule:
    """Parse a rule and record its errors."""
    name = table.text("name")
    if name and not _NAME.fullmatch(name):
        table.note("name", f"is {name!r}; use lower-case letters, digits and hyphens, as in 'looks-away'")
    if name:
        table.place = f"rule {name!r}"
    kind, about = table.choice("kind", KINDS), table.choice("about", SUBJECTS)
    is_state = kind not in ("", OBSERVABLE)
    text = table.text("text")
    fault = "" if not kind or not text else fault_of_state(text) if is_state else fault_of_observable(text)
    if fault:
        table.note("text", fault)
    window_s = table.number("window_s", MIN_WINDOW_S, MAX_WINDOW_S)
    hold_s = table.number("hold_s", 0, MAX_WINDOW_S, needed=False) or 0.0
    highest = STATE_CEILING if is_state else 1.0
    ceiling = table.number("confidence_max", 0, 1, needed=is_state)
    if ceiling is not None and not 0 < ceiling <= highest:
        more = ", the best agreement of human judges on a state" if is_state else ""
        table.note("confidence_max", f"is {ceiling:g}; it must be more than 0 and at most {highest:g}{more}")
    evidence = table.text("evidence", needed=is_state)
    literature = table.texts("literature")
    for key in literature:
        if key not in sources:
            table.note("literature", f"names {key!r}, but there is no [literature.{key}].{nearest(key, sources)}")
    if is_state and not literature:
        table.note("literature", "is missing: a rule about a state must cite its sources")
    conditions = tuple(_condition(entry) for entry in table.tables("condition", "condition"))
    least = _least(table.table("least"), window_s)
    _check_conditions(table, kind, about, conditions, least)
    intervention = _intervention(table.table("intervention"))
    table.close()
    cited = tuple(sources[key] for key in literature if key in sources)
    return Rule(
        name,
        kind,
        text,
        about,
        window_s or MIN_WINDOW_S,
        conditions,
        least,
        hold_s,
        ceiling or 1.0,
        evidence,
        cited,
        intervention,
    )


def _condition(table: CheckedTable) -> Condition:
    """Parse a condition and record its errors."""
    measure = _measure(table)
    low, high = (measure.low, measure.high) if measure.bounded else (measure.low, 1e6)
    bounds = {key: table.number(key, low, high, needed=False) for key in ("min", "max", "stay_min", "stay_max")}
    least, most, stay_min, stay_max = bounds.values()
    if not (table.has("min") or table.has("max")):
        table.note("min", "and max are both missing; set at least one")
    if least is not None and most is not None and least > most:
        table.note("min", f"is {least:g} and max is {most:g}; swap them")
    for key, stay, bound, word in (("stay_min", stay_min, least, "above"), ("stay_max", stay_max, most, "below")):
        enter = key.removeprefix("stay_")
        if stay is not None and not table.has(enter):
            table.note(key, f"is set without {enter}")
        elif stay is not None and bound is not None and (stay > bound if word == "above" else stay < bound):
            table.note(key, f"is {stay:g}, {word} {enter}, which is {bound:g}; the rule would end as soon as it starts")
    if (least is None or least <= low) and (most is None or (measure.bounded and most >= high)) and (least, most) != (None, None):
        table.note("min" if most is None else "max", f"never fails: {measure.text} is always from {low:g} to {measure.high:g}")
    otherwise = table.text("or_no_evidence", needed=False)
    table.close()
    return Condition(measure, least, most, stay_min, stay_max, otherwise)


def _measure(table: CheckedTable) -> Measure:
    """Return the measure of a condition: a signal or a sum of signals."""
    fallback = Measure((SIGNALS["present_share"],))
    text = table.text("signal")
    names = [name.strip() for name in text.split("+")] if text else []
    for name in names:
        if name not in SIGNALS:
            table.note("signal", f"names {name!r}, which is none of {', '.join(SIGNALS)}.{nearest(name, SIGNALS)}")
            return fallback
    if not names:
        return fallback
    signals = tuple(SIGNALS[name] for name in names)
    groups = {signal.adds_with for signal in signals}
    if len(signals) > 1 and (len(groups) > 1 or "" in groups):
        table.note("signal", f"adds {text}; only shares of expressions, or shares of unread faces by reason, can be added")
    if len(set(names)) < len(names):
        table.note("signal", f"has a signal twice: {text}")
    return Measure(signals)


def _least(table: CheckedTable | None, window_s: float | None) -> Evidence:
    """Parse the minimum evidence and record its errors."""
    if table is None:
        return Evidence()
    values: dict[str, float] = {}
    for key in ("watched_s", "face_s", "read_s"):
        values[key] = table.number(key, 0, MAX_WINDOW_S, needed=False) or 0.0
        if window_s is not None and values[key] > window_s:
            table.note(key, f"is {values[key]:g}, more than window_s, which is {window_s:g}; there would never be evidence")
    values["confidence"] = table.number("confidence", 0, 1, needed=False) or 0.0
    table.close()
    return Evidence(**values)


def _check_conditions(table: CheckedTable, kind: str, about: str, conditions: tuple[Condition, ...], least: Evidence) -> None:
    """Record errors in the combination of conditions."""
    if not conditions:
        table.note("condition", "is missing: a rule needs at least one [[rule.condition]]")
        return
    used = [signal.name for condition in conditions for signal in condition.measure.signals]
    twice = next((name for name in used if used.count(name) > 1), "")
    if twice:
        table.note("condition", f"uses {twice} twice; put min and max into one condition")
    if about != PICTURE and "several_share" in used:
        table.note("about", f"is {about!r}, but several_share refers to the whole picture; use about = {PICTURE!r}")
    expressions = [condition.measure.text for condition in conditions if condition.measure.needs_expressions]
    if kind == OBSERVABLE and expressions:
        table.note("condition", f"uses {expressions[0]}; an observable must not use expressions")
    if expressions and (least.read_s <= 0 or least.confidence <= 0):
        table.note("least", "must set read_s and confidence, because the rule uses expressions")
    if kind and not expressions and least.watched_s <= 0 and least.face_s <= 0:
        table.note("least", "must set watched_s or face_s")
    backed = any(condition.or_no_evidence and not condition.measure.needs_expressions for condition in conditions)
    if kind == "boredom" and not backed:
        table.note(
            "condition",
            "uses the face alone, which does not separate boredom from neutral. Add a condition on an observable, such as "
            "screen_share, with or_no_evidence",
        )


def _intervention(table: CheckedTable | None) -> InterventionRule | None:
    """Parse the intervention settings of a rule and record their errors."""
    if table is None:
        return None
    text = table.text("text")
    fault = fault_of_message(text) if text else ""
    if fault:
        table.note("text", fault)
    cooldown_s = table.number("cooldown_s", _MIN_COOLDOWN_S, _DAY_S)
    after_s = table.number("after_s", 0, MAX_WINDOW_S, needed=False) or 0.0
    table.close()
    return InterventionRule(text, cooldown_s or _MIN_COOLDOWN_S, after_s)
