"""The policy table: for each kind of declaration, the permitted level, the reason and the operator's duties.

The first rule that matches applies. Articles refer to Regulation (EU) 2024/1689 (the AI Act) and
Regulation (EU) 2016/679 (GDPR); rules that no law requires are marked as rules of this software.
This is not legal advice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mien.privacy.deployment import EXCLUDED_PURPOSES, Deployment
from mien.privacy.level import Level

OURS: Final = "rule of this software"
UNION: Final = frozenset({"EU", "EEA"})
"""Jurisdictions in which the AI Act is assumed to apply; the text is EEA-relevant, so the EEA is included."""

_PROHIBITION: Final = "AI Act Art. 5(1)(f)"
_HIGH_RISK: Final = "AI Act Art. 6(2), Annex III 1(c)"
_DISCLOSURE: Final = "AI Act Art. 50(3)"

_INFORM: Final = "inform people before recording (AI Act Art. 50(3), GDPR Art. 13)"
_INFORM_OURS: Final = "inform people before recording (rule of this software)"
_INFORM_GDPR: Final = "inform people before recording (GDPR Art. 13)"
_HIGH_RISK_DUTIES: Final = (
    "comply with the requirements for high-risk systems from 2 December 2027 (AI Act Art. 8 to 27, 43, 49); "
    "this software has had no conformity assessment"
)
_DPIA: Final = "carry out a data protection impact assessment (GDPR Art. 35)"
_BASIS: Final = "have a legal basis (GDPR Art. 6)"
_LITERACY: Final = "train the staff who use it (AI Act Art. 4)"
_CONSENT: Final = "ask for consent, and do not record anyone who refuses (rule of this software)"
_LOCAL_LAW: Final = "check local law, which may be stricter"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One row of the policy table.

    Attributes:
        name: stable identifier, used in logs and documents.
        case: description of the declarations that match.
        matches: whether a declaration matches.
        level: the permitted level.
        reason: the reason in one sentence.
        articles: legal sources of the reason.
        duties: further duties of the operator.
    """

    name: str
    case: str
    matches: Callable[[Deployment], bool]
    level: Level
    reason: str
    articles: tuple[str, ...]
    duties: tuple[str, ...] = ()


def _in_union(deployment: Deployment) -> bool:
    return deployment.jurisdiction in UNION


