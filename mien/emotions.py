"""The seven expression classes: their order, their other names, and their colours.

Every array with a class axis in this package follows ``EMOTIONS``. Other orders and other
names exist outside (FER2013's own CSV codes, FER+ column heads); they are translated to
this order once, where data is read, and never again.
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
"""Class names in the one order used everywhere (alphabetical, as in FER2013's folders)."""

FER2013_CODES: Final[tuple[str, ...]] = (
    "angry",
    "disgust",
    "fear",
    "happy",
    "sad",
    "surprise",
    "neutral",
)
"""Class name by the integer code 0..6 in ``fer2013.csv``: another order than ``EMOTIONS``."""

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
"""Names met in other data sets, by the name used here."""

COLOURS: Final[dict[str, str]] = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0C21B",
    "neutral": "#9AA5B1",
    "sad": "#0072B2",
    "surprise": "#56B4E9",
}
"""One colour a class, told apart by colour-blind readers (after Okabe and Ito, 2008)."""


def canonical_name(name: str) -> str | None:
    """Return the class that ``name`` stands for, or None when it is none of the seven.

    Case and surrounding blanks do not matter; other languages' names are not guessed.

    >>> canonical_name(" Happiness "), canonical_name("bored")
    ('happy', None)
    """
    key = name.strip().lower()
    if key in EMOTIONS:
        return key
    return ALIASES.get(key)
