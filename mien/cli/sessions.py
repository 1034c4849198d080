"""``mien sessions``: list, show, export and delete sessions; statistics of groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.help import Group, HelpCommand
from mien.cli.options import SESSIONS_DEFAULT, ArchiveFolder, Db, Json, Overwrite, archive_in
from mien.cli.output import raise_faults
from mien.cli.sessions_groups import groups
from mien.visible import visible

if TYPE_CHECKING:
    from mien.sessions.begun import Lost
    from mien.sessions.stored import StoredSession

sessions = typer.Typer(
    name="sessions",
    help="List, show, export and delete sessions; group statistics.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="Name of a session or its beginning, its folder, or 'last'.")]


@sessions.command("list", cls=HelpCommand)
def list_sessions(
    folder: ArchiveFolder = SESSIONS_DEFAULT,
    db: Db = "",
    as_json: Json = False,
    page: Annotated[bool, typer.Option("--page", help="Write a page that links all summaries.")] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Write that page and open it in a browser.")] = False,
) -> None:
    """List sessions and analysed recordings, oldest first.

    Reads the folders in results/sessions and results/analyses, or in --sessions, and the database.
    --page writes a page beside the sessions folder, sessions.html by default.

    Example:
      mien sessions list --open
    """
    import json

    from mien.errors import DataError

    if folder != SESSIONS_DEFAULT and not folder.is_dir() and not db:
        raise DataError(f"no folder {folder}")
    with archive_in(folder, db) as archive:
        found = archive.sessions()
    if as_json:
        print(json.dumps([_row(item) for item in found], indent=2))
        return
    if not found:
        print(f"No sessions yet in {folder}" + (" or the database" if db else "") + ". Start one with: mien live")
        return
    print(f"{'session':<26} {'state':<11} {'duration':>12} {'frames':>8} {'faces':>5}  {'stored in':<15} source")
    for item in found:
        print(_line(item))
    if page or open_page:
        from mien.cli.output import report_ready
        from mien.sessions.layout import index_path

        report_ready(_write_index(index_path(folder), found), open_page)


@sessions.command("show", cls=HelpCommand)
def show(name: Name, folder: ArchiveFolder = SESSIONS_DEFAULT, db: Db = "", as_json: Json = False) -> None:
    """Print the summary of a session.

    A session whose process was killed is first recovered from the data it had saved.

    Example:
      mien sessions show last
    """
    import json

    from mien.sessions.document import session_document
    from mien.summaries.text import session_text
    from mien.summaries.views import write_views

    with archive_in(folder, db) as archive:
        found = archive.find(name)
        kept = archive.load(found, write_views)
    if as_json:
        print(json.dumps(session_document(kept), indent=2))
        return
    files = sorted(path.name for path in found.folder.iterdir()) if found.folder else ["totals and events, no readings"]
    if kept.session.state == "recovered":
        print("This session did not end normally. The summary was recovered from the data it had saved.")
    print(session_text(kept, files, str(found.folder or "the database")))


@sessions.command("export", cls=HelpCommand)
def export(
    name: Name,
    form: Annotated[
        str, typer.Option("--format", help="csv or parquet (readings), json or html (summary), zip (all its files).")
    ] = "zip",
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="NAME.FORMAT")] = None,
    overwrite: Overwrite = False,
    folder: ArchiveFolder = SESSIONS_DEFAULT,
    db: Db = "",
) -> None:
    """Export a session to a file.

    For a session that is only in the database, csv and parquet contain its time slices.

    Example:
      mien sessions export last --format html --out lesson.html
    """
    from mien.errors import UsageError
    from mien.files import refuse_existing
    from mien.sessions.layout import refuse_own_file
    from mien.summaries.export import FORMS, export_session
    from mien.summaries.views import write_views

    if form not in FORMS:
        raise UsageError(f"--format is {form!r}; use {', '.join(FORMS)}")
    with archive_in(folder, db) as archive:
        found = archive.find(name)
        target = out or Path(f"{found.record.session_id}.{form}")
        refuse_own_file(target)
        refuse_existing(target, overwrite)
        kept = archive.load(found, write_views)
        archive.log.record("exported", sessions=1)
    export_session(kept, found.folder, form, target)
    print(f"written: {target}")


@sessions.command("delete", cls=HelpCommand)
def delete(
    names: Annotated[list[str], typer.Argument(help="Names of sessions or their beginnings, folders, or 'last'.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    forget_database: Annotated[
        bool, typer.Option("--forget-database", help="Erase a folder even if the database that it names is gone for good.")
    ] = False,
    folder: ArchiveFolder = SESSIONS_DEFAULT,
    db: Db = "",
) -> None:
    """Erase sessions permanently, after confirmation. The audit log records it.

    Earlier sessions in their folders stay. Database rows are deleted even if their folder is not found.

    Example:
      mien sessions delete 2026-03-04_09-30-00-k3f9
    """
    import sys

    from mien.errors import UsageError
    from mien.sessions.erasure import foreign_files, is_made_for_session
    from mien.sessions.layout import earlier_folders

    with archive_in(folder, db, database_needed=not forget_database) as archive:
        # copies of a recording may have the same session id
        found = {item.folder or item.record.session_id: item for item in map(archive.find, names)}
        for item in found.values():
            print(_line(item))
            alone = item.folder is not None and is_made_for_session(item.folder, folder) and not earlier_folders(item.folder)
            others = foreign_files(item.folder) if item.folder and alone else []
            if others:
                print(f"  erased with it, not written by Mien: {', '.join(others)}")
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("nothing was deleted: there is no terminal to ask in. Pass --yes to delete")
            if not typer.confirm(f"Delete {len(found)} session{'s' if len(found) > 1 else ''}? This cannot be undone."):
                print("nothing was deleted")
                return
        lost: Lost = "all" if forget_database else "files"
        erased = archive.eraser.erase(list(found.values()), earlier=False, spare_foreign=True, lost=lost)
    for item in found.values():
        if item.name not in erased.sessions:
            continue
        print(f"deleted: {item.record.session_id}")
        left = [path.name for path in erased.left if path.parent == item.folder]
        if left:
            print(f"  kept in {item.folder}, not written by Mien: {', '.join(left)}")
    for place in erased.not_found:
        print(f"not erased, because it was not found: {place}")
    raise_faults(erased)


sessions.command("groups", cls=HelpCommand)(groups)


def _write_index(target: Path, found: Sequence[StoredSession]) -> Path:
    """Write the page that links the summaries of sessions."""
    from os.path import relpath
    from urllib.parse import quote

    from mien.files import write_text
    from mien.sessions.layout import ANALYSES, PAGE_NAME
    from mien.summaries.index import IndexRow, index_page

    rows = []
    for item in found:
        summary = item.folder / PAGE_NAME if item.folder else None
        link = quote(Path(relpath(summary, target.parent)).as_posix()) if summary and summary.is_file() else ""
        analysed = item.folder is not None and item.folder.parent.resolve() == ANALYSES.resolve()
        rows.append(IndexRow(item.record, "recording" if analysed else "live", link))
    write_text(target, index_page(rows), private=True)
    return target


def _row(item: StoredSession) -> dict[str, object]:
    """Return a session as plain values."""
    session = item.record
    return {
        "session_id": session.session_id,
        "started_at": session.started_at.isoformat(timespec="milliseconds"),
        "state": session.state,
        "source": session.source,
        "model": session.model,
        "duration_s": round(session.duration_s, 3),
        "frames": session.frames,
        "frames_with_face": session.frames_with_face,
        "faces_max": session.faces_max,
        "dropped": session.dropped,
        "folder": str(item.folder) if item.folder else None,
        "in_database": item.in_database,
    }


def _line(item: StoredSession) -> str:
    """Return a session as one line of the list."""
    from mien.sessions.layout import is_finished
    from mien.words import length

    session = item.record
    incomplete = session.state == "recovered" and item.folder is not None and not is_finished(item.folder)
    state = "incomplete" if incomplete else session.state
    places = [place for place, there in (("folder", item.folder is not None), ("database", item.in_database)) if there]
    known = session.frames or session.state != "recovered"
    numbers = f"{length(session.duration_s) if known else '?':>12} {session.frames if known else '?':>8}"
    faces = session.faces_max if known else "?"
    return f"{session.session_id:<26} {state:<11} {numbers} {faces:>5}  {', '.join(places):<15} {visible(session.source)}"