RULES: Final[tuple[PolicyRule, ...]] = (
    PolicyRule(
        name="excluded-purpose",
        case="anywhere, for grading, discipline, hiring, proctoring or covert observation",
        matches=lambda d: d.purpose in EXCLUDED_PURPOSES,
        level=Level.REFUSED,
        reason="an expression is not evidence about a person, and the model card excludes this use",
        articles=(OURS, _PROHIBITION, "AI Act Annex III 3 and 4", _DISCLOSURE),
    ),
    PolicyRule(
        name="study-without-approval",
        case="research without an ethics committee's approval",
        matches=lambda d: d.context == "research" and not d.approval.strip(),
        level=Level.REFUSED,
        reason="a study with people needs the approval of an ethics committee; state it in approval",
        articles=(OURS,),
    ),
    PolicyRule(
        name="institution-in-union",
        case="EU or EEA, education institution",
        matches=lambda d: _in_union(d) and d.context == "education-institution",
        level=Level.OBSERVABLES,
        reason="inferring emotions in education institutions has been prohibited since 2 February 2025, even with consent",
        articles=(_PROHIBITION,),
        duties=(_INFORM_GDPR, _BASIS, _DPIA),
    ),
    PolicyRule(
        name="workplace-in-union",
        case="EU or EEA, workplace",
        matches=lambda d: _in_union(d) and d.context == "workplace",
        level=Level.OBSERVABLES,
        reason="inferring emotions at the workplace has been prohibited since 2 February 2025, even with consent",
        articles=(_PROHIBITION,),
        duties=(_INFORM_GDPR, _BASIS, _DPIA, "consult the employees' representatives if national law requires it (GDPR Art. 88)"),
    ),
    PolicyRule(
        name="medical-in-name-only",
        case="EU or EEA, medical or safety context with another purpose",
        matches=lambda d: _in_union(d) and d.context == "medical-or-safety" and d.purpose not in ("medical", "safety"),
        level=Level.OBSERVABLES,
        reason="the exception covers medical and safety reasons only",
        articles=(_PROHIBITION,),
        duties=(_INFORM_GDPR, _BASIS, _DPIA),
    ),
    PolicyRule(
        name="minors",
        case="anywhere, people under 18, except approved research, medical or safety reasons, and software tests",
        matches=lambda d: d.minors and d.context not in ("research", "medical-or-safety", "software-test"),
        level=Level.OBSERVABLES,
        reason="children merit specific protection and can hardly refuse",
        articles=(OURS, "GDPR Recital 38"),
        duties=(
            _INFORM_OURS,
            "if consent is the legal basis, obtain it from the holder of parental responsibility (GDPR Art. 8)",
        ),
    ),
    PolicyRule(
        name="medical-or-safety-in-union",
        case="EU or EEA, medical or safety reasons",
        matches=lambda d: _in_union(d) and d.context == "medical-or-safety",
        level=Level.FULL,
        reason="medical and safety reasons are exempt from the prohibition; the system is high-risk",
        articles=(f"{_PROHIBITION}, second half", _HIGH_RISK, _DISCLOSURE),
        duties=(
            _INFORM,
            _HIGH_RISK_DUTIES,
            _BASIS,
            "meet a condition for processing health data (GDPR Art. 9)",
            _DPIA,
            _LITERACY,
            "do not use it as a medical device, which it is not (Regulation (EU) 2017/745)",
        ),
    ),
    PolicyRule(
        name="own-use",
        case="use on oneself, and any use without a declaration",
        matches=lambda d: d.context == "own-use",
        level=Level.FULL,
        reason="private use on oneself is a personal activity",
        articles=("AI Act Art. 2(10)", "GDPR Art. 2(2)(c)"),
        duties=("do not record others without their consent (rule of this software)",),
    ),
    PolicyRule(
        name="software-test",
        case="software test",
        matches=lambda d: d.context == "software-test",
        level=Level.FULL,
        reason="testing before the system is put into service, on recordings or on the developers themselves",
        articles=("AI Act Art. 2(8)",),
        duties=("do not test in real-world conditions (AI Act Art. 2(8), 60)",),
    ),
    PolicyRule(
        name="approved-study",
        case="research with an ethics committee's approval",
        matches=lambda d: d.context == "research",
        level=Level.FULL,
        reason="the study was approved; its results must not be used in a school, a workplace or a decision about a person",
        articles=("AI Act Art. 2(6) and 2(8), if their conditions are met", "GDPR Art. 89"),
        duties=(_INFORM, _CONSENT, _BASIS, _DPIA),
    ),
    PolicyRule(
        name="learning-in-union",
        case="EU or EEA, learning outside institutions",
        matches=lambda d: _in_union(d) and d.context == "learning-outside-institution",
        level=Level.FULL,
        reason="outside institutions and workplaces, the system is permitted, but high-risk, and its use must be disclosed",
        articles=(_HIGH_RISK, _DISCLOSURE),
        duties=(_INFORM, _CONSENT, _HIGH_RISK_DUTIES, _BASIS, _DPIA, _LITERACY),
    ),
    PolicyRule(
        name="outside-union",
        case="outside EU and EEA, any other use",
        matches=lambda d: True,
        level=Level.FULL,
        reason="the AI Act does not apply, unless the output is used in the Union",
        articles=("AI Act Art. 2(1)(c)",),
        duties=(_INFORM_OURS, _CONSENT, _LOCAL_LAW),
    ),
)
"""All rules in order; the last one matches every declaration."""


def table_text() -> str:
    """Return the policy table in Markdown; the first matching row applies."""
    lines = ["| | case | permitted | reason | source | operator's duties |", "|---|---|---|---|---|---|"]
    for number, rule in enumerate(RULES, start=1):
        cells = (rule.case, f"**{rule.level}**", rule.reason, "; ".join(rule.articles), "; ".join(rule.duties) or "–")
        lines.append(f"| {number} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
