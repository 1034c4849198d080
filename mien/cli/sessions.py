"""``mien sessions``: which sessions are kept, what was in them, taking them out, deleting them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import Db

if TYPE_CHECKING:
    from mien.store.archive import FoundSession

sessions = typer.Typer(
    name="sessions",
    help="The sessions that are kept: list, show, export, delete.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Option("--folder", help="Folder of the sessions' folders.")]
Name = Annotated[str, typer.Argument(help="A session's name or the beginning of it, its folder, or 'last'.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
FOLDER_DEFAULT = Path("results/sessions")


@sessions.command("list")
def list_sessions(folder: Folder = FOLDER_DEFAULT, db: Db = "", as_json: Json = False) -> None:
    """List the sessions that are kept, in folders and in the database, the oldest first.

    Example: mien sessions list
    """
    import json

    from mien.store.archive import open_archive

    with open_archive(folder, db) as archive:
        found = archive.sessions()
    if as_json:
        print(json.dumps([_row(item) for item in found], indent=2, ensure_ascii=False))
        return
    if not found:
        print(f"No session is kept in {folder}" + (" or the database." if db else "."))
        return
    print(f"{'session':<26} {'state':<11} {'length':>12} {'frames':>8} {'faces':>5}  {'kept in':<15} source")
    for item in found:
        print(_line(item))


@sessions.command("show")
def show(name: Name, folder: Folder = FOLDER_DEFAULT, db: Db = "", as_json: Json = False) -> None:
    """Print the summary of a session. One that was killed is first put together from what it had saved.

    Example: mien sessions show last
    """
    import json

    from mien.store.archive import open_archive
    from mien.store.session_export import session_document
    from mien.store.session_text import session_text

    with open_archive(folder, db) as archive:
        found = archive.find(name)
        kept = archive.load(found)
    if as_json:
        print(json.dumps(session_document(kept), indent=2, ensure_ascii=False))
        return
    files = sorted(path.name for path in found.folder.iterdir()) if found.folder else ["sums and events, no readings"]
    if kept.session.state == "recovered":
        print("This session was cut off; what follows is put together from what it had saved.")
    print(session_text(kept, files, str(found.folder or "the database")))


@sessions.command("export")
def export(
    name: Name,
    form: Annotated[
        str, typer.Option("--format", help="csv or parquet (every reading), json or html (the summary), zip (everything).")
    ] = "zip",
    out: Annotated[Path | None, typer.Option(help="The file to write.", show_default="NAME.FORMAT")] = None,
    folder: Folder = FOLDER_DEFAULT,
    db: Db = "",
) -> None:
    """Write a session to a file. Where only the database has it, csv and parquet hold its time slices.

    Example: mien sessions export last --format html --out lesson.html
    """
    from mien.errors import UsageError
    from mien.store.archive import open_archive
    from mien.store.session_export import FORMS, export_session

    if form not in FORMS:
        raise UsageError(f"format is {form!r}; it must be one of {', '.join(FORMS)}")
    with open_archive(folder, db) as archive:
        found = archive.find(name)
        kept = archive.load(found)
    target = out or Path(f"{kept.session.session_id}.{form}")
    export_session(kept, found.folder, form, target)
    print(f"written: {target}")


@sessions.command("delete")
def delete(
    names: Annotated[list[str], typer.Argument(help="Names of sessions, beginnings of them, folders, or 'last'.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    folder: Folder = FOLDER_DEFAULT,
    db: Db = "",
) -> None:
    """Delete sessions for good, wherever they are kept. Asks first.

    Example: mien sessions delete 2026-03-04_09-30-00-k3f9
    """
    import sys

    from mien.errors import UsageError
    from mien.store.archive import open_archive

    with open_archive(folder, db) as archive:
        found = {item.session.session_id: item for item in map(archive.find, names)}
        for item in found.values():
            print(_line(item))
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("nobody can be asked here; nothing was deleted. Say --yes to delete")
            if not typer.confirm(f"Delete {len(found)} session{'s' if len(found) > 1 else ''} for good?"):
                print("nothing was deleted")
                return
        for name, item in found.items():
            left = archive.delete(item)
            print(f"deleted: {name}")
            if left:
                print(f"  left in {item.folder}, not Mien's: {', '.join(path.name for path in left)}")


def _row(item: FoundSession) -> dict[str, object]:
    """Return a session as plain values."""
    session = item.session
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


def _line(item: FoundSession) -> str:
    """Return a session as one line of the list."""
    from mien.store.summary_words import length

    session = item.session
    state = "cut off" if session.state == "recovered" and item.folder and not _finished(item.folder) else session.state
    places = [place for place, there in (("folder", item.folder is not None), ("database", item.in_database)) if there]
    known = session.frames or session.state != "recovered"
    numbers = f"{length(session.duration_s) if known else '?':>12} {session.frames if known else '?':>8}"
    faces = session.faces_max if known else "?"
    return f"{session.session_id:<26} {state:<11} {numbers} {faces:>5}  {', '.join(places):<15} {session.source}"


def _finished(folder: Path) -> bool:
    from mien.store.recovery import is_finished

    return is_finished(folder)
