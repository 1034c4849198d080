"""Wording checks for rules: texts about states say *may be*, texts about observables name no state.

Rules are based on expressions, which do not show what people are, feel or think. Rules files whose texts
claim otherwise are refused.
"""

from __future__ import annotations

import re
from typing import Final

_STATE: Final = re.compile(
    r"\b(confus\w*|frustrat\w*|bored\w*|boring|distract\w*|inattenti\w*|attentive\w*|attention|disengag\w*|engaged|annoyed|"
    r"unmotivated|lost interest)\b",
    re.IGNORECASE,
)
_CERTAIN: Final = re.compile(
    r"\b(is|are|am|was|were|isn't|aren't|feels?|seems?|must be|has been|certainly|clearly|definitely|obviously)\b|"
    r"\b(he|she|it|that|they|you|who|learner|student)['’](s|re)\b",
    re.IGNORECASE,
)
_MAY_BE: Final = re.compile(r"\bmay be\b", re.IGNORECASE)
_SENTENCE: Final = re.compile(r"[^.!?]+[.!?]*")


def fault_of_state(text: str) -> str:
    """Return the error in the text of a state, "" for none.

    >>> fault_of_state("The learner is confused")
    "says 'is': a face does not show that. Write 'may be', as in 'may be confused'"
    >>> fault_of_state("The learner may be confused")
    ''
    """
    certain = _CERTAIN.search(text)
    if certain:
        return f"says {certain[0]!r}: a face does not show that. Write 'may be', as in 'may be confused'"
    return "" if _MAY_BE.search(text) else "does not say 'may be'; a rule cannot know what people feel or think"


def fault_of_observable(text: str) -> str:
    """Return the error in the text of an observable, "" for none.

    >>> fault_of_observable("No attention for a minute")
    "says 'attention', which is not observable. Describe what is visible, as in 'head turned away from the screen'"
    """
    state = _STATE.search(text)
    return (
        ""
        if not state
        else f"says {state[0]!r}, which is not observable. Describe what is visible, as in 'head turned away from the screen'"
    )


def fault_of_message(text: str) -> str:
    """Return the error in the message of an intervention, "" for none: questions and *may be* are permitted.

    >>> fault_of_message("You are frustrated. Take a break!")
    "claims a state: 'You are frustrated.' Use a question, or 'may be'"
    >>> fault_of_message("Is something confusing here? A break may be what helps against frustration.")
    ''
    """
    for sentence in _SENTENCE.findall(text):
        if _STATE.search(sentence) and not sentence.rstrip().endswith("?") and not _MAY_BE.search(sentence):
            return f"claims a state: {sentence.strip()!r} Use a question, or 'may be'"
    return ""
