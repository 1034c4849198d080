"""Statistics of groups from the sessions of their members, the only form in which teachers see sessions.

Only members who consented (purpose ``groups``) are counted, and only frames with exactly one face,
since otherwise the participant's face is unknown. All sessions below a folder are one course, whose
publications share one privacy budget per person (``mien.privacy.group_ledger``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError
from mien.files import refuse_large
from mien.privacy.aggregates import NOISE, Binning, GroupCell, K
from mien.privacy.chain import state_folder
from mien.privacy.consent import ConsentLedger
from mien.privacy.group_ledger import GroupLedger, TimedCategory
from mien.privacy.level import Level
from mien.privacy.notice import notice_for
from mien.privacy.policy import Policy
from mien.sessions.archive import Archive
from mien.sessions.layout import OBSERVATIONS_NAME, is_finished
from mien.sessions.observations import read_observations
from mien.sessions.records import SeenFace

FACING: Final = ("facing the screen", "turned away")
_MAX_LIST_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """A request for statistics of groups.

    Attributes:
        start: start of the first bin, with a time zone.
        end: end of the period.
        groups: the members of each group, by their participant IDs.
        bin_s: length of a bin in seconds; None for the whole period.
        k: minimum number of people.
        noise: standard deviation of the noise on each sum, in people.

    Raises:
        UsageError: a time has no time zone, the period is empty, or there is no group.
    """

    start: datetime
    end: datetime
    groups: Mapping[str, frozenset[str]]
    bin_s: float | None = None
    k: int = K
    noise: float = NOISE

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise UsageError("times need a time zone, as in 2026-11-23T09:00+01:00")
        if self.end <= self.start:
            raise UsageError(f"the time ends at {self.end}, before it starts at {self.start}")
        if not self.groups:
            raise UsageError("there is no group")

    def cut(self, categories: tuple[str, ...]) -> Binning:
        """Return the bins and how they are counted.

        Raises:
            UsageError: a value is out of its range.
        """
        span_s = (self.end - self.start).total_seconds()
        bin_s = span_s if self.bin_s is None else self.bin_s
        # bins that would end after the period are left out; ``check`` rejects an invalid length
        bins = int(span_s / bin_s + 1e-9) if 0 < bin_s < span_s else 1
        if bin_s > span_s:
            raise UsageError(
                f"a bin is {bin_s:g} s, the time from {self.start} to {self.end} is {span_s:g} s. Choose a shorter --bin-s"
            )
        cut = Binning(self.start.timestamp(), bin_s, bins, self.k, self.noise, categories)
        cut.check()
        return cut


def read_groups_file(path: Path) -> dict[str, frozenset[str]]:
    """Return groups from a CSV with the columns ``person`` and ``group``; a person may be in several.

    Raises:
        DataError: the file cannot be read, or lacks a column.
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
        raise DataError(f"{path} is not a groups file: it needs the columns person and group") from error
    return {name: frozenset(people) for name, people in groups.items()}


def publish_groups(root: Path, policy: Policy, request: GroupRequest) -> tuple[tuple[str, ...], tuple[GroupCell, ...]]:
    """Return the categories and the cells that may be published for a period; they are stored, charged to the budget and logged.

    Args:
        root: the folder with the sessions of a course.
        policy: if expressions may not be read, only facing the screen is counted.
        request: the period and the groups.

    Raises:
        UsageError: a value is out of range, the members of a group changed, part of the period was published
            with other bins, or a privacy budget is used up.
        NotPermittedError: the policy permits no reading.
        DataError: the ledger, a session or an earlier publication is broken.
    """
    categories = _categories(policy)
    ledger = GroupLedger(state_folder(root))
    return categories, ledger.publish(request.cut(categories), request.groups, partial(_shown, root, policy, request, categories))


def preview_groups(root: Path, policy: Policy, request: GroupRequest) -> tuple[Binning, tuple[str, ...], float]:
    """Return the bins of a request, the groups that would be published for the first time, and their cost.

    The cost is a share of a person's budget. No session is read, and nothing is published or spent. Requests that
    ``publish_groups`` would reject are rejected.

    Raises:
        UsageError: as for ``publish_groups``.
        NotPermittedError: the policy permits no reading.
        DataError: the ledger is broken.
    """
    cut = request.cut(_categories(policy))
    return cut, *GroupLedger(state_folder(root)).preview(cut, request.groups)


def _categories(policy: Policy) -> tuple[str, ...]:
    policy.require(Level.OBSERVABLES)
    return tuple(EMOTIONS) if policy.level is Level.FULL else FACING


def _shown(root: Path, policy: Policy, request: GroupRequest, categories: tuple[str, ...]) -> Iterator[TimedCategory]:
    """Yield the timed categories of the members who consented, from their sessions."""
    ledger, notice = ConsentLedger(state_folder(root)), notice_for(policy)
    members = frozenset().union(*request.groups.values())
    names = {name: person for person, name in ledger.consenting("groups", notice).items() if person in members}
    for stored in Archive(root).sessions():
        person, folder = names.get(stored.person), stored.folder
        start_s = stored.record.started_at.timestamp()
        if person is None or folder is None or stored.begun or start_s >= request.end.timestamp() or not is_finished(folder):
            continue
        for t_s, interval_s, category in _moments(folder, categories):
            yield person, start_s + t_s, category, interval_s


def _moments(folder: Path, categories: tuple[str, ...]) -> Iterator[tuple[float, float, str]]:
    """Yield time, length in seconds and category of the frames of a session that show one face."""
    for frame in read_observations(folder / OBSERVATIONS_NAME):
        if len(frame.faces) == 1:
            category = _category(frame.faces[0], categories)
            if category:
                yield frame.t_s, frame.interval_s, category


def _category(face: SeenFace, categories: tuple[str, ...]) -> str:
    if categories == FACING:
        return "" if face.facing is None else FACING[0 if face.facing else 1]
    return face.label
