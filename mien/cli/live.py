"""``mien live``: read expressions from a camera, a stream, a video or pictures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import (
    SESSIONS_DEFAULT,
    Declaration,
    JsonLine,
    OpenPage,
    OwnModel,
    Person,
    Rules,
    SmoothingS,
    States,
    wants_states,
)

if TYPE_CHECKING:
    from mien.settings import LiveSettings


def live(
    source: Annotated[
        str,
        typer.Option(help="auto, demo, or a camera's index or name, a URL, a file or a folder of pictures."),
    ] = "auto",
    headless: Annotated[bool, typer.Option("--headless", help="No view; process files at full speed.")] = False,
    view: Annotated[str, typer.Option(help="auto, window, terminal or none.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Output folder.", show_default="results/sessions/START")] = None,
    model: OwnModel = None,
    smoothing_s: SmoothingS = 0.4,
    duration_s: Annotated[float, typer.Option(help="Stop after this many seconds; 0: no limit.", show_default=False)] = 0.0,
    db: Annotated[str, typer.Option(help="Also store it in this database.", show_default="$MIEN_DB")] = "",
    camera_size: Annotated[
        str, typer.Option(metavar="WxH", help="Requested resolution.", show_default=False, rich_help_panel="Camera")
    ] = "",
    camera_fps: Annotated[float, typer.Option(help="Requested frame rate.", show_default=False, rich_help_panel="Camera")] = 0.0,
    patience_s: Annotated[float, typer.Option(help="Stop after this long without a frame.", rich_help_panel="Camera")] = 60.0,
    deployment: Declaration = None,
    person: Person = "",
    keep_faces: Annotated[
        bool, typer.Option("--keep-faces", help="Do not blur faces in screenshots.", rich_help_panel="Policy")
    ] = False,
    states: States = "off",
    rules: Rules = None,
    json_line: JsonLine = False,
    open_page: OpenPage = False,
) -> None:
    """Read facial expressions from a camera, stream or file.

    auto uses the first camera, or the demo if there is none. Writes observations.csv and a
    summary; no camera picture unless you press s (h lists all keys). Exit code 5 if something
    could not be saved.

    Example:
      mien live --source lesson.mp4 --headless --out results/lesson
    """
    from mien.cli.model_in_use import chosen_model
    from mien.settings import LiveSettings, parse_size

    run_session(
        LiveSettings(
            source=source,
            out=out or new_folder(),
            model=chosen_model(model),
            view="none" if headless else view,
            smoothing_s=smoothing_s,
            seconds=duration_s,
            keep_faces=keep_faces,
            deployment=deployment,
            camera_size=parse_size("--camera-size", camera_size),
            camera_fps=camera_fps,
            patience_s=patience_s,
            database=db,
            person=person,
            states=wants_states(states),
            rules=rules,
        ),
        json_line,
        open_page,
    )


def new_folder() -> Path:
    """Return the folder of a session that starts now."""
    from mien.sessions.layout import new_session_id

    return SESSIONS_DEFAULT / new_session_id(datetime.now().astimezone())


def run_session(settings: LiveSettings, json_line: bool = False, open_page: bool = False) -> None:
    """Run a session and print its summary; ``live`` and ``system`` end here.

    Args:
        settings: of the session.
        json_line: whether to end with a line of JSON on a terminal too.
        open_page: whether to open the summary in a browser.
    """
    import sys

    from mien.cli.model_in_use import print_model
    from mien.cli.output import print_json_line, report_ready
    from mien.errors import StorageError
    from mien.session import Session
    from mien.sessions.layout import PAGE_NAME
    from mien.summaries.text import summary_text

    session = Session(settings)
    print_model(settings.model)
    for notice in session.notices:
        print(notice, file=sys.stderr)
    before = len(session.notices)
    if session.headless:
        from mien.cli.progress import progress_bar

        with progress_bar("reading frames") as progress:
            summary = session.run(progress, lambda news: print(news, file=sys.stderr))
    else:
        summary = session.run()
    for notice in session.notices[before:]:
        print(notice, file=sys.stderr)
    print(summary_text(summary))
    page = settings.out / PAGE_NAME
    if page.is_file():
        report_ready(page, open_page)
    keys = ("frames", "frames_with_face", "faces_max", "fps", "distribution", "out", "policy", "missing", "not_erased")
    line = {key: summary[key] for key in keys if key in summary}
    print_json_line(line if summary["files"] or summary["missing"] or summary["not_erased"] else line | {"out": None}, json_line)
    if summary["not_erased"]:
        raise StorageError(f"not everything was erased or recorded: {summary['not_erased'][0]}")
    if summary["missing"]:
        raise StorageError(f"not everything was saved: {summary['missing'][0]}")
