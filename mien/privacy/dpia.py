"""The draft of a data protection impact assessment (GDPR Art. 35(7)), and the record of processing (Art. 30(1))."""

from __future__ import annotations

from typing import Final

from mien.privacy.deployment import CONTEXTS, LEGAL_BASES, PURPOSES
from mien.privacy.document_parts import (
    DRAFT,
    Facts,
    ending,
    measures_table,
    model_rows,
    open_point,
    or_open,
    settings_rows,
    table,
)
from mien.privacy.level import Level

_DATA: Final = {
    Level.FULL: (
        "the image of a face, in memory during processing",
        "per face and frame: time, random name, position, seven probabilities, displayed expression, uncertainty",
        "a summary of the session; screenshots, if any are taken",
    ),
    Level.OBSERVABLES: (
        "the image of a face, in memory during processing",
        "per face and frame: time, random name, whether the head points at the screen, image quality",
    ),
}

_RISKS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "A wrong prediction is taken as true",
        "Predictions have a confidence; uncertain ones have a question mark; summaries state that an expression is not a feeling",
        "`docs/explanation/responsible-use.md`",
    ),
    (
        "The error rate differs between groups of people; it was not measured, because FER2013 has no age, sex or skin colour",
        "`mien evaluate --groups` measures it if people state their groups themselves",
        "`mien/evaluation/groups.py`",
    ),
    (
        "Predictions are later used for grading, discipline, hiring or proctoring",
        "These purposes are refused by the policy and excluded by the model card",
        "`mien/privacy/rules.py`",
    ),
    (
        "People feel watched and change their behaviour, or cannot refuse freely",
        "Consent is recorded per purpose and is as easy to withdraw as to give",
        "`mien/privacy/consent.py`",
    ),
    (
        "Unauthorised people get access to session files",
        "The files contain no images and no names, and are erased after the retention period",
        "`docs/explanation/threat-model.md`",
    ),
    (
        "People who did not consent are in view of the camera",
        "Nobody is left out: every detected face is processed",
        "`mien/pipeline.py`",
    ),
)


