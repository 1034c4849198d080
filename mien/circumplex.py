"""Where expressions lie on the plane of valence and arousal, and how undecided a reading is.

The coordinates are what the words for the emotions mean to people, not what a face gives
away: a reading of 60 % happy is drawn to the middle of the plane, not to a milder joy. They
summarise the look of expressions, and say nothing of anyone's state.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS

COORDINATES: Final[dict[str, tuple[float, float]]] = {
    "angry": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "happy": (0.81, 0.51),
    "neutral": (0.0, 0.0),
    "sad": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
}
"""Valence and arousal, -1 to 1, of the words angry, disgusted, fearful, happy, sad and surprised (Russell and
Mehrabian 1977, doi:10.1016/0092-6566(77)90037-X, without dominance); neutral is the origin."""
_TABLE: Final = np.array([COORDINATES[name] for name in EMOTIONS])


def valence_arousal(probabilities: NDArray[np.floating]) -> tuple[float, float]:
    """Return the mean coordinates of (7,) probabilities.

    >>> valence_arousal(np.array([0, 0, 0, 1.0, 0, 0, 0]))
    (0.81, 0.51)
    """
    valence, arousal = np.asarray(probabilities, np.float64) @ _TABLE
    return float(valence), float(arousal)


def entropy_bits(probabilities: NDArray[np.floating]) -> float:
    """Return the entropy (Shannon 1948) of (7,) probabilities: 0 when decided, log2 of 7 when all are as likely.

    >>> round(entropy_bits(np.full(7, 1 / 7)), 3), entropy_bits(np.eye(7)[2])
    (2.807, 0.0)
    """
    known = np.asarray(probabilities, np.float64)
    known = known[known > 0]
    return float(abs((known * np.log2(known)).sum()))
