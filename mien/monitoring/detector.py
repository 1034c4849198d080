"""What all detectors of drift have in common: a window in, a score and an effect out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mien.monitoring.baseline import Window

Kind = Literal["picture", "content", "confidence"]
"""What a detector speaks of: the camera's picture, the mix of expressions, how sure the model is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a detector says of one window.

    Attributes:
        score: what is compared with its own values where nothing changed; larger is further away.
        effect: how large the change is, in the detector's own unit (``Detector.effect_name``).
        parts: what the change consists of, largest first where it is ordered.
    """

    score: float
    effect: float
    parts: Mapping[str, float] = field(default_factory=dict)


class Detector(Protocol):
    """A streaming detector: it is given windows and holds the newest reading.

    Attributes:
        name: as it stands in reports.
        kind: what it speaks of.
        effect_name: unit of the effect, for people.
        least_effect: effects below this ask for nothing, however sure they are.
    """

    name: str
    kind: Kind
    effect_name: str
    least_effect: float

    def update(self, window: Window) -> None:
        """Take in the next window."""

    @property
    def reading(self) -> Reading | None:
        """What it says of the newest window; None before the first one."""