def dpia_text(facts: Facts) -> str:
    """Return the draft of the data protection impact assessment in Markdown."""
    policy, deployment = facts.policy, facts.policy.deployment
    lines = [
        "# Data protection impact assessment: draft",
        "",
        DRAFT,
        "",
        "## 1. Description of the processing (Art. 35(7)(a))",
        "",
    ]
    lines += table(
        ("", "", "source"),
        [
            ("controller", or_open(deployment.operator, "name and address"), "`deployment.toml`, operator"),
            ("contact", or_open(deployment.contact, "contact"), "`deployment.toml`, contact"),
            ("data protection officer", open_point("name, or why none is needed"), "–"),
            ("context", f"{CONTEXTS[deployment.context]}; {deployment.jurisdiction}", "`deployment.toml`, context, jurisdiction"),
            (
                "purpose",
                PURPOSES[deployment.purpose],
                "`deployment.toml`, purpose",
            ),
            ("description", or_open(deployment.description, "what exactly is done"), "`deployment.toml`, description"),
            ("people under 18", "yes" if deployment.minors else "no", "`deployment.toml`, minors"),
            ("number of people, frequency", open_point("numbers"), "–"),
            (
                "permitted",
                f"{policy.level}: {policy.rule.reason}",
                f"rule {policy.rule.name}: {'; '.join(policy.rule.articles)}",
            ),
            *(("data", words, "`mien/records.py`, `mien/sessions/observations.py`") for words in _DATA[policy.level]),
            (
                "storage",
                f"`{facts.root}`, erased after {facts.policy.deployment.retention_days} days",
                "session settings; job `mien privacy retention`",
            ),
            (
                "recipients",
                open_point("who receives what") if policy.leaves_machine else "none",
                f"rule {policy.rule.name}",
            ),
            ("program", f"Mien {facts.version}", "`mien/__init__.py`"),
            *(model_rows(facts) if policy.level is Level.FULL else ()),
            *settings_rows(facts),
        ],
    )
    if policy.level is Level.FULL:
        lines += ["", "Limitations of the model:", "", *(f"- {limit}" for limit in facts.limits)]
    lines += ["", "## 2. Necessity and proportionality (Art. 35(7)(b))", ""]
    lines += table(
        ("question", "answer"),
        [
            ("Legal basis", f"{deployment.legal_basis}: {LEGAL_BASES[deployment.legal_basis]}"),
            (
                "Why does this basis apply?",
                open_point("reasons; for consent: how it is freely given despite any imbalance of power"),
            ),
            (
                "Could the purpose be achieved without a camera?",
                open_point("alternatives considered: asking people, quizzes, usage data"),
            ),
            ("Is the program suitable for the purpose?", open_point("evidence, given the accuracy and limitations above")),
            ("How are people informed?", f"notice by `mien privacy notice`; {open_point('where and when they read it')}"),
            (
                "How can they exercise their rights?",
                f"`mien privacy export`, `erase`, `consent`; {open_point('whom they contact')}",
            ),
            ("Processors, transfers to third countries", open_point("contracts and safeguards, or none")),
        ],
    )
    lines += ["", "## 3. Risks to people (Art. 35(7)(c)) and measures (Art. 35(7)(d))", ""]
    lines += table(
        ("risk", "measure in the program", "source", "residual risk: likelihood, severity, acceptable?"),
        [(*risk, open_point("rating and further measures")) for risk in _RISKS],
    )
    lines += ["", "## 4. Tested measures", "", *measures_table()]
    lines += [
        "",
        "## 5. Duties that follow from the policy",
        "",
        *(f"- {duty}: {open_point('how, by whom')}" for duty in policy.rule.duties),
    ]
    lines += ["", "## 6. Opinions and decision", ""]
    lines += table(
        ("", ""),
        [
            ("Views of the people concerned or their representatives (Art. 35(9))", open_point("who was asked, and the answers")),
            ("Advice of the data protection officer (Art. 35(2))", open_point("advice")),
            ("Supervisory authority consulted (Art. 36), if the residual risk is high", open_point("yes or no")),
            ("Decision, name, date", open_point("decision")),
            ("Next review", open_point("when, and after which changes (Art. 35(11))")),
        ],
    )
    return ending("\n".join(lines) + "\n")


def record_text(facts: Facts) -> str:
    """Return the record of processing activities in Markdown."""
    policy, deployment = facts.policy, facts.policy.deployment
    rows = [
        ("(a) controller", f"{or_open(deployment.operator, 'name and address')}; {or_open(deployment.contact, 'contact')}"),
        ("(a) joint controllers, representative, data protection officer", open_point("names, or none")),
        ("(b) purposes", PURPOSES[deployment.purpose]),
        ("(c) categories of people", f"{CONTEXTS[deployment.context]}; people under 18: {'yes' if deployment.minors else 'no'}"),
        ("(c) categories of data", "; ".join(_DATA[policy.level])),
        ("(d) recipients", open_point("who receives what") if policy.leaves_machine else "none: nothing leaves the machine"),
        (
            "(e) transfers to third countries",
            open_point("none, or which, and on what legal ground") if policy.leaves_machine else "none",
        ),
        (
            "(f) time limits",
            f"sessions {facts.policy.deployment.retention_days} days; consents and audit log: {open_point('how long')}",
        ),
        ("(g) security", f"see the measures below; {open_point('disk encryption, access to the machine, backups')}"),
        ("legal basis", f"{deployment.legal_basis}: {LEGAL_BASES[deployment.legal_basis]}"),
        ("systems", f"Mien {facts.version}, model {facts.card.name}; files in `{facts.root}`"),
    ]
    lines = ["# Record of processing activities (GDPR Art. 30(1)): draft", "", DRAFT, "", *table(("", ""), rows)]
    return ending("\n".join([*lines, "", "## Tested measures", "", *measures_table()]) + "\n")
