"""Settings of the detector's training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mien.checked_table import CheckedTable, fault_message
from mien.errors import FaultsError, UsageError
from mien.training.settings import MAX_SEED


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Settings of a training run.

    Attributes:
        rounds: number of rounds.
        round_scenes: number of new scenes per round.
        batch_size: number of scenes per step.
        hard: number of hard negatives per step, the scenes without faces that have the highest losses.
        again: number of scenes per step from earlier rounds.
        window: number of earlier rounds whose scenes are used again.
        lr: learning rate of AdamW after warm-up.
        weight_decay: weight decay of AdamW.
        decay_from: share of the run, 0 to 1, after which the learning rate falls linearly to zero.
        average: decay per step of the exponential moving average of the weights.
        seed: seed of all random numbers.
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
        for name, holds, rule in (
            ("lr", self.lr > 0, "above 0"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("decay_from", 0 <= self.decay_from <= 1, "0 to 1"),
            ("average", 0 <= self.average < 1, "0 or more and below 1"),
            ("seed", 0 <= self.seed <= MAX_SEED, f"0 to {MAX_SEED}"),
        ):
            if not holds:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be {rule}")
        if self.hard < 0 or self.again < 0 or self.fresh < 1:
            raise UsageError(f"hard {self.hard} and again {self.again} leave no new scene in a batch of {self.batch_size}")
        if self.round_scenes < self.fresh:
            raise UsageError(f"round_scenes is {self.round_scenes}; a step alone needs {self.fresh} new scenes")

    @property
    def fresh(self) -> int:
        """Number of new scenes per step."""
        return self.batch_size - self.hard - self.again

    @property
    def steps_a_round(self) -> int:
        """Number of steps per round."""
        return self.round_scenes // self.fresh

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as a dict."""
        return asdict(self)


def changed(settings: DetectorSettings, changes: Mapping[str, Any]) -> DetectorSettings:
    """Return ``settings`` with some values replaced.

    Raises:
        UsageError: a key is unknown or a value has the wrong type; the message lists all of them.
    """
    faults: list[str] = []
    table = CheckedTable(dict(changes), "", faults, ())
    values = {field.name: table.like(field.name, getattr(settings, field.name)) for field in fields(settings)}
    table.close()
    if faults:
        raise FaultsError(fault_message("--set", faults))
    return DetectorSettings(**values)
