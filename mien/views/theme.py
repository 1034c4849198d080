"""Colours, texts and areas shared by the parts of the live view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mien.drawing import Rgb

GROUND: Final[Rgb] = (15, 18, 23)
STAGE: Final[Rgb] = (8, 10, 13)
TRACK: Final[Rgb] = (36, 42, 51)
TEXT: Final[Rgb] = (230, 234, 240)
SOFT: Final[Rgb] = (146, 156, 170)
GREEN: Final[Rgb] = (74, 201, 126)
AMBER: Final[Rgb] = (245, 166, 35)

DRIFT_WORDS: Final = {"watching": (TRACK, "drift: not enough data yet"), "ok": (GREEN, "no drift"), "drift": (AMBER, "drift")}
"""Colour and text of the drift indicator, by status."""
NO_EXPRESSIONS: Final = (
    "Expressions are not read, because the",
    "declared deployment does not permit it.",
    "Details:",
    "mien policy check",
)
"""Text shown instead of expressions if they may not be read."""
KEYS: Final = (
    ("q", "quit"),
    ("s", "screenshot"),
    ("e", "export"),
    ("r", "reset"),
    ("SPACE", "pause"),
    ("w", "withdraw"),
    ("h", "help"),
)
"""The keys of the live view and their commands."""
OBSERVABLE_SIGNS: Final = (
    ("not read: too dark", "grey: this face is not read; the reason is shown"),
    ("facing", "the head points at the screen; this is not attention"),
)
"""Help on the terms in the live view if expressions may not be read."""
SIGNS: Final = (
    ("happy? 42%", "uncertain: at this confidence the error rate is high"),
    ("valence, arousal", "how pleasant and active expressions look, -1 to 1"),
    *OBSERVABLE_SIGNS,
)
"""Help on the terms in the live view."""
SMALL_PRINT: Final = "Expressions, not feelings."


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the window, in logical units."""

    x: float
    y: float
    w: float
    h: float
