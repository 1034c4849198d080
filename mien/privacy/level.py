"""The three answers a policy can give. A word apart, because records and rules both speak it."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """How much of a face may be read.

    Attributes:
        FULL: expressions, and what is computed from them.
        OBSERVABLES: that a face is there, whether it faces the screen, how good the picture
            is. No expression and no learning state may be computed.
        REFUSED: nothing may be read.
    """

    FULL = "full"
    OBSERVABLES = "observables"
    REFUSED = "refused"
