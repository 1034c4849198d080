"""Verdicts on windows, and the likely cause of drift as text.

A changed mix of expressions affects the expression detector alone, because all others compare with the
nearest mix. A changed picture affects the others, and often the predicted expressions as well, so the
picture is then the likely cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.monitoring.detectors import DetectorResult, Kind
from mien.monitoring.observation import Scope

NOTHING, PICTURE, CONTENT, CONFIDENCE = "nothing", "picture", "content", "confidence"

DESCRIPTIONS: Final[dict[str, str]] = {
    NOTHING: "no drift",
    PICTURE: "the camera or its picture has changed",
    CONTENT: "the mix of expressions has changed; the picture has not",
    CONFIDENCE: "the model's confidence has changed; picture and expressions have not. Are the faces unlike its training data?",
}
_PREDICTIONS_ONLY: Final[dict[str, str]] = {
    CONTENT: "the predicted expressions have changed; predictions alone do not show whether people or the camera changed",
    CONFIDENCE: "the model's confidence has changed; predictions alone do not show whether the faces or the camera changed",
}
"""Descriptions for the scope ``answers``."""
ADVICE: Final[dict[str, str]] = {
    NOTHING: "No action is needed.",
    PICTURE: "Check the camera first: light, lens, focus, resolution, framing. Retrain only if the change is permanent.",
    CONTENT: "Check whether people's activity has changed. Retrain only if the class shares matter.",
    CONFIDENCE: "Label a hundred of the new faces and evaluate the model on them.",
}


@dataclass(frozen=True, slots=True)
class WindowVerdict:
    """Verdict on one window.

    Attributes:
        from_s: time of the first face, seconds.
        to_s: time of the last face, seconds.
        blocks: number of independent samples.
        results: result by detector.
        surprises: -log10 of the share of windows without drift with as high a score, by detector.
        flagged: detectors above the limit with a relevant effect.
        persistent: detectors that flagged this window and m of the last n.
        mix: (7,) float64 shares of the nearest mix of the reference's expressions.
        shown: (7,) float64 shares of faces by predicted class.
        averages: means of the quality measures, confidence and entropy, where known.
        stability: population stability index by quality measure.
        confidence: mean confidence, 0 to 1; None without predictions.
        accuracy: estimated accuracy, 0 to 1; None without a model.
    """

    from_s: float
    to_s: float
    blocks: int
    results: Mapping[str, DetectorResult]
    surprises: Mapping[str, float]
    flagged: tuple[str, ...]
    persistent: tuple[str, ...]
    mix: NDArray[np.float64]
    shown: NDArray[np.float64]
    averages: Mapping[str, float]
    stability: Mapping[str, float]
    confidence: float | None
    accuracy: float | None


def description_of(cause: str, scope: Scope) -> str:
    """Return the description of a cause within a scope.

    >>> description_of("content", "all")
    'the mix of expressions has changed; the picture has not'
    """
    return _PREDICTIONS_ONLY.get(cause, DESCRIPTIONS[cause]) if scope == "answers" else DESCRIPTIONS[cause]


def advice_of(cause: str, scope: Scope) -> str:
    """Return the recommended action; in scope ``answers`` the camera is always to be checked first."""
    return ADVICE[PICTURE] if scope == "answers" and cause != NOTHING else ADVICE[cause]


def likely_cause(kinds: Iterable[Kind]) -> str:
    """Return the likely cause by the kinds of the persistent detectors.

    >>> likely_cause(["content", "picture"]), likely_cause(["content"]), likely_cause([])
    ('picture', 'content', 'nothing')
    """
    present = set(kinds)
    for kind in (PICTURE, CONTENT, CONFIDENCE):
        if kind in present:
            return kind
    return NOTHING
