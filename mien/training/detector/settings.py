"""Settings of a run that trains the detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mien.checked_table import CheckedTable, fault_message
from mien.errors import UsageError


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Settings of a run.

    Attributes:
        rounds: number of rounds; in each, ``round_scenes`` new scenes are composed.
        round_scenes: scenes composed for a round.
        batch_size: scenes a step.
        hard: scenes of a step that are drawn from the face-less ones that the network got most wrong.
        again: scenes of a step that are drawn from those of earlier rounds.
        window: rounds whose scenes may be drawn again.
        lr: learning rate of AdamW after the warm-up.
        weight_decay: of AdamW.
        decay_from: share of the run after which the rate falls linearly to zero.
        average: decay of the weight average, a step.
        seed: of everything that is drawn.
    """

    rounds: int = 230
    round_scenes: int = 512
    batch_size: int = 12
    hard: int = 1
    again: int = 5
    window: int = 30
    lr: float = 2e-3
    weight_decay: float = 1e-3
    decay_from: float = 0.6
    average: float = 0.998
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "round_scenes", "batch_size", "window"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.hard < 0 or self.again < 0 or self.fresh < 1:
            raise UsageError(f"hard {self.hard} and again {self.again} leave no new scene in a batch of {self.batch_size}")
        if self.round_scenes < self.fresh:
            raise UsageError(f"round_scenes is {self.round_scenes}; a step alone needs {self.fresh} new scenes")

    @property
    def fresh(self) -> int:
        """New scenes a step."""
        return self.batch_size - self.hard - self.again

    @property
    def steps_a_round(self) -> int:
        """Steps in which the new scenes of a round are used up."""
        return self.round_scenes // self.fresh

    def as_dict(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


def changed(settings: DetectorSettings, changes: Mapping[str, Any]) -> DetectorSettings:
    """Return ``settings`` with some values replaced.

    Raises:
        UsageError: an unknown key, or a value of another kind than the default's; all are named.
    """
    faults: list[str] = []
    table = CheckedTable(dict(changes), "", faults, ())
    values = {field.name: table.like(field.name, getattr(settings, field.name)) for field in fields(settings)}
    table.close()
    if faults:
        raise UsageError(fault_message("--set", faults))
    return DetectorSettings(**values)
