"""The deployment declaration: who uses the program, where, for whom and for what purpose, as a TOML file.

    [deployment]
    context = "education-institution"
    jurisdiction = "EU"

The policy follows from it (``policy``). The program cannot verify the declaration; the operator is
responsible for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mien.checked_table import CheckedTable, fault_message, parse_checked, read_toml
from mien.errors import DataError, FaultsError, UsageError, nearest

CONTEXTS: Final[Mapping[str, str]] = {
    "own-use": "I look at myself, on my own machine",
    "research": "a study that an ethics committee approved",
    "learning-outside-institution": "people who learn by themselves, outside school, university and employer",
    "education-institution": "a school, university or training centre, or on its behalf",
    "workplace": "people at work, applicants and trainees included, or on an employer's behalf",
    "medical-or-safety": "treatment, or protection of life and health",
    "software-test": "developing or testing the software on recordings or on the developers themselves",
}
JURISDICTIONS: Final[Mapping[str, str]] = {
    "EU": "a member state of the European Union",
    "EEA": "Iceland, Liechtenstein or Norway",
    "UK": "the United Kingdom",
    "US": "the United States",
    "other": "anywhere else",
}
PURPOSES: Final[Mapping[str, str]] = {
    "self-observation": "to see one's own expressions",
    "feedback-to-the-learner": "to show learners their own sessions",
    "improving-material": "to find the parts of a course that do not work, over groups of people",
    "research": "to answer a research question",
    "medical": "to treat, or to support people with a disability",
    "safety": "to protect life and health",
    "software-test": "to build and test software",
}
EXCLUDED_PURPOSES: Final[Mapping[str, str]] = {
    "grading": "to grade, or to decide about admission or promotion",
    "discipline": "to warn, punish or report people",
    "hiring": "to hire, promote, rate or dismiss people",
    "proctoring": "to watch people during tests",
    "covert-observation": "to watch people who do not know it",
}
LEGAL_BASES: Final[Mapping[str, str]] = {
    "none": "no data about others is processed",
    "consent": "GDPR Art. 6(1)(a)",
    "contract": "GDPR Art. 6(1)(b)",
    "legal-obligation": "GDPR Art. 6(1)(c)",
    "vital-interests": "GDPR Art. 6(1)(d)",
    "public-task": "GDPR Art. 6(1)(e)",
    "legitimate-interests": "GDPR Art. 6(1)(f)",
}
CONTEXTS_WITHOUT_OTHERS: Final = frozenset({"own-use", "software-test"})
"""Contexts without other people; operator, contact and legal basis are not required."""

QUESTIONS: Final[Mapping[str, str]] = {
    "context": "Where is it used?",
    "jurisdiction": "In which country?",
    "purpose": "What for?",
    "operator": "Who is responsible? (a person or an organisation)",
    "contact": "Whom can people contact about their data? (an e-mail address or telephone number)",
    "minors": "May people under 18 be recorded?",
    "legal_basis": "What is the legal basis for processing personal data?",
    "retention_days": "After how many days are sessions erased? (a whole number)",
    "approval": "Which ethics committee approved the study, under which number? (empty if there is no study)",
    "description": "Description in one or two sentences (may be empty)",
}
"""The question for each key, in the order in which ``mien policy init`` asks them."""

CHOICES: Final[Mapping[str, Mapping[str, str]]] = {
    "context": CONTEXTS,
    "jurisdiction": JURISDICTIONS,
    "purpose": {**PURPOSES, **EXCLUDED_PURPOSES},
    "legal_basis": LEGAL_BASES,
}
CONTEXT_PURPOSES: Final[Mapping[str, frozenset[str]]] = {
    "own-use": frozenset({"self-observation", "feedback-to-the-learner"}),
    "software-test": frozenset({"software-test"}),
}
"""The allowed purposes of these contexts; any other purpose needs another context."""
DEPLOYMENT_NAME: Final = Path("deployment.toml")
"""File name of the declaration in the working directory; it applies to every command started there."""
DEPLOYMENT_VARIABLE: Final = "MIEN_DEPLOYMENT"
"""Environment variable with the path of the declaration, used if no option is given."""
_TEXTS: Final = ("operator", "contact", "approval", "description")
_NEEDED_WITH_OTHERS: Final = ("operator", "contact", "minors", "legal_basis")
_MAX_BYTES: Final = 64 * 1024
_MAX_TEXT: Final = 1000
RETENTION_DAYS: Final = 30
"""Default retention period of sessions in days."""
MAX_RETENTION_DAYS: Final = 3650


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment declaration.

    Attributes:
        context: one of ``CONTEXTS``.
        jurisdiction: one of ``JURISDICTIONS``.
        purpose: one of ``PURPOSES``, or of ``EXCLUDED_PURPOSES``, which are refused.
        operator: the responsible person or organisation.
        contact: address for questions and complaints.
        minors: whether people under 18 may be recorded.
        legal_basis: one of ``LEGAL_BASES``.
        approval: approval of the study by an ethics committee.
        description: free text.
        retention_days: number of days after which sessions are erased, 1 to 3650.
        declared: False for the default that applies without a declaration.

    Raises:
        UsageError: a value is not one of the allowed ones.
    """

    context: str
    jurisdiction: str
    purpose: str
    _: KW_ONLY
    operator: str = ""
    contact: str = ""
    minors: bool = False
    legal_basis: str = "none"
    approval: str = ""
    description: str = ""
    retention_days: int = RETENTION_DAYS
    declared: bool = True

    def __post_init__(self) -> None:
        for key, choices in CHOICES.items():
            if getattr(self, key) not in choices:
                value = getattr(self, key)
                raise UsageError(f"{key} is {value!r}; it must be one of {', '.join(choices)}.{nearest(value, choices)}")


