"""Records of published group statistics: the format of ``groups.json``, its parsing and validation.

The file identifies people by keyed hashes of their names. Files of earlier versions, which had no privacy
budget, contain the names; they are read as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from mien.documents import conform, record_from
from mien.privacy.aggregates import Binning, GroupCell, People

COURSE_BUDGET: Final = 0.75
"""Privacy budget per person and course, in rho: twelve bins with the default noise of 4 people."""
FORMAT: Final = "mien-groups-2"
_MAX_BINS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication about one group.

    Attributes:
        group: the group's name.
        members: hashes of the members' names.
        cut: how time was divided and counted.
        cells: the published numbers.
    """

    group: str
    members: People
    cut: Binning
    cells: tuple[GroupCell, ...]

    @property
    def cost(self) -> float:
        """Cost for each member in rho; the whole budget for publications of versions without a budget."""
        return cost(self.cut) if self.cut.noise else COURSE_BUDGET

    def repeats(self, cut: Binning) -> bool:
        """Return whether ``cut`` requests the same numbers; ``noise`` is ignored for versions without a budget."""
        return self.cut == cut or (not self.cut.noise and asdict(self.cut) == asdict(cut) | {"noise": self.cut.noise})


def cost(cut: Binning) -> float:
    """Return the cost of a publication for each member of the group, in rho."""
    return cut.bins / cut.noise**2


def person_hash(key: bytes, person: str) -> str:
    """Return the keyed hash that identifies a person in the ledger."""
    return hmac.digest(key, b"person" + person.encode(), "sha256")[:12].hex()


def key_fingerprint(key: bytes) -> str:
    """Return a fingerprint that identifies the key without revealing it."""
    return hmac.digest(key, b"key", "sha256")[:12].hex()


def from_document(document: Any, key: bytes) -> tuple[str, list[Publication]]:
    """Parse a document; return the fingerprint of its key and its publications.

    Raises:
        ValueError: the document is invalid.
    """
    if isinstance(document, list):
        return key_fingerprint(key), [
            each for row in conform(document, list[_OldRow], "the list") for each in _from_old(row, key)
        ]
    whole = record_from(_Document, document, "the document")
    return whole.key, [Publication(row.group, frozenset(row.members), row.cut, row.cells) for row in whole.publications]


def to_document(publications: Sequence[Publication], key: bytes) -> dict[str, Any]:
    """Return the document with ``publications`` as plain values for JSON."""
    rows = [asdict(each) | {"members": sorted(each.members)} for each in publications]
    return {"format": FORMAT, "key": key_fingerprint(key), "publications": rows}


@dataclass(frozen=True, slots=True)
class _Row:
    """A publication in the document."""

    group: str
    members: list[str]
    cut: Binning
    cells: tuple[GroupCell, ...]

    def __post_init__(self) -> None:
        _check(self.cut, self.cells)
        strangers = {cell.group for cell in self.cells} - {self.group}
        if strangers:
            raise ValueError(f"cells of {min(strangers)!r} stand in the publication of {self.group!r}")


@dataclass(frozen=True, slots=True)
class _Document:
    """The whole document."""

    format: Literal["mien-groups-2"]
    key: str
    publications: list[_Row]


@dataclass(frozen=True, slots=True)
class _OldAsked:
    """A request to a version without a budget, with people's names."""

    start: float
    end: float
    groups: dict[str, list[str]]
    bin_s: float
    k: int
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _OldRow:
    """A publication of such a version."""

    asked: _OldAsked
    cells: tuple[GroupCell, ...]


def _from_old(row: _OldRow, key: bytes) -> list[Publication]:
    """Convert a publication of a version without a budget; names are hashed."""
    asked = row.asked
    if asked.bin_s <= 0:
        raise ValueError(f"bin_s is {asked.bin_s}")
    cut = Binning(asked.start, asked.bin_s, int((asked.end - asked.start) / asked.bin_s + 1e-9), asked.k, 0.0, asked.categories)
    _check(cut, row.cells)
    return [
        Publication(
            name,
            frozenset(person_hash(key, person) for person in people),
            cut,
            tuple(cell for cell in row.cells if cell.group == name),
        )
        for name, people in asked.groups.items()
    ]


def _check(cut: Binning, cells: Sequence[GroupCell]) -> None:
    """Check that a binning is valid and that its cells fit.

    Raises:
        ValueError: they are not.
    """
    try:
        datetime.fromtimestamp(cut.start_s, UTC)
    except (ArithmeticError, OSError) as error:
        raise ValueError(f"start_s is {cut.start_s}, which is out of range") from error
    if not (cut.bin_s > 0 and 0 <= cut.bins <= _MAX_BINS and (cut.noise == 0 or cut.noise >= 1)):
        raise ValueError(f"{cut.bins} bins of {cut.bin_s} s with noise {cut.noise} are invalid")
    if any(cell.shares is not None and len(cell.shares) != len(cut.categories) for cell in cells):
        raise ValueError("shares and categories differ in number")
