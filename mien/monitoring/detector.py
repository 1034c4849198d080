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
    """A streaming detector: it is given windows and holds the newest reading."""

    @property
    def name(self) -> str:
        """As it stands in reports."""

    @property
    def kind(self) -> Kind:
        """What it speaks of."""

    @property
    def effect_name(self) -> str:
        """Unit of the effect, for people."""

    @property
    def least_effect(self) -> float:
        """Effects below this ask for nothing, however sure they are."""

    def update(self, window: Window) -> None:
        """Take in the next window."""

    @property
    def reading(self) -> Reading | None:
        """What it says of the newest window; None before the first one."""
