"""The worksheet by which an operator classifies the system under Regulation (EU) 2024/1689."""

from __future__ import annotations

from mien.privacy.level import Level
from mien.privacy.paper_parts import DRAFT, Facts, ending, open_point, table
from mien.privacy.rules import UNION


def worksheet_text(facts: Facts) -> str:
    """Return the worksheet in Markdown."""
    policy, deployment = facts.policy, facts.policy.deployment
    in_union = deployment.jurisdiction in UNION
    reads = policy.level is Level.FULL
    excluded = "no exclusion is claimed"
    if policy.rule.name in ("own-use", "approved-study", "software-test"):
        excluded = f"{policy.rule.articles[0]}: {open_point('does every condition of it hold? why?')}"
    prohibited = "not as declared"
    if in_union:
        prohibited += f": {deployment.context}; {open_point('no education institution or workplace is involved: confirm')}"
    steps = [
        ("1", "Is it an AI system?", "yes: a trained network infers classes from pictures", "Art. 3(1)"),
        (
            "2",
            "Who are you?",
            f"deployer, if you use it; provider, if you offer it under your name or change its purpose: {open_point('which')}",
            "Art. 3(3), 3(4), 25",
        ),
        (
            "3",
            "Does the Act hold?",
            f"declared: {deployment.jurisdiction}"
            + ("" if in_union else f"; it does if the output is used in the Union: {open_point('is it?')}")
            + f"; {excluded}",
            "Art. 2",
        ),
        (
            "4",
            "Is it an emotion recognition system?",
            "taken to be one: it names expressions with words for emotions, from biometric data. Detecting a smile as such is "
            "none (Recital 18), and the line is not for a program to draw"
            if reads
            else "not as permitted here: presence, direction of the head and picture quality. It becomes one as soon as somebody "
            f"takes these for interest or attention: {open_point('who makes sure that nobody does?')}",
            "Art. 3(39), Recital 18",
        ),
        (
            "5",
            "Is it prohibited?",
            f"reading expressions: {policy.rule.reason}" if not reads else prohibited,
            "; ".join(policy.rule.articles),
        ),
        (
            "6",
            "Is it high-risk?",
            "yes, as emotion recognition; Art. 6(3) gives no way out where people are profiled"
            if reads
            else "not as emotion recognition",
            "Art. 6(2), 6(3), Annex III 1(c)",
        ),
        (
            "7",
            "High-risk for another reason?",
            f"declared purpose: {deployment.purpose}. Education and employment have points of their own: "
            + open_point("does one apply?"),
            "Annex III 3, 4",
        ),
        (
            "8",
            "Must people be told?",
            "yes" if reads else "not by this article; by data protection law",
            "Art. 50(3); GDPR Art. 13",
        ),
        (
            "9",
            "Has it passed a conformity assessment?",
            "no. This program comes with none, with no CE marking and no registration; who puts it into service as a high-risk "
            "system needs them",
            "Art. 16, 43, 48, 49",
        ),
        (
            "10",
            "Fundamental rights impact assessment?",
            open_point("needed of public bodies and private ones that provide public services"),
            "Art. 27",
        ),
        ("11", "Are the people who use it trained?", open_point("how"), "Art. 4"),
    ]
    lines = [
        "# AI Act: self-classification worksheet",
        "",
        DRAFT,
        "",
        f"Program: Mien {facts.version}. Model: {facts.card.name}, licence {facts.card.licence}. Declared: {deployment.context}, "
        f"{deployment.jurisdiction}, {deployment.purpose}. Rule: {policy.rule.name}. May be read: {policy.level}.",
        "",
        *table(("", "question", "answer", "article"), steps),
        "",
        f"Intended use, as the model's card has it: {facts.card.intended_use}",
        "",
        f"Excluded use: {facts.card.excluded_use}",
        "",
        "## Dates",
        "",
        *table(
            ("what", "since"),
            [
                ("prohibited practices, training of staff (Art. 5, 4)", "2 February 2025"),
                ("telling people (Art. 50(3))", "2 August 2026"),
                ("high-risk systems of Annex III", "2 December 2027, as amended in 2026; the first text said 2 August 2026"),
            ],
        ),
        "",
        f"Read the consolidated text before you rely on a date: {open_point('text read on')}.",
        "",
        "## Duties",
        "",
        *(f"- {duty}: {open_point('done how, by whom')}" for duty in policy.rule.duties),
        "",
        f"Result, name, date: {open_point('result')}",
    ]
    return ending("\n".join(lines) + "\n")
