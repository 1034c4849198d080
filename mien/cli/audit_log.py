"""``mien audit``: the audit log, checked and read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

audit = typer.Typer(
    name="audit",
    help="The audit log, what was decided, read, exported and erased: verify, show. (Data sets are audited by prepare.)",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Root = Annotated[Path, typer.Option("--root", help="The folder with the sessions.")]
ROOT_DEFAULT = Path("results/sessions")


@audit.command("verify")
def verify(
    root: Root = ROOT_DEFAULT,
    head: Annotated[str | None, typer.Option(help="A head that you kept elsewhere: is it still in the log?")] = None,
) -> None:
    """Check that no line of the audit log was changed, removed, reordered or cut off. Ends with 3 where one was.

    It prints the log's head. Keep that elsewhere: with it nobody can write a whole new log unseen.

    Example: mien audit verify --head 12:9f2c…
    """
    from mien.errors import DataError
    from mien.privacy.audit_log import AuditLog
    from mien.privacy.chain import head_from
    from mien.privacy.sessions import state_folder

    log = AuditLog(state_folder(root))
    verdict = log.verify(head_from(head) if head else None)
    if verdict.fault:
        raise DataError(f"{log.path}, after {verdict.head.lines} whole lines: {verdict.fault}")
    print(f"{log.path}: whole, {verdict.head.lines} events" + (f"; {verdict.note}" if verdict.note else ""))
    print(f"head {verdict.head}")


@audit.command("show")
def show(root: Root = ROOT_DEFAULT) -> None:
    """Print the events of the audit log, oldest first, a line of JSON each.

    Example: mien audit show | grep erased
    """
    import json

    from mien.privacy.audit_log import AuditLog
    from mien.privacy.sessions import state_folder

    for event in AuditLog(state_folder(root)).events():
        print(json.dumps(event))
