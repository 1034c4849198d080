"""The worksheet with which an operator classifies the system under Regulation (EU) 2024/1689 (the AI Act)."""

from __future__ import annotations

from mien.privacy.document_parts import DRAFT, Facts, ending, open_point, table
from mien.privacy.level import Level
from mien.privacy.rules import UNION


def worksheet_text(facts: Facts) -> str:
    """Return the worksheet in Markdown."""
    policy, deployment = facts.policy, facts.policy.deployment
    in_union = deployment.jurisdiction in UNION
    reads = policy.level is Level.FULL
    excluded = "no exclusion is claimed"
    if policy.rule.name in ("own-use", "approved-study", "software-test"):
        excluded = f"{policy.rule.articles[0]}: {open_point('is every condition met, and why?')}"
    prohibited = "not as declared"
    if in_union:
        prohibited += f": {deployment.context}; {open_point('no education institution or workplace is involved: confirm')}"
    steps = [
        ("1", "Is it an AI system?", "yes: a trained network infers classes from images", "Art. 3(1)"),
        (
            "2",
            "What is your role?",
            f"deployer if you use it; provider if you offer it under your name or change its purpose: {open_point('which')}",
            "Art. 3(3), 3(4), 25",
        ),
        (
            "3",
            "Does the Act apply?",
            f"declared: {deployment.jurisdiction}"
            + ("" if in_union else f"; it applies if the output is used in the Union: {open_point('is it?')}")
            + f"; {excluded}",
            "Art. 2",
        ),
        (
            "4",
            "Is it an emotion recognition system?",
            "assumed yes: it labels expressions with words for emotions, from biometric data. Detecting a smile as such is not "
            "emotion recognition (Recital 18); a program cannot decide where the line is"
            if reads
            else "not as permitted here: presence, head direction and image quality. It becomes one if these are interpreted as "
            f"interest or attention: {open_point('who makes sure that this does not happen?')}",
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
            "yes, as emotion recognition; the exception in Art. 6(3) does not apply to profiling of people"
            if reads
            else "not as emotion recognition",
            "Art. 6(2), 6(3), Annex III 1(c)",
        ),
        (
            "7",
            "High-risk for another reason?",
            f"declared purpose: {deployment.purpose}. Education and employment are listed separately: "
            + open_point("does one of them apply?"),
            "Annex III 3, 4",
        ),
        (
            "8",
            "Must people be informed?",
            "yes" if reads else "not by this article; by data protection law",
            "Art. 50(3); GDPR Art. 13",
        ),
        (
            "9",
            "Has it passed a conformity assessment?",
            "no. This program has no conformity assessment, CE marking or registration; anyone who puts it into service as a "
            "high-risk system needs them",
            "Art. 16, 43, 48, 49",
        ),
        (
            "10",
            "Fundamental rights impact assessment?",
            open_point("required of public bodies, and of private ones that provide public services"),
            "Art. 27",
        ),
        ("11", "Are the operators trained?", open_point("how"), "Art. 4"),
    ]
    lines = [
        "# AI Act: self-classification worksheet",
        "",
        DRAFT,
        "",
        f"Program: Mien {facts.version}. Model: {facts.card.name}, licence {facts.card.licence}. Declared: {deployment.context}, "
        f"{deployment.jurisdiction}, {deployment.purpose}. Rule: {policy.rule.name}. Permitted: {policy.level}.",
        "",
        *table(("", "question", "answer", "article"), steps),
        "",
        f"Intended use, according to the model card: {facts.card.intended_use}",
        "",
        f"Excluded use: {facts.card.excluded_use}",
        "",
        "## Dates",
        "",
        *table(
            ("what", "since"),
            [
                ("prohibited practices, AI literacy (Art. 5, 4)", "2 February 2025"),
                ("informing people (Art. 50(3))", "2 August 2026"),
                ("high-risk systems of Annex III", "2 December 2027, as amended in 2026; originally 2 August 2026"),
            ],
        ),
        "",
        f"Check the dates in the consolidated text: {open_point('text read on')}.",
        "",
        "## Duties",
        "",
        *(f"- {duty}: {open_point('how, by whom')}" for duty in policy.rule.duties),
        "",
        f"Result, name, date: {open_point('result')}",
    ]
    return ending("\n".join(lines) + "\n")
