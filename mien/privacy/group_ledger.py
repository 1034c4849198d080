"""The ledger of published group statistics, which enforces a privacy budget per person.

The budget limits what all publications of a course reveal about one person. The folder of a course's
sessions has one ledger, and each person has one budget, ``COURSE_BUDGET``, in the rho of zero-concentrated
differential privacy (Bun and Steinke 2016, https://arxiv.org/abs/1605.02065). A bin costs each member of
its group 1 / noise² (``aggregates``), whether present or not, and costs add up. A publication that exceeds
any member's budget is refused as a whole. Costs do not depend on what people showed, so a refusal reveals
nothing.

A group's members are fixed by its first publication. The ledger identifies people by keyed hashes of their
names, so that a person has the same budget in every group, and it persists after the person is erased.

Numbers are returned only after they and their cost are on disk. A repeated request returns the same numbers
at no cost.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mien.documents import conform, load_json, read_limited
from mien.errors import DataError, DeviceError, UsageError
from mien.files import atomic_path
from mien.locks import one_writer
from mien.privacy.aggregates import MAX_NOISE, Binning, GroupAggregates, GroupCell, People
from mien.privacy.audit_log import AuditLog
from mien.privacy.noise import noise_key
from mien.privacy.publications import COURSE_BUDGET, Publication, cost, from_document, key_fingerprint, person_hash, to_document

LEDGER_NAME: Final = "groups.json"
_MAX_BYTES: Final = 64 << 20
_ROUNDING: Final = 1e-9

TimedCategory = tuple[str, float, str, float]
"""(person, time in seconds since 1970, category, duration in seconds)."""


class GroupLedger:
    """The ledger in a folder.

    Args:
        folder: folder of ``groups.json`` and ``noise.key``, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER_NAME
        self._log = AuditLog(folder)

    def publish(
        self, binning: Binning, groups: Mapping[str, People], observations: Callable[[], Iterable[TimedCategory]]
    ) -> tuple[GroupCell, ...]:
        """Return the cells of ``groups``: the earlier ones for a repeated request, otherwise new ones, charged to the budget.

        Args:
            binning: how time is divided and counted.
            groups: members of each group, by their random names in the consent ledger.
            observations: returns what people showed in that time; called only for new publications.

        Raises:
            UsageError: a value is out of range, a group's members have changed, part of the time was published with a
                different binning, or a budget is exceeded. Nothing was published or charged.
            DataError: the ledger or the audit log is broken or missing.
            DeviceError: a file cannot be written.
        """
        binning.check()
        with one_writer(self.path):
            key = noise_key(self.path.parent)
            earlier = self._read(key)
            repeated, new = _sorted_out(key, binning, groups, earlier)
            found = [cell for each in repeated for cell in each.cells]
            if new:
                aggregates = GroupAggregates({name: groups[name] for name in new}, binning, key)
                for observation in observations():
                    aggregates.update(*observation)
                cells = aggregates.cells()
                paid = [Publication(name, new[name], binning, tuple(c for c in cells if c.group == name)) for name in new]
                self._write(key, [*earlier, *paid])
                hidden = sum(cell.shares is None for cell in cells)
                self._log.record("group-published", groups=len(new), bins=binning.bins, suppressed=hidden, k=binning.k)
                found += cells
        order = list(groups)
        return tuple(sorted(found, key=lambda cell: (cell.from_s, order.index(cell.group))))

    def preview(self, binning: Binning, groups: Mapping[str, People]) -> tuple[tuple[str, ...], float]:
        """Return which groups ``publish`` would publish for the first time, and the share of a person's budget that it costs.

        Nothing is published or spent. Everything that ``publish`` would refuse is refused.

        Raises:
            UsageError: as for ``publish``.
            DataError: what was published before cannot be known.
        """
        binning.check()
        with one_writer(self.path):
            key = noise_key(self.path.parent)
            _, new = _sorted_out(key, binning, groups, self._read(key))
        times = Counter(member for members in new.values() for member in members)
        return tuple(new), max(times.values(), default=0) * cost(binning) / COURSE_BUDGET

    def spent(self, people: Iterable[str]) -> float:
        """Return the largest share of the budget that any of ``people`` has spent, 0 to 1.

        Raises:
            DataError: the ledger or the audit log is broken or missing.
        """
        with one_writer(self.path):
            key = noise_key(self.path.parent)
            spent = _spent(self._read(key))
        return min(1.0, max((spent.get(person_hash(key, person), 0.0) for person in people), default=0.0) / COURSE_BUDGET)

    def drop_names(self) -> None:
        """Replace people's names, which versions without a budget stored, by hashes.

        Raises:
            DataError: the ledger or the audit log is broken or missing.
        """
        if not self.path.exists():
            return
        with one_writer(self.path):
            try:
                old = read_limited(self.path, _MAX_BYTES).startswith(b"[")
            except (OSError, ValueError) as error:
                raise DataError(f"cannot read {self.path} ({error}). Restore a copy of it") from error
            if old:
                key = noise_key(self.path.parent)
                self._write(key, self._read(key))

    def _read(self, key: bytes) -> list[Publication]:
        try:
            mark, found = from_document(load_json(self.path, _MAX_BYTES), key)
        except FileNotFoundError:
            found = []
        except OSError as error:
            raise DataError(f"cannot read {self.path} ({error.strerror}). Restore a copy of it") from error
        except ValueError as error:
            raise DataError(
                f"{self.path} is broken ({error}), so the spent budgets are unknown and nothing can be published. "
                "Restore a copy of it"
            ) from error
        else:
            if mark != key_fingerprint(key):
                raise DataError(
                    f"{self.path} was written with a different noise.key, so the spent budgets are unknown and nothing can be "
                    "published. Restore that key"
                )
        fault = self._log.verify().fault
        if fault:  # the log counts the publications, so a broken log would allow a removed ledger to go unnoticed
            raise DataError(f"{self._log.path}: {fault}. Nothing can be published. Restore a copy of it")
        published = [event for event in self._log.events() if event.get("event") == "group-published"]
        try:
            logged = sum(conform(event.get("groups"), int, "groups") for event in published)
        except ValueError as error:
            raise DataError(f"the audit log beside {self.path} is broken ({error}). Restore a copy of it") from error
        if logged > len(found):
            raise DataError(
                f"{self.path} has {len(found)} publications, the audit log {logged}: the ledger was removed or is an older copy. "
                "Nothing can be published. Restore the newest copy, or start a new course in another folder"
            )
        return found

    def _write(self, key: bytes, publications: Sequence[Publication]) -> None:
        """Write the ledger atomically; it is on disk when this returns."""
        with atomic_path(self.path, private=True) as temporary, temporary.open("w", encoding="utf-8") as file:
            json.dump(to_document(publications, key), file, indent=1, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        if sys.platform == "win32":
            return
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise DeviceError(f"cannot write {self.path} ({error.strerror}). Check the disk") from error


def _sorted_out(
    key: bytes, binning: Binning, groups: Mapping[str, People], earlier: Sequence[Publication]
) -> tuple[list[Publication], dict[str, People]]:
    """Return earlier publications of the same request, and the members of each new group; raise UsageError if not allowed."""
    repeated: list[Publication] = []
    new: dict[str, People] = {}
    for name, people in groups.items():
        members = frozenset(person_hash(key, person) for person in people)
        before = next((p for p in earlier if (p.group, p.members) == (name, members) and p.repeats(binning)), None)
        if before:
            repeated.append(before)
        else:
            _check_group(name, members, binning, [p for p in earlier if p.group == name])
            new[name] = members
    if new:
        _check_budget(new, binning, earlier)
    return repeated, new


def _check_group(name: str, members: People, binning: Binning, earlier: Sequence[Publication]) -> None:
    """Raise UsageError if the group is too small, has other members than before, or overlaps an earlier publication."""
    if len(members) < binning.k:
        raise UsageError(f"the group {name!r} has {len(members)} people; it must have {binning.k} or more (-k). Merge groups")
    if earlier and earlier[-1].members != members:
        before = earlier[-1].members
        raise UsageError(
            f"the group {name!r} was first published with {len(before)} people, who must stay the same for the course; "
            f"{len(members - before)} were added and {len(before - members)} removed. Restore those {len(before)} people, or "
            "give the new group another name; spent budgets apply there as well"
        )
    for other in earlier:
        if other.cut.start_s < binning.end_s and binning.start_s < other.cut.end_s:
            start = datetime.fromtimestamp(other.cut.start_s, UTC)
            raise UsageError(
                f"part of this time was already published for {name!r} with a different binning: {other.cut.bins} bins of "
                f"{other.cut.bin_s:g} s from {start.isoformat()}, k {other.cut.k}, noise {other.cut.noise:g}. "
                "Repeat that request, at no cost, or choose another time"
            )


def _check_budget(groups: Mapping[str, People], binning: Binning, earlier: Sequence[Publication]) -> None:
    """Raise UsageError if the new publications exceed any member's budget."""
    spent = _spent(earlier)
    times = Counter(member for members in groups.values() for member in members)
    left = {member: COURSE_BUDGET - spent.get(member, 0.0) for member in times}
    short = [member for member in times if times[member] * cost(binning) > left[member] + _ROUNDING]
    if not short:
        return
    worst = min(short, key=lambda member: left[member] / times[member])
    share = max(0.0, left[worst]) / times[worst]
    enough = math.ceil(math.sqrt(binning.bins / share)) if share > _ROUNDING else math.inf
    costs, remains = times[worst] * cost(binning) / COURSE_BUDGET, max(0.0, left[worst]) / COURSE_BUDGET
    cheaper = f"Choose longer bins (--bin-s), or noise of {enough} people (--noise). " if enough <= MAX_NOISE else ""
    raise UsageError(
        f"the privacy budget of {len(short)} of {len(times)} people is exceeded: this publication costs {costs:.0%} of a "
        f"person's budget for the course, and {remains:.0%} is left. {cheaper}Earlier publications can be repeated at no cost"
    )


def _spent(publications: Iterable[Publication]) -> dict[str, float]:
    """Return the spent budget by person's hash; people who were never counted are missing."""
    spent: defaultdict[str, float] = defaultdict(float)
    for each in publications:
        for member in each.members:
            spent[member] += each.cost
    return dict(spent)
