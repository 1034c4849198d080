"""``mien privacy``: what people are told, what they said, and what they can ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.audit_log import ROOT_DEFAULT, Root
from mien.cli.deploy import DEPLOYMENT_DEFAULT
from mien.cli.options import Db

if TYPE_CHECKING:
    from mien.privacy.notice import Notice
    from mien.privacy.policy import Policy
    from mien.privacy.rights import Rights
    from mien.privacy.sessions import PersonalStore

privacy = typer.Typer(
    name="privacy",
    help="Notice, consent and the rights of people: status, notice, consent, export, erase, retention.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Declaration = Annotated[
    Path | None, typer.Option("--deployment", help="The declaration.", show_default="deployment.toml where it is there")
]
Sessions = Annotated[list[str] | None, typer.Option("--session", help="A session by name; can be given several times.")]
Person = Annotated[str, typer.Option("--person", help="A person, as the consent ledger calls them.")]
Days = Annotated[int | None, typer.Option("--days", help="How many days sessions are kept.", show_default="as declared, or 30")]


@privacy.command("status")
def status(root: Root = ROOT_DEFAULT, days: Days = None, deployment: Declaration = None, db: Db = "") -> None:
    """List what is kept, of whom, since when, and what people said; nothing is changed.

    Example: mien privacy status
    """
    from mien.privacy.sessions import SessionFolders

    days = _days(days, deployment)
    with _rights(root, db) as rights:
        people = {name: person for person, name in rights.ledger.people().items()}
        sessions, due = rights.sessions(), {session.name for session in rights.expired(days)}
    size = sum(session.size_bytes for session in sessions) / 1e6
    print(f"{_count(len(sessions), 'session')} in {root}, {size:.1f} MB, {len(due)} older than {days} days")
    for session in sessions:
        who = people.get(session.person, "unknown person" if session.person else "nobody noted")
        late = "  due for erasure" if session.name in due else ""
        print(f"  {session.name:<24} ended {session.ended:%Y-%m-%d}  {session.size_bytes / 1e6:6.1f} MB  {who}{late}")
    for person in people.values():
        said = ", ".join(f"{purpose} {state}" for purpose, (state, _) in rights.ledger.states(person).items())
        print(f"  {person}: {said or 'nothing said'}")
    strangers = SessionFolders(root).strangers()
    if strangers:
        print(f"not sessions, so nothing here touches them: {', '.join(strangers)}")


@privacy.command("notice")
def notice(deployment: Declaration = None) -> None:
    """Print the notice that people are to read before they are in the picture, and its version.

    Example: mien privacy notice > notice.txt
    """
    made = _notice(deployment)
    print(made.text)
    print(f"Version {made.version}")


@privacy.command("consent")
def consent(
    person: Annotated[str, typer.Argument(help="The person, as you call them.")],
    purpose: Annotated[str, typer.Argument(help="show, keep, groups or research.")],
    state: Annotated[str, typer.Argument(help="granted, refused or withdrawn.")],
    root: Root = ROOT_DEFAULT,
    deployment: Declaration = None,
    db: Db = "",
) -> None:
    """Write into the consent ledger what a person said, having read the notice of mien privacy notice.

    Refusing or withdrawing prints what must stop, and erases what must be erased.

    Example: mien privacy consent learner-17 keep withdrawn
    """
    with _rights(root, db) as rights:
        consequences, erased = rights.say(person, purpose, state, _notice(deployment))
    print(f"{person}: {purpose} {state}")
    if consequences.stop:
        print(f"must stop now: {', '.join(consequences.stop)}")
    if erased.sessions:
        print(f"erased: {', '.join(erased.sessions)} ({_count(erased.files, 'file')})")
    if consequences.recall:
        print("to be called back by you: copies that were handed to a study")


@privacy.command("export")
def export(
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    session: Sessions = None,
    person: Person = "",
    root: Root = ROOT_DEFAULT,
    db: Db = "",
) -> None:
    """Write all that is kept of a person or of sessions (of everybody, if none is named) into one JSON file.

    Example: mien privacy export --person learner-17 --out learner-17.json
    """
    from mien.files import write_json

    with _rights(root, db) as rights:
        document = rights.export(session or (), person)
    write_json(out, document)
    out.chmod(0o600)
    written = _count(len(document["sessions"]), "session")
    print(f"{written} written to {out}. It is personal data: hand it over safely, then remove it")


@privacy.command("erase")
def erase(
    session: Sessions = None,
    person: Person = "",
    everything: Annotated[bool, typer.Option("--all", help="All sessions.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    root: Root = ROOT_DEFAULT,
    db: Db = "",
) -> None:
    """Erase sessions, or all that is kept of a person. There is no way back.

    Example: mien privacy erase --person learner-17
    """
    from mien.errors import UsageError

    if bool(session) + bool(person) + everything != 1:
        raise UsageError("say what to erase: --session NAME (several times if need be), --person NAME, or --all")
    with _rights(root, db) as rights:
        names = session or [kept.name for kept in rights.sessions(person)]
        if not yes:
            who = f" and who {person} is in the consent ledger" if person else ""
            try:
                typer.confirm(
                    f"Erase {_count(len(names), 'session')}{who}: {', '.join(names) or 'none'}. There is no way back. Go on?",
                    abort=True,
                )
            except typer.Abort as error:
                raise UsageError("nothing was erased: answer with y, or give --yes") from error
        erased = rights.erase_person(person) if person else rights.erase(names)
    print(f"erased {_count(len(erased.sessions), 'session')}, {_count(erased.files, 'file')}")


@privacy.command("retention")
def retention(
    days: Days = None,
    deployment: Declaration = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    root: Root = ROOT_DEFAULT,
    db: Db = "",
) -> None:
    """Erase all sessions that ended longer ago than the notice promises; to be run once a day by whatever runs jobs.

    Example: mien privacy retention --dry-run
    """
    days = _days(days, deployment)
    with _rights(root, db) as rights:
        due = [session.name for session in rights.expired(days)]
        if dry_run:
            names = "".join(f"\n  {name}" for name in due)
            print(f"would erase {_count(len(due), 'session')} older than {days} days{names}")
            return
        erased = rights.erase(due, "retention")
    print(f"erased {_count(len(erased.sessions), 'session')} older than {days} days, {_count(erased.files, 'file')}")


@contextmanager
def _rights(root: Path, db: str) -> Iterator[Rights]:
    """Yield the rights over the sessions' folders, those of recordings, and over the user's database where there is one."""
    from mien.privacy.rights import Rights
    from mien.privacy.sessions import SessionFolders
    from mien.store.archive import users_database
    from mien.store.place import ANALYSES

    stores: list[PersonalStore] = [SessionFolders(root)]
    if root == ROOT_DEFAULT:
        stores.append(SessionFolders(ANALYSES))
    with users_database(db) as database:
        if database is not None:
            from mien.store.database_sessions import DatabaseSessions

            stores.append(DatabaseSessions(database))
        yield Rights(root, stores)


def _policy(declaration: Path | None) -> Policy:
    """Return the decision on a declaration; without one, on the file in this folder, or on own use."""
    from mien.privacy.deployment import read_deployment
    from mien.privacy.policy import decide

    path = declaration or (DEPLOYMENT_DEFAULT if DEPLOYMENT_DEFAULT.exists() else None)
    return decide(read_deployment(path) if path else None)


def _notice(declaration: Path | None) -> Notice:
    from mien.privacy.notice import notice_for

    return notice_for(_policy(declaration))


def _days(said: int | None, declaration: Path | None) -> int:
    """Return how many days sessions are kept: as said, or as declared."""
    return said if said is not None else _policy(declaration).deployment.retention_days


def _count(number: int, thing: str) -> str:
    """Return a number of things in words."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
