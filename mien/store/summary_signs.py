"""What rules said of a session, for its page and its text: what was seen, and what may have been."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien import page_parts as part
from mien.store.summary_words import length, percent


def signs_section(more: Mapping[str, Any]) -> part.LinkedSection | None:
    """Return the section of a session's page; None where no rules were asked.

    Args:
        more: what else the session's summary says; the rules' sums stand under ``states``.
    """
    rules = _rules(more)
    if not rules:
        return None
    rows = [
        (
            rule["text"],
            length(rule["holds_s"]) if rule["holds_s"] else "–",
            str(rule["times"] or "–"),
            length(rule["no_evidence_s"]),
            "–" if rule["confidence_highest"] is None or rule["kind"] == "observable" else percent(rule["confidence_highest"]),
        )
        for rule in rules
    ]
    notes = [
        part.paragraph(
            "A rule looks back over a stretch of time, and says that there is no evidence until it has seen enough. "
            "Seconds of two faces count twice."
        )
    ]
    if any(rule["kind"] != "observable" for rule in rules):
        notes.append(
            part.paragraph(
                "What “may be” is an experiment: the confidence is low on purpose, since people who judge such states from faces "
                "hardly agree with one another. It says nothing certain about anybody."
            )
        )
    table = part.table(("what", "held", "times", "no evidence", "confidence at most"), rows)
    return part.linked_section("signs", "Signs", '<div class="close">' + table + "</div>", *notes)


def signs_lines(more: Mapping[str, Any]) -> list[str]:
    """Return a line for a terminal on each rule that held."""
    return [
        f"{'sign' if rule['kind'] == 'observable' else 'may be':<19} {rule['text'].removesuffix('.')}: {rule['holds_s']:.0f} s"
        for rule in _rules(more)
        if rule["holds_s"]
    ]


def _rules(more: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(more.get("states", {}).get("rules", {}).values())
