"""The draft of a data protection impact assessment (GDPR Art. 35(7)), and the record of processing (Art. 30(1))."""

from __future__ import annotations

from typing import Final

from mien.privacy.deployment import CONTEXTS, LEGAL_BASES, PURPOSES
from mien.privacy.level import Level
from mien.privacy.paper_parts import (
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

_DATA: Final = {
    Level.FULL: (
        "the picture of a face, in memory while it is read",
        "by face and frame: time, random name, place in the picture, seven probabilities, the expression that is shown, doubt",
        "a summary of the session; screenshots, if somebody takes them",
    ),
    Level.OBSERVABLES: (
        "the picture of a face, in memory while it is read",
        "by face and frame: time, random name, whether the head points at the screen, quality of the picture",
    ),
}

_RISKS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "A wrong reading is taken for the truth",
        "Readings carry a confidence; doubtful ones carry a question mark; every summary says that an expression is no feeling",
        "`docs/responsible_use.md`",
    ),
    (
        "The model errs more often for some people than for others; FER2013 knows neither age nor sex nor skin colour, so nobody "
        "measured it",
        "`mien evaluate --groups` measures it where people gave their groups themselves",
        "`mien/evaluation/groups.py`",
    ),
    (
        "Readings are used for grading, discipline, hiring or proctoring later on",
        "These purposes are refused by the policy table and excluded by the model's card",
        "`mien/privacy/rules.py`",
    ),
    (
        "People feel watched and behave otherwise, or cannot really refuse",
        "Consent is kept by purpose and taken back as easily",
        "`mien/privacy/consent.py`",
    ),
    (
        "Files of sessions come into wrong hands",
        "No pictures and no names in them; erased after the period",
        "`docs/threat_model.md`",
    ),
    (
        "People who were not asked are in the picture",
        "Nothing: it reads every face it finds",
        "`mien/live/pipeline.py`",
    ),
)


def dpia_text(facts: Facts) -> str:
    """Return the draft of the assessment in Markdown."""
    policy, deployment = facts.policy, facts.policy.deployment
    lines = ["# Data protection impact assessment: draft", "", DRAFT, "", "## 1. What is done (Art. 35(7)(a))", ""]
    lines += table(
        ("", "", "source"),
        [
            ("controller", or_open(deployment.operator, "name and address"), "`deployment.toml`, operator"),
            ("contact", or_open(deployment.contact, "contact"), "`deployment.toml`, contact"),
            ("data protection officer", open_point("name, or why none is needed"), "–"),
            ("where", f"{CONTEXTS[deployment.context]}; {deployment.jurisdiction}", "`deployment.toml`, context, jurisdiction"),
            (
                "what for",
                PURPOSES[deployment.purpose],
                "`deployment.toml`, purpose",
            ),
            ("in detail", or_open(deployment.description, "what exactly is done"), "`deployment.toml`, description"),
            ("people under 18", "yes" if deployment.minors else "no", "`deployment.toml`, minors"),
            ("how many people, how often", open_point("numbers"), "–"),
            (
                "may be read",
                f"{policy.level}: {policy.rule.reason}",
                f"rule {policy.rule.name}: {'; '.join(policy.rule.articles)}",
            ),
            *(("data", words, "`mien/records.py`, `mien/store/observations.py`") for words in _DATA[policy.level]),
            (
                "kept in",
                f"`{facts.root}`, erased after {facts.policy.deployment.retention_days} days",
                "as asked for; job `mien privacy retention`",
            ),
            (
                "recipients",
                open_point("who sees or receives what") if policy.leaves_machine else "none",
                f"rule {policy.rule.name}",
            ),
            ("program", f"Mien {facts.version}", "`mien/__init__.py`"),
            *(model_rows(facts) if policy.level is Level.FULL else ()),
            *settings_rows(facts),
        ],
    )
    if policy.level is Level.FULL:
        lines += ["", "What the model cannot do:", "", *(f"- {limit}" for limit in facts.limits)]
    lines += ["", "## 2. Is it necessary and in proportion? (Art. 35(7)(b))", ""]
    lines += table(
        ("question", "answer"),
        [
            ("Legal basis", f"{deployment.legal_basis}: {LEGAL_BASES[deployment.legal_basis]}"),
            (
                "Why does this basis hold?",
                open_point("reasons; where it is consent: how it is free, where there is a balance of power"),
            ),
            (
                "Could the purpose be reached without a camera?",
                open_point("what else was looked at: asking people, quizzes, usage data"),
            ),
            ("Does the program do what the purpose needs?", open_point("evidence, given the accuracy and limits above")),
            ("How are people told?", f"notice, made by `mien privacy notice`; {open_point('where and when they read it')}"),
            ("How do they use their rights?", f"`mien privacy export`, `erase`, `consent`; {open_point('how they reach you')}"),
            ("Processors, transfers to third countries", open_point("contracts and safeguards, or none")),
        ],
    )
    lines += ["", "## 3. Risks to people (Art. 35(7)(c)) and what is done about them (Art. 35(7)(d))", ""]
    lines += table(
        ("risk", "what the program does", "source", "what remains: likely? grave? acceptable?"),
        [(*risk, open_point("rating and further measures")) for risk in _RISKS],
    )
    lines += ["", "## 4. Measures that are built and tested", "", *measures_table()]
    lines += [
        "",
        "## 5. Duties that follow from the policy",
        "",
        *(f"- {duty}: {open_point('done how, by whom')}" for duty in policy.rule.duties),
    ]
    lines += ["", "## 6. Opinions and decision", ""]
    lines += table(
        ("", ""),
        [
            ("Views of the people concerned or their representatives (Art. 35(9))", open_point("whom you asked, what they said")),
            ("Advice of the data protection officer (Art. 35(2))", open_point("advice")),
            ("Supervisory authority asked (Art. 36), if the risk stays high", open_point("yes or no")),
            ("Decision, name, date", open_point("decision")),
            ("To be looked at again", open_point("when, and after which changes (Art. 35(11))")),
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
            open_point("none, or which and on what ground") if policy.leaves_machine else "none",
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
    return ending("\n".join([*lines, "", "## Measures that are built and tested", "", *measures_table()]) + "\n")
