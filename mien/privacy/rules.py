"""The rules by which a declaration is judged: which case, how much may be read, why, and what the operator owes.

The first rule that matches decides. Articles are of Regulation (EU) 2024/1689 (the AI Act)
and of Regulation (EU) 2016/679 (GDPR); a rule that no law demands says that it is ours. This
is engineering, not legal advice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mien.privacy.deployment import EXCLUDED_PURPOSES, Deployment
from mien.privacy.level import Level

OURS: Final = "rule of this software"
UNION: Final = frozenset({"EU", "EEA"})
"""Where the AI Act is taken to hold; it is marked as relevant for the EEA, so the EEA is treated alike."""

_PROHIBITION: Final = "AI Act Art. 5(1)(f)"
_HIGH_RISK: Final = "AI Act Art. 6(2), Annex III 1(c)"
_DISCLOSURE: Final = "AI Act Art. 50(3)"

_TELL: Final = "tell people before they are in the picture (AI Act Art. 50(3), GDPR Art. 13)"
_TELL_ANYWAY: Final = "tell people before they are in the picture (rule of this software)"
_TELL_GDPR: Final = "tell people before they are in the picture (GDPR Art. 13)"
_HIGH_RISK_DUTIES: Final = (
    "duties of high-risk systems from 2 December 2027 (AI Act Art. 8 to 27, 43, 49), "
    "and this software has had no conformity assessment"
)
_DPIA: Final = "data protection impact assessment (GDPR Art. 35)"
_BASIS: Final = "legal basis (GDPR Art. 6)"
_LITERACY: Final = "train the staff who use it (AI Act Art. 4)"
_CONSENT: Final = "ask people, and stop for whoever says no (rule of this software)"
_LOCAL_LAW: Final = "read the local law: it may forbid more"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the policy table.

    Attributes:
        name: a short name that never changes; logs and papers cite it.
        case: which declarations it is for, in words.
        matches: the same as code.
        level: how much may be read.
        reason: why, in a sentence.
        articles: what the reason rests on.
        duties: what the operator owes besides.
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


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "excluded-purpose",
        "anywhere, to grade, discipline, hire, proctor or watch covertly",
        lambda d: d.purpose in EXCLUDED_PURPOSES,
        Level.REFUSED,
        "an expression is no evidence about a person, and the model's card excludes this use",
        (OURS, _PROHIBITION, "AI Act Annex III 3 and 4", _DISCLOSURE),
    ),
    Rule(
        "study-without-approval",
        "research without an ethics committee's approval",
        lambda d: d.context == "research" and not d.approval.strip(),
        Level.REFUSED,
        "a study on people needs the approval of an ethics committee; name it in approval",
        (OURS,),
    ),
    Rule(
        "institution-in-union",
        "EU or EEA, education institution",
        lambda d: _in_union(d) and d.context == "education-institution",
        Level.OBSERVABLES,
        "inferring emotions in education institutions is prohibited since 2 February 2025; consent does not lift that",
        (_PROHIBITION,),
        (_TELL_GDPR, _BASIS, _DPIA),
    ),
    Rule(
        "workplace-in-union",
        "EU or EEA, workplace",
        lambda d: _in_union(d) and d.context == "workplace",
        Level.OBSERVABLES,
        "inferring emotions at the workplace is prohibited since 2 February 2025; consent does not lift that",
        (_PROHIBITION,),
        (_TELL_GDPR, _BASIS, _DPIA, "ask the employees' representatives where national law says so (GDPR Art. 88)"),
    ),
    Rule(
        "medical-in-name-only",
        "EU or EEA, declared medical or safety, for another purpose",
        lambda d: _in_union(d) and d.context == "medical-or-safety" and d.purpose not in ("medical", "safety"),
        Level.OBSERVABLES,
        "the exception covers medical and safety reasons and nothing else",
        (_PROHIBITION,),
        (_TELL_GDPR, _BASIS, _DPIA),
    ),
    Rule(
        "minors",
        "anywhere, people under 18, save for approved research, medical or safety reasons, and software tests",
        lambda d: d.minors and d.context not in ("research", "medical-or-safety", "software-test"),
        Level.OBSERVABLES,
        "children merit specific protection, and can hardly refuse",
        (OURS, "GDPR Recital 38"),
        (_TELL_ANYWAY, "consent of whoever holds parental responsibility where consent is the basis (GDPR Art. 8)"),
    ),
    Rule(
        "medical-or-safety-in-union",
        "EU or EEA, medical or safety reasons",
        lambda d: _in_union(d) and d.context == "medical-or-safety",
        Level.FULL,
        "medical and safety reasons are excepted from the prohibition; the system is high-risk",
        (f"{_PROHIBITION}, second half", _HIGH_RISK, _DISCLOSURE),
        (
            _TELL,
            _HIGH_RISK_DUTIES,
            _BASIS,
            "condition for data about health (GDPR Art. 9)",
            _DPIA,
            _LITERACY,
            "this software is no medical device (Regulation (EU) 2017/745)",
        ),
    ),
    Rule(
        "own-use",
        "own use on oneself, and whatever nobody declared",
        lambda d: d.context == "own-use",
        Level.FULL,
        "looking at oneself in private is a personal activity",
        ("AI Act Art. 2(10)", "GDPR Art. 2(2)(c)"),
        ("nobody else in the picture who did not agree (rule of this software)",),
    ),
    Rule(
        "software-test",
        "software test",
        lambda d: d.context == "software-test",
        Level.FULL,
        "testing before anything is put into service, on recordings or on the developers themselves",
        ("AI Act Art. 2(8)",),
        ("no test in real conditions (AI Act Art. 2(8), 60)",),
    ),
    Rule(
        "approved-study",
        "research that an ethics committee approved",
        lambda d: d.context == "research",
        Level.FULL,
        "a study that a committee looked at; results go back into no school, workplace or decision about a person",
        ("AI Act Art. 2(6) and 2(8), where their conditions hold", "GDPR Art. 89"),
        (_TELL, _CONSENT, _BASIS, _DPIA),
    ),
    Rule(
        "learning-in-union",
        "EU or EEA, learning outside an institution",
        lambda d: _in_union(d) and d.context == "learning-outside-institution",
        Level.FULL,
        "outside institutions and workplaces the system is permitted, high-risk, and must be disclosed",
        (_HIGH_RISK, _DISCLOSURE),
        (_TELL, _CONSENT, _HIGH_RISK_DUTIES, _BASIS, _DPIA, _LITERACY),
    ),
    Rule(
        "outside-union",
        "outside EU and EEA, all else",
        lambda d: True,
        Level.FULL,
        "the AI Act does not hold there, unless what comes out is used in the Union",
        ("AI Act Art. 2(1)(c)",),
        (_TELL_ANYWAY, _CONSENT, _LOCAL_LAW),
    ),
)
"""All rules; the last one matches whatever is left, so every declaration has an answer."""


def table_text() -> str:
    """Return the policy table in Markdown, first match first."""
    lines = ["| | case | may be read | why | rests on | the operator owes |", "|---|---|---|---|---|---|"]
    for number, rule in enumerate(RULES, start=1):
        cells = (rule.case, f"**{rule.level}**", rule.reason, "; ".join(rule.articles), "; ".join(rule.duties) or "–")
        lines.append(f"| {number} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
