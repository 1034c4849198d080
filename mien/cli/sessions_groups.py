"""``mien sessions groups``: noisy statistics of groups; never of one person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import SESSIONS_DEFAULT, Declaration, JsonLine, SessionsFolder, policy_for

if TYPE_CHECKING:
    from datetime import datetime

    from mien.privacy.aggregates import GroupCell


def groups(
    members: Annotated[Path, typer.Option(help="CSV file with the columns person and group.")],
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="Start, such as 2026-11-23T09:00+01:00.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End.")],
    bin_s: Annotated[
        float | None, typer.Option("--bin-s", help="Length of a time bin in seconds, at least 30.", show_default="one bin")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Minimum group size, at least 5.")] = 10,
    noise: Annotated[float, typer.Option(help="Standard deviation of the noise in people, at least 2.")] = 4.0,
    out: Annotated[Path | None, typer.Option(help="Write the numbers to this JSON file too.", show_default=False)] = None,
    sessions: SessionsFolder = SESSIONS_DEFAULT,
    deployment: Declaration = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost. Nothing is published or spent.")] = False,
    json_line: JsonLine = False,
) -> None:
    """Print differentially private statistics of groups.

    Prints the share of time that each group showed each expression, with noise. Counts only
    people who consented to it (mien privacy consent ID groups granted). Where the policy does
    not permit expressions, only facing the screen is counted.

    The sessions in one folder are one course. Each person has one privacy budget per course, and
    a bin costs 1 / noise² of each budget of 0.75: twelve bins with the default noise. Repeating a
    query is free and returns the same numbers. The members of a group cannot change.

    Example:
      mien sessions groups --members class.csv --from 2026-11-23T09:00Z \\
        --to 2026-11-23T09:45Z
    """
    from mien.cli.output import print_json_line
    from mien.files import write_json
    from mien.privacy.chain import state_folder
    from mien.privacy.group_ledger import GroupLedger
    from mien.sessions.groups import GroupRequest, preview_groups, publish_groups, read_groups_file

    request = GroupRequest(_moment(start), _moment(end), read_groups_file(members), bin_s, k, noise)
    policy = policy_for(deployment, needed=True)
    people = frozenset().union(*request.groups.values())
    if dry_run:
        cut, new, price = preview_groups(sessions, policy, request)
        spent = GroupLedger(state_folder(sessions)).spent(people)
        print(f"{len(request.groups)} groups, {cut.bins} bins of {cut.bin_s:g} s from {request.start.isoformat()}")
        print(f"To publish for the first time: {', '.join(new) or 'nothing; repeating is free'}")
        print(
            f"Cost: {price:.0%} of a person's budget for the course; at most {spent:.0%} is used. Nothing was published or spent."
        )
        print("A time that was published cannot be published again in other bins.")
        print_json_line({"bins": cut.bins, "new": list(new), "cost": round(price, 4), "budget_spent": round(spent, 4)}, json_line)
        return
    categories, cells = publish_groups(sessions, policy, request)
    print(f"{'group':<16} {'from':>7} {'to':>7} {'people':>7}  " + "  ".join(f"{name:>8}" for name in categories))
    for line in _lines(cells):
        print(line)
    spent = GroupLedger(state_folder(sessions)).spent(people)
    print(
        f"\nShares of the group's time and numbers of people; each sum has noise with a standard deviation of {noise:g} people."
    )
    print(f"Privacy budget of the course: at most {spent:.0%} of a person's budget is used.")
    document = {
        "policy": policy.level.value,
        "start": request.start.isoformat(),
        "noise": noise,
        "budget_spent": round(spent, 4),
        "categories": list(categories),
        "cells": [{"group": c.group, "from_s": c.from_s, "to_s": c.to_s, "people": c.people, "shares": c.shares} for c in cells],
    }
    if out is not None:
        write_json(out, document, private=True)
        print(f"written: {out}")
    hidden = sum(cell.shares is None for cell in cells)
    print_json_line(
        {"cells": len(cells), "suppressed": hidden, "k": k, "policy": policy.level.value, "budget_spent": round(spent, 4)},
        json_line,
    )


def _moment(text: str) -> datetime:
    """Return an ISO 8601 time."""
    from datetime import datetime

    from mien.errors import UsageError

    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time; write it like 2026-11-23T09:00+01:00") from error


def _lines(cells: Sequence[GroupCell]) -> Iterator[str]:
    """Yield a line for each published cell, and one for all suppressed cells of a group that follow one another."""
    for _, run in groupby(sorted(cells, key=lambda cell: cell.group), key=lambda cell: (cell.group, cell.shares is None)):
        some = list(run)
        if some[0].shares is not None:
            yield from (
                f"{_start(cell, cell)}{cell.people:>7}  " + "  ".join(f"{share:>8.0%}" for share in cell.shares or ())
                for cell in some
            )
            continue
        bins = f"{len(some)} bins suppressed" if len(some) > 1 else "suppressed"
        yield f"{_start(some[0], some[-1])}{'–':>7}  {bins}: too few people (counted with noise)"


def _start(first: GroupCell, last: GroupCell) -> str:
    return f"{first.group:<16} {first.from_s:>6.0f}s {last.to_s:>6.0f}s "
