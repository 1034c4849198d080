"""The seven expression classes: their order, aliases and colours.

Every array with a class axis follows the order of ``EMOTIONS``. Other orders and names (FER2013's
CSV codes, FER+ column names) are converted once, when data is read.
"""

from __future__ import annotations

from typing import Final

EMOTIONS: Final[tuple[str, ...]] = (
    "angry",
    "disgust",
    "fear",
    "happy",
    "neutral",
    "sad",
    "surprise",
)
"""Class names in the order used everywhere (alphabetical, as in FER2013's folders)."""

FER2013_CODES: Final[tuple[str, ...]] = (
    "angry",
    "disgust",
    "fear",
    "happy",
    "sad",
    "surprise",
    "neutral",
)
"""Class names by the integer codes 0 to 6 in ``fer2013.csv``, which differ from the order of ``EMOTIONS``."""

ALIASES: Final[dict[str, str]] = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
"""Class names by the names used in other data sets."""

COLOURS: Final[dict[str, str]] = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0C21B",
    "neutral": "#9AA5B1",
    "sad": "#0072B2",
    "surprise": "#56B4E9",
}
"""One colour per class, from a palette for colour-blind readers (after Okabe and Ito, 2008)."""


def canonical_name(name: str) -> str | None:
    """Return the class for a name or alias, or None if there is none.

    Case and surrounding whitespace are ignored. Only English names are supported.

    >>> canonical_name(" Happiness "), canonical_name("bored")
    ('happy', None)
    """
    key = name.strip().lower()
    if key in EMOTIONS:
        return key
    return ALIASES.get(key)
