"""Results of rules about learners, for the page and the text of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.words import length, percent


def signs_section(more: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the values of the page's section on signs; None if no rules were used.

    Args:
        more: ``KeptSession.more``; the results of rules are under ``states``.
    """
    rules = _rules(more)
    if not rules:
        return None
    held = [
        (
            rule["text"],
            length(rule["holds_s"]),
            str(rule["times"] or "–"),
            length(rule["no_evidence_s"]),
            "–" if rule["confidence_highest"] is None or rule["kind"] == "observable" else percent(rule["confidence_highest"]),
        )
        for rule in rules
        if rule["holds_s"]
    ]
    return {
        "held": held,
        "never": [rule["text"] for rule in rules if not rule["holds_s"] and rule.get("no_sign_s")],
        "unjudged": [rule["text"] for rule in rules if not rule["holds_s"] and not rule.get("no_sign_s")],
        "some_are_states": any(rule["kind"] != "observable" for rule in rules),
    }


def signs_lines(more: Mapping[str, Any]) -> list[str]:
    """Return a line of text for each rule that held."""
    return [
        f"{'sign' if rule['kind'] == 'observable' else 'may be':<19} {rule['text'].removesuffix('.')}: {rule['holds_s']:.0f} s"
        for rule in _rules(more)
        if rule["holds_s"]
    ]


def _rules(more: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(more.get("states", {}).get("rules", {}).values())
