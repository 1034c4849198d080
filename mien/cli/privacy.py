"""``mien privacy``: notice, consent, access, erasure, retention and the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.help import Group, HelpCommand
from mien.cli.options import SESSIONS_DEFAULT, ArchiveFolder, Db, Declaration, Overwrite, archive_in, policy_for
from mien.cli.output import raise_faults
from mien.cli.privacy_log import log

if TYPE_CHECKING:
    from mien.privacy.notice import Notice
    from mien.sessions.rights import Rights
    from mien.sessions.stored import StoredSession

privacy = typer.Typer(
    name="privacy",
    help="Notice, consent, export, erasure, retention and audit log.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
)
privacy.add_typer(log)

Names = Annotated[list[str] | None, typer.Argument(metavar="SESSION", help="Names or ids of sessions.", show_default=False)]
Person = Annotated[str, typer.Option("--person", help="Participant ID in the consent ledger.")]
RetentionDays = Annotated[
    int | None,
    typer.Option("--retention-days", help="Days that sessions are kept, 1 to 3650.", show_default="as declared, else 30"),
]


@privacy.command("status", cls=HelpCommand)
def status(
    sessions: ArchiveFolder = SESSIONS_DEFAULT, retention_days: RetentionDays = None, deployment: Declaration = None, db: Db = ""
) -> None:
    """List stored sessions, recorded consent and unsent messages.

    Messages to a server wait until it accepts them; those that it rejected are kept for inspection.

    Example:
      mien privacy status
    """
    from datetime import UTC, datetime

    from mien.messaging.sinks import open_queue, server_of
    from mien.privacy.notice import notice_for
    from mien.sessions.archive import Archive

    policy = policy_for(deployment)
    days = policy.deployment.retention_days if retention_days is None else _checked(retention_days)
    with _rights(sessions, db) as rights:
        people = {name: person for person, name in rights.ledger.people().items()}
        kept, due = rights.sessions(), rights.expired(days)
        withdrawn = rights.withdrawn()
        places, consents = rights.places, rights.ledger.overview(notice_for(policy))
    size = sum(session.size_bytes for session in kept) / 1e6
    print(f"{_count(len(kept), 'session')} in {' and '.join(places)}, {size:.1f} MB, {len(due)} older than {days} days")
    listed = kept + [each for each in due if each not in kept]  # earlier sessions are not listed by themselves
    listed += [each for each in withdrawn if each not in listed]
    for session in listed:
        who = people.get(session.person, "unknown participant" if session.person else "no participant")
        late = "  due for erasure" if session in due else ""
        late = "  consent withdrawn" if session in withdrawn else late
        late = "  erasure not finished" if session.begun else late
        print(f"  {session.name:<24} {_when(session):<16}  {session.size_bytes / 1e6:6.1f} MB  {who}{late}")
    if withdrawn or any(session.begun for session in listed):
        print("consent withdrawn or erasure unfinished: to erase them, run mien privacy retention")
    for person, said in consents.items():
        decisions = [f"{purpose} {state}" + (f" ({obstacle})" if obstacle else "") for purpose, (state, obstacle) in said.items()]
        print(f"  {person}: {', '.join(decisions) or 'no consent recorded'}")
    strangers = Archive(sessions).strangers()
    if strangers:
        print(f"not sessions, ignored: {', '.join(strangers)}")
    with open_queue() as queue:
        backlog = queue.backlog() if queue else []
    for each in backlog:
        state = {"waiting": "waiting", "refused": "rejected"}.get(each.state, each.state)
        since = datetime.fromtimestamp(each.since_s, UTC)
        reason = f"; last error: {each.reason}" if each.reason else ""
        print(f"{server_of(each.destination)}: {_count(each.messages, 'message')} {state}, since {since:%Y-%m-%d}{reason}")


@privacy.command("notice", cls=HelpCommand)
def notice(deployment: Declaration = None) -> None:
    """Print the privacy notice for participants, and its version.

    Example:
      mien privacy notice > notice.txt
    """
    made = _notice(deployment)
    print(made.text)
    print(f"Version {made.version}")


@privacy.command("consent", cls=HelpCommand)
def consent(
    person: Annotated[str, typer.Argument(help="Participant ID of your choice.")],
    purpose: Annotated[str, typer.Argument(help="show, keep, groups or research.")],
    state: Annotated[str, typer.Argument(help="granted, refused or withdrawn.")],
    sessions: ArchiveFolder = SESSIONS_DEFAULT,
    deployment: Declaration = None,
    db: Db = "",
) -> None:
    """Record a participant's decision in the consent ledger.

    The decision refers to the current notice (mien privacy notice). Refusing or withdrawing
    prints what must stop, and erases the sessions that may no longer be kept.

    Example:
      mien privacy consent learner-17 keep withdrawn
    """
    with _rights(sessions, db, database_needed=False) as rights:
        read = _notice(deployment)
        ledger = rights.ledger.path
        is_new = not ledger.exists()
        consequences, erased = rights.record_consent(person, purpose, state, read)
        obstacle = rights.ledger.overview(read)[person][purpose][1]
    if is_new:
        print(f"new consent ledger: {ledger.absolute()}")
    print(f"{person}: {purpose} {state}" + (f" ({obstacle})" if obstacle else ""))
    if consequences.stop:
        print(f"must stop now: {', '.join(consequences.stop)}")
    if erased.sessions or erased.files:
        what = ", ".join(erased.sessions) or "parts of sessions"
        print(f"erased: {what} ({_count(erased.files, 'file')})")
    if erased.running:
        print(f"still running, erased by the session itself: {', '.join(erased.running)}")
    if consequences.recall:
        print("recall manually: copies given to a study")
    raise_faults(erased)


@privacy.command("export", cls=HelpCommand)
def export(
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    overwrite: Overwrite = False,
    names: Names = None,
    person: Person = "",
    sessions: ArchiveFolder = SESSIONS_DEFAULT,
    db: Db = "",
) -> None:
    """Export all data of a participant, or of sessions, as JSON.

    Without a session and --person, everything is exported.

    Example:
      mien privacy export --person learner-17 --out learner-17.json
    """
    from mien.files import refuse_existing, write_json
    from mien.sessions.layout import refuse_own_file

    refuse_own_file(out)
    refuse_existing(out, overwrite)
    with _rights(sessions, db) as rights:
        document = rights.export(names or (), person)
    write_json(out, document, private=True)
    written = _count(len(document["sessions"]), "session")
    print(f"{written} written to {out}. The file holds personal data: transfer it safely, then delete it")


@privacy.command("erase", cls=HelpCommand)
def erase(
    names: Names = None,
    person: Person = "",
    everything: Annotated[bool, typer.Option("--all", help="Erase all sessions.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    sessions: ArchiveFolder = SESSIONS_DEFAULT,
    db: Db = "",
) -> None:
    """Erase sessions, or all data of a participant. This cannot be undone.

    If a folder was used again, its earlier sessions are kept when the newest one is named;
    --person and --all erase them as well.

    Example:
      mien privacy erase --person learner-17
    """
    from mien.errors import UsageError

    if bool(names) + bool(person) + everything != 1:
        raise UsageError("name what to erase: one or more sessions, --person ID, or --all")
    with _rights(sessions, db, database_needed=False) as rights:
        _require_database(rights)
        if not yes:
            listed = rights.named(names) if names else rights.sessions(person)
            chosen = names or [kept.name for kept in listed]
            earlier = [] if names else rights.earlier(listed)  # those of named sessions stay
            also = f" and {_count(len(earlier), 'earlier session')} in the same folders" if earlier else ""
            who = f" and the ledger entry of {person}" if person else ""
            try:
                typer.confirm(
                    f"Erase {_count(len(chosen), 'session')}{also}{who}: {', '.join(chosen) or 'none'}? This cannot be undone",
                    abort=True,
                )
            except typer.Abort as error:
                raise UsageError("nothing was erased. Answer y or pass --yes") from error
        erased = rights.erase_person(person) if person else rights.erase(names) if names else rights.erase_all()
    print(f"erased {_count(len(erased.sessions), 'session')}, {_count(erased.files, 'file')}")
    if erased.faults:
        kept = f"; {person} stays in the consent ledger until everything is erased" if person else ""
        print(f"not erased completely: {_count(len(erased.unfinished), 'session')}{kept}")
    elif person:
        print(f"{person} was removed from the consent ledger")
    raise_faults(erased)


@privacy.command("retention", cls=HelpCommand)
def retention(
    retention_days: RetentionDays = None,
    deployment: Declaration = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be erased.")] = False,
    sessions: ArchiveFolder = SESSIONS_DEFAULT,
    db: Db = "",
) -> None:
    """Erase sessions that are older than the retention period.

    Unsent messages of that age are erased as well. Also erases sessions whose participant withdrew
    consent, and finishes interrupted erasures. Run it once a day, for example with cron.

    Example:
      mien privacy retention --dry-run
    """
    import time
    from dataclasses import replace

    from mien.errors import MienError
    from mien.messaging.sinks import open_queue
    from mien.privacy.audit_log import AuditLog
    from mien.privacy.chain import state_folder

    days = _days(retention_days, deployment)
    limit_s = time.time() - 86400 * days
    with _rights(sessions, db, database_needed=dry_run) as rights:
        _require_database(rights)
        stored = rights.sessions()
        running = [session.record.session_id for session in stored if session.running]
        if dry_run:
            due, withdrawn = rights.expired(days), rights.withdrawn()
            overdue = withdrawn + [session for session in stored if session.begun and session not in withdrawn]
            overdue = [session for session in overdue if session not in due]
            names = "".join(f"\n  {session.name}" for session in due)
            print(f"would erase {_count(len(due), 'session')} older than {days} days{names}")
            for session in overdue:
                print(f"would erase {session.name}: {'erasure not finished' if session.begun else 'consent withdrawn'}")
            with open_queue() as queue:
                if messages := queue.count_older(limit_s, running) if queue else 0:
                    print(f"would erase {_count(messages, 'queued message')} older than {days} days")
            return
        old, others = rights.erase_expired(days)
    erased = old.joined(others)
    messages = 0
    try:
        with open_queue() as queue:
            if queue:
                due_messages = queue.count_older(limit_s, running)
                try:
                    queue.drop_older(limit_s, running)
                finally:  # rows may be gone although an error says that their bytes remain
                    messages = due_messages - queue.count_older(limit_s, running)
    except MienError as error:
        erased = replace(erased, faults=(*erased.faults, error))
    print(f"erased {_count(len(old.sessions), 'session')} older than {days} days; {_count(erased.files, 'file')} in all")
    if others.sessions:
        print(f"also erased (consent withdrawn or erasure not finished): {', '.join(others.sessions)}")
    if messages:
        print(f"erased {_count(messages, 'queued message')} older than {days} days")
        log_error = AuditLog(state_folder(sessions)).try_record("erased", sessions=0, files=messages, cause="retention")
        erased = replace(erased, audit_error=erased.audit_error or log_error)
    raise_faults(erased)


@contextmanager
def _rights(folder: Path, db: str, database_needed: bool = True) -> Iterator[Rights]:
    """Yield the rights over a sessions folder, analysed recordings, and the user's database if there is one."""
    from mien.sessions.rights import Rights

    with archive_in(folder, db, database_needed) as archive:
        yield Rights(archive)


