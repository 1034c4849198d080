"""``mien privacy log``: verify and print the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.help import Group, HelpCommand
from mien.cli.options import SESSIONS_DEFAULT, SessionsFolder

if TYPE_CHECKING:
    from mien.privacy.audit_log import AuditLog

log = typer.Typer(
    name="log",
    help="Verify and print the audit log.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@log.command("verify", cls=HelpCommand)
def verify(
    sessions: SessionsFolder = SESSIONS_DEFAULT,
    head: Annotated[
        str | None, typer.Option(help="Head printed by an earlier run: check that the log still contains it.", show_default=False)
    ] = None,
) -> None:
    """Check that the audit log was not modified.

    Exit code 3 if there is no log, or if a line was changed, removed, reordered or cut off. Prints
    the head of the log; keep it elsewhere and pass it to a later run with --head, to detect a log
    that was replaced as a whole.

    Example:
      mien privacy log verify --head 12:9f2c…
    """
    from mien.errors import DataError
    from mien.privacy.chain import head_from

    audit = _existing(sessions)
    verdict = audit.verify(head_from(head) if head else None)
    if verdict.fault:
        raise DataError(f"{audit.path}: {verdict.fault} (after {verdict.head.lines} valid lines)")
    count = f"{verdict.head.lines} event{'' if verdict.head.lines == 1 else 's'}"
    print(f"{audit.path}: valid, {count}" + (f"; {verdict.note}" if verdict.note else ""))
    print(f"head {verdict.head}")


@log.command("show", cls=HelpCommand)
def show(sessions: SessionsFolder = SESSIONS_DEFAULT) -> None:
    """Print the audit log as JSON lines, oldest first.

    It records policy decisions, consents, exports, erasures and promotions.

    Example:
      mien privacy log show | grep erased
    """
    import json

    for event in _existing(sessions).events():
        print(json.dumps(event))


def _existing(sessions: Path) -> AuditLog:
    """Return the audit log of a sessions folder.

    Raises:
        DataError: there is none: the folder is another one, or the log was removed.
    """
    from mien.errors import DataError
    from mien.privacy.audit_log import AuditLog
    from mien.privacy.chain import state_folder

    audit = AuditLog(state_folder(sessions))
    if not audit.path.exists():
        fault = audit.verify().fault
        advice = f": {fault}" if fault else ". Run the command in the folder that holds the sessions, or pass --sessions"
        raise DataError(f"no audit log at {audit.path.absolute()}{advice}")
    return audit
