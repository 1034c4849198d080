"""The deployment declaration: who uses the program where, on whom and for what, as a small closed TOML file.

    [deployment]
    context = "education-institution"
    jurisdiction = "EU"

What may be read follows from it (``policy``). It declares, it does not prove: the program
believes what stands here, and whoever signs it answers for it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, UsageError
from mien.files import refuse_large

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
ALONE: Final = frozenset({"own-use", "software-test"})
"""Contexts without other people: nobody has to be named, and there is nobody to ask."""

QUESTIONS: Final[Mapping[str, str]] = {
    "context": "Where is it used?",
    "jurisdiction": "In which country?",
    "purpose": "What for?",
    "operator": "Who decides about it and answers for it? (a person or an organisation)",
    "contact": "Whom can people ask about their data? (a mail address or telephone number)",
    "minors": "May people under 18 be in the picture?",
    "legal_basis": "On which legal basis is data about people processed?",
    "retention_days": "After how many days is what was kept of a session erased? (a whole number)",
    "approval": "Which committee approved the study, under which number? (empty where there is no study)",
    "description": "What exactly is done, in a sentence or two? (may be empty)",
}
"""Each key as a question in plain words, in the order in which they are asked."""

CHOICES: Final[Mapping[str, Mapping[str, str]]] = {
    "context": CONTEXTS,
    "jurisdiction": JURISDICTIONS,
    "purpose": {**PURPOSES, **EXCLUDED_PURPOSES},
    "legal_basis": LEGAL_BASES,
}
FITTING_PURPOSES: Final[Mapping[str, frozenset[str]]] = {
    "own-use": frozenset({"self-observation", "feedback-to-the-learner"}),
    "software-test": frozenset({"software-test"}),
}
"""What these contexts can be for; with any other purpose the context is another one."""
_TEXTS: Final = ("operator", "contact", "approval", "description")
_NEEDED_WITH_OTHERS: Final = ("operator", "contact", "minors", "legal_basis")
_MAX_BYTES: Final = 64 * 1024
_MAX_TEXT: Final = 1000
RETENTION_DAYS: Final = 30
"""How long sessions are kept unless an operator says otherwise."""
_MOST_DAYS: Final = 3650


@dataclass(frozen=True, slots=True)
class Deployment:
    """What an operator declares.

    Attributes:
        context: one of ``CONTEXTS``.
        jurisdiction: one of ``JURISDICTIONS``.
        purpose: one of ``PURPOSES``, or of ``EXCLUDED_PURPOSES``, which are refused.
        operator: who decides and answers for it.
        contact: where people reach them.
        minors: whether people under 18 may be in the picture.
        legal_basis: one of ``LEGAL_BASES``.
        approval: the ethics committee's approval of a study.
        description: what is done, in free words.
        retention_days: after how many days sessions are erased, 1 to 3650.
        declared: whether somebody declared it; False for what holds without a declaration.
    """

    context: str
    jurisdiction: str
    purpose: str
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
                raise UsageError(_wrong_choice(key, getattr(self, key)))


UNDECLARED: Final = Deployment("own-use", "other", "self-observation", declared=False)
"""What holds where nobody declared anything: own use, on this machine."""


def read_deployment(path: Path) -> Deployment:
    """Return the declaration in a TOML file.

    Raises:
        DataError: there is no such file, or it is not TOML.
        UsageError: an unknown key, a wrong value, or something missing; all are named with their lines.
    """
    refuse_large(path, _MAX_BYTES, "the declaration")
    try:
        text = path.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text)
    except OSError as error:
        raise DataError(f"cannot read the declaration {path} ({error.strerror}). Make one with: mien deploy init") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"the declaration {path} is not TOML: {error}") from error
    strangers = [key for key in document if key != "deployment"]
    table = document.get("deployment")
    if strangers or not isinstance(table, dict):
        found = f"{_line(text, strangers[0])}{strangers[0]!r}" if strangers else "none"
        raise UsageError(f"the declaration {path} must hold one table, [deployment], and nothing else; it holds {found}")
    faults = _faults(table, text)
    if faults:
        raise UsageError(f"the declaration {path}: " + "; ".join(faults))
    return Deployment(**table)


def declare(values: Mapping[str, Any]) -> Deployment:
    """Return the declaration made of ``values``, by key, checked as a file is.

    Raises:
        UsageError: as ``read_deployment``.
    """
    faults = _faults(values, "")
    if faults:
        raise UsageError("the declaration: " + "; ".join(faults))
    return Deployment(**values)


def deployment_text(deployment: Deployment) -> str:
    """Return the declaration as the text of a TOML file, each key below its question."""
    lines = ["# Who uses the program where, on whom and for what. Check it with: mien deploy check FILE", "[deployment]"]
    for key, question in QUESTIONS.items():
        value = getattr(deployment, key)
        lines.append(f"# {question}")
        if key in CHOICES:
            lines += [f"#   {word}: {meaning}" for word, meaning in CHOICES[key].items() if word not in EXCLUDED_PURPOSES]
        # JSON's texts and truth values are TOML's as well
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}", ""]
    return "\n".join(lines)


def needed(context: str) -> tuple[str, ...]:
    """Return the keys that a declaration for ``context`` must have."""
    return ("context", "jurisdiction", "purpose", *(() if context in ALONE else _NEEDED_WITH_OTHERS))


def _faults(table: Mapping[str, Any], text: str) -> list[str]:
    """Return everything that is wrong with a table, each as a sentence that begins with its line in ``text``."""
    known = [field.name for field in fields(Deployment) if field.name != "declared"]
    faults = []
    for key, value in table.items():
        at = _line(text, key)
        if key not in known:
            faults.append(f"{at}unknown key {key!r}{_nearest(key, known)}; the keys are {', '.join(known)}")
        elif key == "minors":
            if not isinstance(value, bool):
                faults.append(f"{at}minors is {value!r}; it must be true or false")
        elif key == "retention_days":
            if type(value) is not int or not 1 <= value <= _MOST_DAYS:  # True is an int too
                faults.append(f"{at}retention_days is {value!r}; it must be a whole number from 1 to {_MOST_DAYS}")
        elif not isinstance(value, str):
            faults.append(f"{at}{key} is {value!r}; it must be text in quotation marks")
        elif key in CHOICES:
            if value not in CHOICES[key]:
                faults.append(at + _wrong_choice(key, value))
        elif len(value) > _MAX_TEXT or not all(char.isprintable() for char in value):
            faults.append(f"{at}{key} must be one line of at most {_MAX_TEXT} printable characters")
    context = str(table.get("context", "own-use"))
    for key in needed(context):
        if key not in table or (key in _TEXTS and not str(table[key]).strip()):
            faults.append(f"{key} is missing ({QUESTIONS[key]})")
    return faults or _contradictions(context, table, text)


def _contradictions(context: str, table: Mapping[str, Any], text: str) -> list[str]:
    """Return where values that are right by themselves do not go together."""
    faults = []
    purpose, fitting = table["purpose"], FITTING_PURPOSES.get(context)
    if fitting and purpose not in fitting and purpose in PURPOSES:
        at, words = _line(text, "purpose"), " or ".join(sorted(fitting))
        faults.append(f"{at}purpose is {purpose!r}, and {context} is for {words}; name the context in which that is done")
    if context not in ALONE and table["legal_basis"] == "none":
        faults.append(f"{_line(text, 'legal_basis')}legal_basis is 'none', and {context} means data about others; name one")
    return faults


def _wrong_choice(key: str, value: str) -> str:
    return f"{key} is {value!r}{_nearest(value, list(CHOICES[key]))}; it must be one of {', '.join(CHOICES[key])}"


def _nearest(word: str, known: list[str]) -> str:
    """Return a question that names the known word nearest to ``word``, "" where none is near."""
    by_fold = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold().replace("_", "-"), by_fold, n=1, cutoff=0.6)
    near = near or get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return f" (did you mean {by_fold[near[0]]!r}?)" if near else ""


def _line(text: str, key: str) -> str:
    """Return ``line N: `` for where ``key`` is set in a TOML text, "" where it is not found."""
    pattern = re.compile(rf"""\s*(\[\s*)?["']?{re.escape(key)}["']?\s*[\].=]""")
    number = next((n for n, line in enumerate(text.splitlines(), start=1) if pattern.match(line)), 0)
    return f"line {number}: " if number else ""