def _require_database(rights: Rights) -> None:
    """Raise an error if the database that was named does not exist: its name may be mistyped."""
    from mien.errors import NoDatabaseError

    if isinstance(rights.database_error, NoDatabaseError):
        raise rights.database_error


def _notice(declaration: Path | None) -> Notice:
    from mien.privacy.notice import notice_for

    return notice_for(policy_for(declaration))


def _days(option: int | None, declaration: Path | None) -> int:
    """Return the retention period in days: the option, else the declared one."""
    return policy_for(declaration).deployment.retention_days if option is None else _checked(option)


def _checked(retention_days: int) -> int:
    from mien.errors import UsageError
    from mien.privacy.deployment import MAX_RETENTION_DAYS

    if not 1 <= retention_days <= MAX_RETENTION_DAYS:
        raise UsageError(f"--retention-days is {retention_days}; use 1 to {MAX_RETENTION_DAYS}")
    return retention_days


def _when(session: StoredSession) -> str:
    """Return when a session ended, or since when it is running; the record of a running analysis has the recording's start."""
    if not session.running:
        return f"ended {session.ended:%Y-%m-%d}"
    return f"running since {session.record.started_at.astimezone():%H:%M}" if session.record.state == "running" else "running"


def _count(number: int, thing: str) -> str:
    """Return a count with its noun."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
