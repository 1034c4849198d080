"""Valence and arousal of expressions (the circumplex model), and the entropy of a prediction.

The coordinates are ratings of emotion words, not of faces. A probability of 60% for happy moves
the point towards the origin; it does not mean mild happiness. The values summarise displayed
expressions and do not describe a person's state.
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
Mehrabian 1977, doi:10.1016/0092-6566(77)90037-X, dominance omitted); neutral is the origin."""
_TABLE: Final = np.array([COORDINATES[name] for name in EMOTIONS])


def valence_arousal(probabilities: NDArray[np.floating]) -> tuple[float, float]:
    """Return valence and arousal, -1 to 1: the mean coordinates weighted by (7,) probabilities.

    >>> valence_arousal(np.array([0, 0, 0, 1.0, 0, 0, 0]))
    (0.81, 0.51)
    """
    valence, arousal = np.asarray(probabilities, np.float64) @ _TABLE
    return float(valence), float(arousal)


def entropy_bits(probabilities: NDArray[np.floating]) -> float:
    """Return the Shannon entropy of (7,) probabilities in bits, 0 to log2(7).

    >>> round(entropy_bits(np.full(7, 1 / 7)), 3), entropy_bits(np.eye(7)[2])
    (2.807, 0.0)
    """
    known = np.asarray(probabilities, np.float64)
    known = known[known > 0]
    return float(abs((known * np.log2(known)).sum()))
