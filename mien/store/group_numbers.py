"""Numbers about groups from the sessions of the people in them: the only way from sessions to whoever teaches.

Counted are people who agreed to it (purpose ``groups``), in sessions that show one face: where
there are two, nobody can say whose is whose. What was published for a stretch of time is kept
and handed out again; the same time is never published in another cut.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError
from mien.files import refuse_large, write_json
from mien.locks import one_writer
from mien.privacy.aggregates import LEAST_BIN_S, GroupAggregates, GroupCell, K
from mien.privacy.audit_log import AuditLog
from mien.privacy.consent import ConsentLedger
from mien.privacy.level import Level
from mien.privacy.noise import noise_key
from mien.privacy.notice import notice_for
from mien.privacy.policy import Policy
from mien.privacy.sessions import state_folder
from mien.store.names import OBSERVATIONS_NAME
from mien.store.observations_reader import read_observations
from mien.store.recovery import find_sessions, is_finished
from mien.store.seen import SeenFace

PUBLISHED_NAME: Final = "groups.json"
FACING: Final = ("facing the screen", "turned away")
_MAX_LIST_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class GroupWish:
    """What is asked for.

    Attributes:
        start: where the first bin begins, with a time zone.
        end: up to here.
        groups: the people in each group, as the consent ledger calls them.
        bin_s: length of a bin in seconds.
        k: the least number of people.
    """

    start: datetime
    end: datetime
    groups: Mapping[str, frozenset[str]]
    bin_s: float = LEAST_BIN_S
    k: int = K

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise UsageError("times need a time zone, as in 2026-11-23T09:00+01:00")
        if self.end <= self.start:
            raise UsageError(f"the time ends at {self.end}, before it starts at {self.start}")
        if not self.groups:
            raise UsageError("there is no group")

    def as_dict(self) -> dict[str, Any]:
        """Return the wish as plain values; the same wish gives the same values."""
        return {
            "start": self.start.timestamp(),
            "end": self.end.timestamp(),
            "groups": {name: sorted(people) for name, people in sorted(self.groups.items())},
            "bin_s": self.bin_s,
            "k": self.k,
        }


def read_groups_file(path: Path) -> dict[str, frozenset[str]]:
    """Return groups from a CSV with the columns ``person`` and ``group``; a person may be in several.

    Raises:
        DataError: it cannot be read, or is none.
    """
    refuse_large(path, _MAX_LIST_BYTES, "the list of groups")
    groups: dict[str, set[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            for row in csv.DictReader(handle):
                groups.setdefault(row["group"].strip(), set()).add(row["person"].strip())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    except (KeyError, AttributeError) as error:
        raise DataError(f"{path} is no list of groups: it needs the columns person and group") from error
    return {name: frozenset(people) for name, people in groups.items()}


def publish_groups(root: Path, policy: Policy, wish: GroupWish) -> tuple[tuple[str, ...], tuple[GroupCell, ...]]:
    """Return the categories and the cells that may be published of a stretch of time; they are kept and logged.

    Args:
        root: the folder with the sessions.
        policy: where expressions may not be read, facing the screen is all that is counted.
        wish: which time, which groups.

    Raises:
        UsageError: some of that time was published in another cut, or the groups, bins or k are refused.
        NotPermittedError: nothing may be read at all.
        DataError: the ledger, a session or what was published is broken.
    """
    policy.require(Level.OBSERVABLES)
    categories = tuple(EMOTIONS) if policy.level is Level.FULL else FACING
    place = state_folder(root) / PUBLISHED_NAME
    asked = {**wish.as_dict(), "categories": list(categories)}
    with one_writer(place):
        earlier = _published(place)
        for each in earlier:
            if each["asked"] == asked:
                return categories, tuple(_cell(row) for row in each["cells"])
            if each["asked"]["start"] < asked["end"] and asked["start"] < each["asked"]["end"]:
                raise UsageError(
                    "some of this time was published already, in another cut. Publishing it again would show single people "
                    "in the difference: ask for the same time, groups, bins and k, or for another time"
                )
        cells = _count(root, policy, wish, categories)
        write_json(place, [*earlier, {"asked": asked, "cells": [asdict(cell) for cell in cells]}])
    bins = len({cell.from_s for cell in cells})
    hidden = sum(cell.shares is None for cell in cells)
    AuditLog(state_folder(root)).record("group-published", groups=len(wish.groups), bins=bins, suppressed=hidden, k=wish.k)
    return categories, cells


def _count(root: Path, policy: Policy, wish: GroupWish, categories: tuple[str, ...]) -> tuple[GroupCell, ...]:
    """Return the cells, from the sessions of those who agreed."""
    ledger, notice = ConsentLedger(state_folder(root)), notice_for(policy)
    names = {name: person for person, name in ledger.people().items() if ledger.allows(person, "groups", notice)}
    counted = {group: people & set(names.values()) for group, people in wish.groups.items()}
    aggregates = GroupAggregates(counted, categories, noise_key(state_folder(root)), wish.bin_s, wish.k)
    for session in find_sessions(root):
        person, folder = names.get(session.person), Path(session.folder)
        if person is None or not is_finished(folder):
            continue
        shift_s = (session.started_at - wish.start).total_seconds()
        for t_s, interval_s, category in _moments(folder, categories):
            if 0 <= t_s + shift_s < (wish.end - wish.start).total_seconds():
                aggregates.update(person, t_s + shift_s, category, interval_s)
    return aggregates.publish((wish.end - wish.start).total_seconds())


def _moments(folder: Path, categories: tuple[str, ...]) -> Iterator[tuple[float, float, str]]:
    """Yield time, seconds and category of the frames of a session in which one face alone is seen."""
    for frame in read_observations(folder / OBSERVATIONS_NAME):
        if len(frame.faces) == 1:
            category = _category(frame.faces[0], categories)
            if category:
                yield frame.t_s, frame.interval_s, category


def _category(face: SeenFace, categories: tuple[str, ...]) -> str:
    if categories == FACING:
        return "" if face.facing is None else FACING[0 if face.facing else 1]
    return face.label


def _published(place: Path) -> list[dict[str, Any]]:
    if not place.exists():
        return []
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        return [{"asked": dict(each["asked"]), "cells": list(each["cells"])} for each in found]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{place} is broken, so what was published cannot be known, and nothing more is published. Restore it from a copy"
        ) from error


def _cell(row: Mapping[str, Any]) -> GroupCell:
    shares = None if row["shares"] is None else tuple(row["shares"])
    return GroupCell(row["group"], row["from_s"], row["to_s"], row["people"], shares)
