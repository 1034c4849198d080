"""Validation of the plain values on a model card that reports, pages and documents use.

A card stores metrics and training runs as plain values, so that newer versions can add more. They are
validated here whenever a card or a bundle's record is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mien.documents import conform


@dataclass(frozen=True, slots=True)
class _ClassNumbers:
    """Scores of one class."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class _ViewNumbers:
    """Scores on a split or a subset of it."""

    n: int
    accuracy: float
    accuracy_ci: tuple[float, float]
    macro_f1: float
    ece: float


@dataclass(frozen=True, slots=True)
class _Mirrored:
    """Scores with predictions averaged over each face and its mirror image."""

    accuracy: float


@dataclass(frozen=True, slots=True)
class _FerPlus:
    """Scores by the protocol of FER+."""

    n: int
    accuracy: float
    accuracy_ci: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Numbers(_ViewNumbers):
    """Scores of one head on a split against one truth."""

    classes: dict[str, _ClassNumbers]
    head: Literal["people", "fer2013"] = "fer2013"
    views: dict[str, _ViewNumbers] = field(default_factory=dict)
    mirrored: _Mirrored | None = None
    ferplus: _FerPlus | None = None


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """An evaluation of a split, by truth."""

    truths: dict[Literal["people", "own", "fer2013"], _Numbers]


@dataclass(frozen=True, slots=True)
class _History:
    """A run's history by column; columns of a missing head are None."""

    epoch: list[float]
    train_loss: list[float]
    train_accuracy: list[float]
    val_loss: list[float] | None = None
    val_accuracy: list[float] | None = None
    people_loss: list[float] | None = None
    people_accuracy: list[float] | None = None

    def __post_init__(self) -> None:
        columns = [column for name in self.__slots__ if (column := getattr(self, name)) is not None]
        if not self.epoch or {len(column) for column in columns} != {len(self.epoch)}:
            raise ValueError("the columns of history are empty, or differ in length")
        heads = {(self.val_loss is None, self.val_accuracy is None), (self.people_loss is None, self.people_accuracy is None)}
        if (False, False) not in heads or heads - {(False, False), (True, True)}:
            raise ValueError("history lacks the loss or the accuracy of a head")


@dataclass(frozen=True, slots=True)
class _Run:
    """Facts about a training run."""

    history: _History | None = None
    widths: list[int] | None = None
    votes: str = ""
    votes_share: float = 0.0
    people_share: float = 0.0
    teachers: list[str] | Literal[""] = ""  # "" for retraining, which has no teachers
    start: str = ""
    split_file: str = ""


@dataclass(frozen=True, slots=True)
class _Parity:
    """Differences between the outputs of a bundle and of the network."""

    images: int
    max_gap: float
    same_answer: float
    accuracy_change: float


def check_card_values(
    metrics: Mapping[str, Any], training: Sequence[Any], export: Mapping[str, Any], data_steps: Mapping[str, Any]
) -> None:
    """Check that a card's plain values have the required keys and types.

    Raises:
        ValueError: they do not; the first invalid value is named.
    """
    check_evaluations(metrics, "metrics")
    conform(training, list[_Run], "training")
    conform(export, _Parity | dict[str, None], "export")
    conform(data_steps, dict[str, dict[str, Any]], "data_steps")


def check_evaluations(evaluations: Any, name: str) -> None:
    """Check that evaluations by split have the required keys and types; those of version 0.1 are against FER2013's labels.

    Raises:
        ValueError: they do not; the first invalid value is named.
    """
    for split, numbers in conform(evaluations, dict[str, dict[str, Any]], name).items():
        conform(numbers, _Evaluation if "truths" in numbers else _Numbers, f"{name}.{split}")
