"""Rules as text for a terminal and as Markdown tables."""

from __future__ import annotations

import textwrap
from typing import Final

from mien.states.rules import SUBJECTS, Citation, Evidence, Rule, RuleSet

MAX_WIDTH: Final = 110
"""Largest line width, in characters."""


def rules_text(rules: RuleSet, width: int = MAX_WIDTH) -> str:
    """Return all rules as text, with conditions, confidence and literature.

    Args:
        rules: the rules.
        width: line width in characters.
    """
    observables, states = ([rule for rule in rules.rules if rule.is_state is is_state] for is_state in (False, True))
    lines = [f"{rules.name}: at most {rules.max_per_hour} suggestions per hour"]
    for title, group in (
        ("OBSERVABLES", observables),
        ("STATES (experimental): possibilities, not findings", states),
    ):
        lines += ["", title, "=" * 60]
        for rule in group:
            lines += [*_rule_lines(rule, width), ""]
        if not group:
            lines += ["none", ""]
    if rules.sources:
        lines += ["LITERATURE", "=" * 60]
        for source in rules.sources.values():
            lines += _wrapped(f"[{source.key}] {source_text(source)}", "", width)
    return "\n".join(lines).rstrip()


def rules_markdown(rules: RuleSet) -> str:
    """Return the rules as two Markdown tables, rules and literature."""
    lines = [
        "| rule | text | conditions | window | max. confidence | evidence | suggestion | literature |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rule in rules.rules:
        cells = (
            f"`{rule.name}`",
            rule.text,
            "; ".join(f"`{condition.text}`" for condition in rule.conditions),
            f"{rule.window_s:g} s, {SUBJECTS[rule.about]}",
            f"{rule.confidence_max:g}",
            evidence_text(rule.least),
            rule.intervention.text if rule.intervention else "–",
            ", ".join(source.key for source in rule.literature) or "–",
        )
        lines.append(_row(*cells))
    lines += ["", "| key | publication | finding |", "|---|---|---|"]
    for source in rules.sources.values():
        where = f", doi:{source.doi}" if source.doi else ""
        lines.append(_row(source.key, f"{source.short}, *{source.title}*{where}", source.found))
    return "\n".join(lines) + "\n"


def source_text(source: Citation) -> str:
    """Return a publication and its finding on one line."""
    where = f" doi:{source.doi}." if source.doi else ""
    return f"{source.short}. {source.title}.{where} Finding: {source.found}"


def evidence_text(least: Evidence) -> str:
    """Return the evidence requirement as text."""
    parts = [
        f"{seconds:g} s {what}"
        for seconds, what in ((least.watched_s, "watched"), (least.face_s, "with a face"), (least.read_s, "readable"))
        if seconds
    ]
    return ", ".join([*parts, *([f"confidence {least.confidence:g}"] if least.confidence else [])])


def _row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _rule_lines(rule: Rule, width: int) -> list[str]:
    hold = f", held for {rule.hold_s:g} s" if rule.hold_s else ""
    rows = [
        ("text", f"{rule.text}, with a confidence of at most {rule.confidence_max:g}"),
        ("window", f"{rule.window_s:g} s, {SUBJECTS[rule.about]}{hold}"),
        *(("if", _condition_text(condition.text, condition.or_no_evidence)) for condition in rule.conditions),
        ("requires", evidence_text(rule.least)),
    ]
    if rule.evidence:
        rows.append(("evidence", rule.evidence))
    if rule.literature:
        rows.append(("sources", ", ".join(source.key for source in rule.literature)))
    if rule.intervention is not None:
        settings = rule.intervention
        after = f"after {settings.after_s:g} s, " if settings.after_s else ""
        rows.append(("suggests", f"{settings.text} ({after}at most once in {settings.cooldown_s:g} s)"))
    lines = [f"{rule.name}  ({rule.kind})"]
    for label, text in rows:
        lines += _wrapped(text, f"  {label:<9} ", width)
    return lines


def _condition_text(text: str, otherwise: str) -> str:
    return f"{text}; else no evidence: {otherwise}" if otherwise else text


def _wrapped(text: str, head: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * (len(head) or 4), break_on_hyphens=False)
