"""What a window of faces says, and in words: has the picture changed, or what is shown in it?

A mix of expressions that changed moves the expression detector alone, because all others
compare with the nearest mix. A picture that changed moves them, and often the expressions as
well, since the model misreads: then the picture is the cause to look for first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.monitoring.detector import Kind, Reading
from mien.monitoring.sight import Sight

NOTHING, PICTURE, CONTENT, CONFIDENCE = "nothing", "picture", "content", "confidence"

WORDS: Final[dict[str, str]] = {
    NOTHING: "no drift",
    PICTURE: "the camera or its picture has changed",
    CONTENT: "other expressions are shown; the picture is as it was",
    CONFIDENCE: "the model's confidence has changed, the picture and the expressions have not: other faces than it knows?",
}
_OF_ANSWERS: Final[dict[str, str]] = {
    CONTENT: "other expressions are read than before; are they shown, or does the camera mislead? Answers alone do not tell",
    CONFIDENCE: "the model is less sure than before, or surer; is it the camera, or the faces? Answers alone do not tell",
}
"""What is said instead where only answers were compared."""
ADVICE: Final[dict[str, str]] = {
    NOTHING: "Nothing needs doing.",
    PICTURE: "Look at the camera first: light, lens, focus, resolution, framing. Retrain only if this picture is here to stay.",
    CONTENT: "Check whether people do something else than before. Retraining is needed only if the labels' shares matter.",
    CONFIDENCE: "Label a hundred of the new faces and score the model on them.",
}


@dataclass(frozen=True, slots=True)
class WindowVerdict:
    """One window, judged.

    Attributes:
        from_s: time of its first face.
        to_s: time of its last one.
        blocks: independent looks in it.
        readings: by detector.
        surprises: by detector: -log10 of the share of windows without drift that stray as far.
        flagged: detectors that are beyond the limit with an effect that matters.
        lasting: detectors that were flagged in m of the last n windows.
        mix: (7,) float64, the expressions of the nearest mix of the reference.
        shown: (7,) float64, share of the faces by the model's answer.
        averages: means of the picture's measures, confidence and entropy, where known.
        stability: population stability index of the picture's measures.
        confidence: mean confidence, the plain estimate of accuracy; None where no model reads.
        accuracy: the learnt estimate; None without one.
    """

    from_s: float
    to_s: float
    blocks: int
    readings: Mapping[str, Reading]
    surprises: Mapping[str, float]
    flagged: tuple[str, ...]
    lasting: tuple[str, ...]
    mix: NDArray[np.float64]
    shown: NDArray[np.float64]
    averages: Mapping[str, float]
    stability: Mapping[str, float]
    confidence: float | None
    accuracy: float | None


def words_of(what: str, sight: Sight) -> str:
    """Return a cause in words, claiming no more than was looked at.

    >>> words_of("content", "all")
    'other expressions are shown; the picture is as it was'
    """
    return _OF_ANSWERS.get(what, WORDS[what]) if sight == "answers" else WORDS[what]


def advice_of(what: str, sight: Sight) -> str:
    """Return what to do about a cause; where only answers were compared the camera is looked at first."""
    return ADVICE[PICTURE] if sight == "answers" and what != NOTHING else ADVICE[what]


def looks_like(kinds: Iterable[Kind]) -> str:
    """Return which change the kinds of flagged detectors point to.

    >>> looks_like(["content", "picture"]), looks_like(["content"]), looks_like([])
    ('picture', 'content', 'nothing')
    """
    seen = set(kinds)
    for kind in (PICTURE, CONTENT, CONFIDENCE):
        if kind in seen:
            return kind
    return NOTHING
