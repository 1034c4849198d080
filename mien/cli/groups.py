"""``mien groups``: what groups showed, for whoever teaches; never a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.audit_log import ROOT_DEFAULT, Root

if TYPE_CHECKING:
    from datetime import datetime

    from mien.privacy.aggregates import GroupCell


def groups(
    members: Annotated[Path, typer.Option(help="A CSV with the columns person and group.")],
    start: Annotated[str, typer.Option("--from", help="Where the first bin begins, as 2026-11-23T09:00+01:00.")],
    end: Annotated[str, typer.Option("--to", help="Up to here.")],
    deployment: Annotated[Path, typer.Option(help="The declaration (mien deploy init).")],
    bin_s: Annotated[float, typer.Option("--bin", help="Seconds in a bin, 30 or more.")] = 60.0,
    k: Annotated[int, typer.Option("-k", help="The least number of people in a group, 5 or more.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Write the numbers to this JSON file too.")] = None,
    root: Root = ROOT_DEFAULT,
) -> None:
    """Print what groups showed over time: shares with noise, groups of k people or none, no number about a person.

    Counted is who agreed to it (mien privacy consent NAME groups granted). A stretch of time is
    published once: asked again, it gives the same numbers, and in another cut none. Where
    expressions may not be read, facing the screen is all that is counted.

    Example:  mien groups --members class.csv --from 2026-11-23T09:00Z --to 2026-11-23T09:45Z --deployment deployment.toml
    """
    import json

    from mien.files import write_json
    from mien.privacy.deployment import read_deployment
    from mien.privacy.policy import decide
    from mien.store.group_numbers import GroupWish, publish_groups, read_groups_file

    wish = GroupWish(_moment(start), _moment(end), read_groups_file(members), bin_s, k)
    policy = decide(read_deployment(deployment))
    categories, cells = publish_groups(root, policy, wish)
    print(f"{'group':<16} {'from':>7} {'to':>7} {'people':>7}  " + "  ".join(f"{name:>8}" for name in categories))
    for cell in cells:
        print(_line(cell))
    print("\nShares of the group's time, with noise of about two people. People are rounded down to fives.")
    document = {
        "policy": policy.level.value,
        "start": wish.start.isoformat(),
        "categories": list(categories),
        "cells": [{"group": c.group, "from_s": c.from_s, "to_s": c.to_s, "people": c.people, "shares": c.shares} for c in cells],
    }
    if out is not None:
        write_json(out, document)
        print(f"written: {out}")
    hidden = sum(cell.shares is None for cell in cells)
    print(json.dumps({"cells": len(cells), "suppressed": hidden, "k": k, "policy": policy.level.value}))


def _moment(text: str) -> datetime:
    """Return a moment from ISO 8601."""
    from datetime import datetime

    from mien.errors import UsageError

    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time; write it as 2026-11-23T09:00+01:00") from error


def _line(cell: GroupCell) -> str:
    start = f"{cell.group:<16} {cell.from_s:>6.0f}s {cell.to_s:>6.0f}s "
    if cell.shares is None:
        return f"{start}{'–':>7}  not shown: too few people, or it would show a few people in a difference"
    return f"{start}{cell.people:>7}  " + "  ".join(f"{share:>8.0%}" for share in cell.shares)
