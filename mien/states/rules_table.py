"""Rules for a terminal, and as the table of the documentation."""

from __future__ import annotations

import textwrap
from typing import Final

from mien.states.rules import SUBJECTS, Least, Rule, RuleSet, Source

WIDEST: Final = 110
"""Characters a line, at most."""


def rules_text(rules: RuleSet, width: int = WIDEST) -> str:
    """Return all rules for a terminal: what each says, when, with how much confidence, and on whose findings it rests.

    Args:
        rules: the rules.
        width: characters a line.
    """
    observables, states = ([rule for rule in rules.rules if rule.is_state is wanted] for wanted in (False, True))
    lines = [f"{rules.name}: at most {rules.max_per_hour} suggestions an hour"]
    for title, group in (
        ("OBSERVABLES: what can be seen", observables),
        ("STATES (experimental): what may be, never what is", states),
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
        "| rule | says | when | over | ceiling | needs | suggests | rests on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rule in rules.rules:
        cells = (
            f"`{rule.name}`",
            rule.text,
            "; ".join(f"`{condition.text}`" for condition in rule.conditions),
            f"{rule.window_s:g} s, {SUBJECTS[rule.about]}",
            f"{rule.confidence_max:g}",
            least_text(rule.least),
            rule.intervention.text if rule.intervention else "–",
            ", ".join(source.key for source in rule.literature) or "–",
        )
        lines.append(_row(*cells))
    lines += ["", "| key | publication | found |", "|---|---|---|"]
    for source in rules.sources.values():
        where = f", doi:{source.doi}" if source.doi else ""
        lines.append(_row(source.key, f"{source.short}, *{source.title}*{where}", source.found))
    return "\n".join(lines) + "\n"


def source_text(source: Source) -> str:
    """Return a publication and its finding on one line."""
    where = f" doi:{source.doi}." if source.doi else ""
    return f"{source.short}. {source.title}.{where} Found: {source.found}"


def least_text(least: Least) -> str:
    """Return what must have been seen, for people."""
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
        ("says", f"{rule.text}, with a confidence of at most {rule.confidence_max:g}"),
        ("over", f"{rule.window_s:g} s, {SUBJECTS[rule.about]}{hold}"),
        *(("when", _condition_words(condition.text, condition.or_no_evidence)) for condition in rule.conditions),
        ("needs", least_text(rule.least)),
    ]
    if rule.evidence:
        rows.append(("evidence", rule.evidence))
    if rule.literature:
        rows.append(("rests on", ", ".join(source.key for source in rule.literature)))
    if rule.intervention is not None:
        wish = rule.intervention
        after = f"after {wish.after_s:g} s, " if wish.after_s else ""
        rows.append(("suggests", f"{wish.text} ({after}at most once in {wish.cooldown_s:g} s)"))
    lines = [f"{rule.name}  ({rule.kind})"]
    for label, words in rows:
        lines += _wrapped(words, f"  {label:<9} ", width)
    return lines


def _condition_words(text: str, otherwise: str) -> str:
    return f"{text}; else no evidence: {otherwise}" if otherwise else text


def _wrapped(text: str, head: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * (len(head) or 4), break_on_hyphens=False)