UNDECLARED: Final = Deployment("own-use", "other", "self-observation", declared=False)
"""The default without a declaration: own use on this machine."""


def find_deployment(named: str | Path | None = None) -> Path | None:
    """Return the path of the declaration that applies, None if there is none.

    In this order: ``named``, the environment variable ``MIEN_DEPLOYMENT``, ``deployment.toml`` in the working directory.

    Raises:
        DataError: whether there is a ``deployment.toml`` cannot be determined.
    """
    if named is not None:
        return Path(named)
    if os.environ.get(DEPLOYMENT_VARIABLE):
        return Path(os.environ[DEPLOYMENT_VARIABLE])
    try:
        DEPLOYMENT_NAME.lstat()  # a dangling link counts as a declaration, which then cannot be read
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read the declaration {DEPLOYMENT_NAME} ({error.strerror}). Check its permissions") from error
    return DEPLOYMENT_NAME


def read_deployment(path: Path) -> Deployment:
    """Read a declaration from a TOML file.

    Raises:
        DataError: the file cannot be read or is not TOML.
        UsageError: unknown keys, invalid values or missing keys; all faults are reported with their lines.
    """
    faults: list[str] = []
    name = f"the declaration {path}"
    text = read_toml(path, "the declaration", _MAX_BYTES, "Make one with: mien policy init")
    whole = parse_checked(text, name, faults)
    table = whole.table("deployment", needed=True)
    if table is not None:
        table.place = ""  # the only table
    found = None if table is None else _deployment(table)
    whole.close()
    return _whole(found, name, faults)


def declare(values: Mapping[str, Any]) -> Deployment:
    """Return the declaration with ``values`` by key, validated like a file.

    Raises:
        UsageError: as for ``read_deployment``.
    """
    faults: list[str] = []
    return _whole(_deployment(CheckedTable(values, "", faults, ())), "the declaration", faults)


def declared_values(deployment: Deployment) -> dict[str, Any]:
    """Return a declaration by key, as ``declare`` takes it."""
    return {key: value for key, value in asdict(deployment).items() if key != "declared"}


def deployment_text(deployment: Deployment) -> str:
    """Return the declaration as TOML, with each key's question as a comment."""
    lines = ["# Deployment declaration. Check it with: mien policy check FILE", "[deployment]"]
    for key, question in QUESTIONS.items():
        value = getattr(deployment, key)
        lines.append(f"# {question}")
        if key in CHOICES:
            lines += [f"#   {word}: {meaning}" for word, meaning in CHOICES[key].items() if word not in EXCLUDED_PURPOSES]
        # strings and booleans are written alike in JSON and TOML
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}", ""]
    return "\n".join(lines)


def needed(context: str) -> tuple[str, ...]:
    """Return the required keys of a declaration for ``context``."""
    return ("context", "jurisdiction", "purpose", *(() if context in CONTEXTS_WITHOUT_OTHERS else _NEEDED_WITH_OTHERS))


def _whole(found: Deployment | None, name: str, faults: list[str]) -> Deployment:
    if faults or found is None:
        raise FaultsError(fault_message(name, faults))
    return found


def _deployment(table: CheckedTable) -> Deployment | None:
    """Return the declaration in a table, or None after noting its faults."""
    chosen = {key: table.choice(key, choices, needed=False) for key, choices in CHOICES.items()}
    context = chosen["context"] or "own-use"
    required = needed(context)
    texts = {key: table.line(key, _MAX_TEXT, needed=key in required and table.has(key)) for key in _TEXTS}
    minors = table.flag("minors", needed=False)
    days = table.whole("retention_days", 1, MAX_RETENTION_DAYS, needed=False)
    for key in required:
        if not table.has(key):
            table.note(key, f"is missing ({QUESTIONS[key]})")
    table.close()
    if table.faulty:
        return None
    purpose, fitting = chosen["purpose"], CONTEXT_PURPOSES.get(context)
    basis = chosen["legal_basis"] or "none"
    if fitting and purpose not in fitting and purpose in PURPOSES:
        words = " or ".join(sorted(fitting))
        table.note("purpose", f"is {purpose!r}; for the context {context} it must be {words}. Choose the actual context")
    if context not in CONTEXTS_WITHOUT_OTHERS and basis == "none":
        table.note("legal_basis", f"is 'none'; the context {context} involves data about others and needs a legal basis")
    return Deployment(
        context,
        chosen["jurisdiction"],
        purpose,
        operator=texts["operator"],
        contact=texts["contact"],
        minors=bool(minors),
        legal_basis=basis,
        approval=texts["approval"],
        description=texts["description"],
        retention_days=RETENTION_DAYS if days is None else days,
    )
