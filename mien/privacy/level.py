"""The three levels of a policy; a module of its own, because rules and records both use it."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """What may be read from a face.

    Attributes:
        FULL: expressions, and everything computed from them.
        OBSERVABLES: presence, whether the face faces the screen, and image quality. Expressions
            and learning states must not be computed.
        REFUSED: nothing.
    """

    FULL = "full"
    OBSERVABLES = "observables"
    REFUSED = "refused"
