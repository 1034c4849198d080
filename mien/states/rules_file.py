"""The rules file: TOML that a teacher can edit, and that is refused by name where it says what cannot be.

Everything that is wrong is said at once, each with the rule, the key, and where it can be found
the line. The package's own rules stand in ``default_rules.toml`` and pass the same checks.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from mien.errors import DataError, RulesError, nearest
from mien.files import refuse_large
from mien.states.checked_table import CheckedTable
from mien.states.rules import (
    KINDS,
    LONGEST_S,
    OBSERVABLE,
    PICTURE,
    SHORTEST_S,
    STATE_CEILING,
    SUBJECTS,
    Condition,
    Least,
    Rule,
    RuleSet,
    Source,
    Wish,
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
_LEAST_COOLDOWN_S: Final = 10.0


def default_rules_text() -> str:
    """Return the package's own rules as the text of a file, comments and all."""
    return _DEFAULT.read_text(encoding="utf-8")


def read_rules(path: Path | None = None) -> RuleSet:
    """Return the rules in a file; for None, the package's own.

    Raises:
        DataError: there is no such file, or it is not TOML.
        RulesError: a rule is refused; all faults are named.
    """
    if path is None:
        return parse_rules(default_rules_text(), _DEFAULT_NAME)
    refuse_large(path, _MAX_BYTES, "the rules file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"cannot read the rules file {path} ({error.strerror}). Make one with: mien states init {path}"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the rules file {path} is not UTF-8 text: {error}") from error
    return parse_rules(text, f"the rules file {path}")


def parse_rules(text: str, name: str) -> RuleSet:
    """Return the rules in a text.

    Args:
        text: TOML.
        name: how errors call it.

    Raises:
        DataError: it is not TOML.
        RulesError: a rule is refused; all faults are named.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{name}: not TOML: {error}") from error
    faults: list[str] = []
    whole = CheckedTable(document, "", faults, text.splitlines())
    sources = _sources(whole.table("literature"))
    limits = whole.table("interventions")
    per_hour = 4.0
    if limits is not None:
        per_hour = limits.number("max_per_hour", 0, 60) or 0.0
        limits.close()
    tables = whole.tables("rule", "rule")
    if not tables and not faults:
        faults.append("there is no rule, [[rule]], in it")
    if len(tables) > _MAX_RULES:
        faults.append(f"there are {len(tables)} rules in it; at most {_MAX_RULES} are taken")
    rules = [_rule(table, sources) for table in tables[:_MAX_RULES]]
    for number, rule in enumerate(rules):
        if rule.name and rule.name in [earlier.name for earlier in rules[:number]]:
            tables[number].note("name", f"is {rule.name!r} as in an earlier rule; give each its own")
    whole.close()
    if faults:
        said = f" {faults[0]}" if len(faults) == 1 else "".join(f"\n  {fault}" for fault in faults)
        raise RulesError(f"{name}:{said}")
    return RuleSet(name, tuple(rules), int(per_hour), sources)


def _sources(table: CheckedTable | None) -> dict[str, Source]:
    """Return the literature by key."""
    found: dict[str, Source] = {}
    for key, entry in ({} if table is None else table.named_tables()).items():
        year = entry.number("year", 1800, 2100)
        doi = entry.text("doi", needed=False)
        if doi and not _DOI.fullmatch(doi):
            entry.note("doi", f"is {doi!r}, which is no DOI: write it as in 10.1177/1529100619832930")
        authors, title, words = entry.text("authors"), entry.text("title"), entry.text("found")
        found[key] = Source(key, authors, int(year or 0), title, words, doi)
        entry.close()
    return found


def _rule(table: CheckedTable, sources: Mapping[str, Source]) -> Rule:
    """Return a rule; what is wrong with it is noted."""
    name = table.text("name")
    if name and not _NAME.fullmatch(name):
        table.note("name", f"is {name!r}; write it in small letters, digits and hyphens, as in 'looks-away'")
    if name:
        table.place = f"rule {name!r}"
    kind, about = table.choice("kind", KINDS), table.choice("about", SUBJECTS)
    is_state = kind not in ("", OBSERVABLE)
    text = table.text("text")
    fault = "" if not kind or not text else fault_of_state(text) if is_state else fault_of_observable(text)
    if fault:
        table.note("text", fault)
    window_s = table.number("window_s", SHORTEST_S, LONGEST_S)
    hold_s = table.number("hold_s", 0, LONGEST_S, needed=False) or 0.0
    highest = STATE_CEILING if is_state else 1.0
    ceiling = table.number("confidence_max", 0, 1, needed=is_state)
    if ceiling is not None and not 0 < ceiling <= highest:
        more = ": no rule may be surer of a state than human judges are of one another" if is_state else ""
        table.note("confidence_max", f"is {ceiling:g}; it must be more than 0 and at most {highest:g}{more}")
    evidence = table.text("evidence", needed=is_state)
    literature = table.texts("literature")
    for key in literature:
        if key not in sources:
            table.note("literature", f"names {key!r}, and there is no [literature.{key}].{nearest(key, sources)}")
    if is_state and not literature:
        table.note("literature", "is missing: a rule about a state must say on whose findings it rests")
    conditions = tuple(_condition(entry) for entry in table.tables("condition", "condition"))
    least = _least(table.table("least"), window_s)
    _check_conditions(table, kind, about, conditions, least)
    wish = _wish(table.table("intervention"))
    table.close()
    cited = tuple(sources[key] for key in literature if key in sources)
    return Rule(name, kind, text, about, window_s or SHORTEST_S, conditions, least, hold_s, ceiling or 1.0, evidence, cited, wish)


def _condition(table: CheckedTable) -> Condition:
    """Return a condition; what is wrong with it is noted."""
    measure = _measure(table)
    low, high = (measure.low, measure.high) if measure.bounded else (measure.low, 1e6)
    bounds = {key: table.number(key, low, high, needed=False) for key in ("min", "max", "stay_min", "stay_max")}
    least, most, stay_min, stay_max = bounds.values()
    if not (table.has("min") or table.has("max")):
        table.note("min", "and max are both missing: give one of them, or both")
    if least is not None and most is not None and least > most:
        table.note("min", f"is {least:g} and max is {most:g}: nothing can be both, swap them")
    for key, stay, bound, word in (("stay_min", stay_min, least, "above"), ("stay_max", stay_max, most, "below")):
        enter = key.removeprefix("stay_")
        if stay is not None and not table.has(enter):
            table.note(key, f"is set without {enter}")
        elif stay is not None and bound is not None and (stay > bound if word == "above" else stay < bound):
            table.note(key, f"is {stay:g}, {word} {enter}, which is {bound:g}: the rule would end as it begins")
    if (least is None or least <= low) and (most is None or (measure.bounded and most >= high)) and (least, most) != (None, None):
        table.note("min" if most is None else "max", f"never fails: {measure.text} is always {low:g} to {measure.high:g}")
    otherwise = table.text("or_no_evidence", needed=False)
    table.close()
    return Condition(measure, least, most, stay_min, stay_max, otherwise)


def _measure(table: CheckedTable) -> Measure:
    """Return what a condition asks about: a signal or a sum of signals."""
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
        table.note("signal", f"adds {text}: only shares of expressions, or reasons for not reading a face, can be added up")
    if len(set(names)) < len(names):
        table.note("signal", f"names one signal twice: {text}")
    return Measure(signals)


def _least(table: CheckedTable | None, window_s: float | None) -> Least:
    """Return what must have been seen; what is wrong with it is noted."""
    if table is None:
        return Least()
    values: dict[str, float] = {}
    for key in ("watched_s", "face_s", "read_s"):
        values[key] = table.number(key, 0, LONGEST_S, needed=False) or 0.0
        if window_s is not None and values[key] > window_s:
            table.note(key, f"is {values[key]:g}, more than window_s, which is {window_s:g}: there could never be evidence")
    values["confidence"] = table.number("confidence", 0, 1, needed=False) or 0.0
    table.close()
    return Least(**values)


def _check_conditions(table: CheckedTable, kind: str, about: str, conditions: tuple[Condition, ...], least: Least) -> None:
    """Note what is wrong with the conditions of a rule taken together."""
    if not conditions:
        table.note("condition", "is missing: a rule needs at least one [[rule.condition]]")
        return
    asked = [signal.name for condition in conditions for signal in condition.measure.signals]
    twice = next((name for name in asked if asked.count(name) > 1), "")
    if twice:
        table.note("condition", f"asks twice about {twice}: put min and max into one condition")
    if about != PICTURE and "several_share" in asked:
        table.note("about", f"is {about!r}, and several_share is about the whole picture: write about = {PICTURE!r}")
    expressions = [condition.measure.text for condition in conditions if condition.measure.needs_expressions]
    if kind == OBSERVABLE and expressions:
        table.note("condition", f"asks about {expressions[0]}: an observable must do without expressions")
    if expressions and (least.read_s <= 0 or least.confidence <= 0):
        table.note("least", "must set read_s and confidence, for the rule asks about expressions")
    if kind and not expressions and least.watched_s <= 0 and least.face_s <= 0:
        table.note("least", "must set watched_s or face_s: how much must have been seen?")
    backed = any(condition.or_no_evidence and not condition.measure.needs_expressions for condition in conditions)
    if kind == "boredom" and not backed:
        table.note(
            "condition",
            "rests on the face alone: boredom was not told from neutral faces. Add a condition on what can be seen, as "
            "screen_share, with or_no_evidence",
        )


def _wish(table: CheckedTable | None) -> Wish | None:
    """Return the intervention of a rule; what is wrong with it is noted."""
    if table is None:
        return None
    text = table.text("text")
    fault = fault_of_message(text) if text else ""
    if fault:
        table.note("text", fault)
    cooldown_s = table.number("cooldown_s", _LEAST_COOLDOWN_S, _DAY_S)
    after_s = table.number("after_s", 0, LONGEST_S, needed=False) or 0.0
    table.close()
    return Wish(text, cooldown_s or _LEAST_COOLDOWN_S, after_s)
