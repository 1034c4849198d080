"""``mien live``: watch a camera, a video or pictures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import MODEL_DEFAULT, Model, Rules, States, wants_states

if TYPE_CHECKING:
    from mien.settings import LiveSettings


def live(
    source: Annotated[str, typer.Option(help="demo, camera, URL, file or folder.")] = "auto",
    headless: Annotated[bool, typer.Option("--headless", help="No view, every frame, full speed.")] = False,
    view: Annotated[str, typer.Option(help="auto, window, terminal or none.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="The folder (else results/sessions/START).", show_default=False)] = None,
    model: Model = MODEL_DEFAULT,
    smoothing: Annotated[float, typer.Option(help="Time constant, in seconds.")] = 0.4,
    seconds: Annotated[float, typer.Option(help="End here (0: at the end).")] = 0.0,
    keep_faces: Annotated[bool, typer.Option("--keep-faces", help="Do not blur faces in screenshots.")] = False,
    camera_size: Annotated[str, typer.Option(help="Ask a camera for this size, as 1280x720.")] = "",
    camera_fps: Annotated[float, typer.Option(help="And this rate (0: its own).")] = 0.0,
    patience: Annotated[float, typer.Option(help="End when lost for so long.")] = 60.0,
    deployment: Annotated[Path | None, typer.Option(help="Who uses it on whom (mien deploy init).")] = None,
    states: States = "off",
    rules: Rules = None,
    person: Annotated[str, typer.Option(help="Who sits there, as in the consent ledger.")] = "",
    db: Annotated[str, typer.Option(help="Keep it in this database too (path or URL).", show_default="$MIEN_DB")] = "",
) -> None:
    """Read the expressions in a camera, a video or pictures, live.

    SOURCE: auto (the first camera, else the demo), demo, a camera's index or part of
    its name, a URL, a video, a picture or a folder. Times are in seconds.

    Keys: q quit, s screenshot, e export, r reset the screen, SPACE pause, w withdraw, h help. The
    folder gets observations.csv, summary.json and summary.html; no picture is kept
    unless you press s. Headless runs end in one line of JSON.

    Example:  mien live --source lesson.mp4 --headless --out results/lesson
    """
    from mien.settings import LiveSettings, parse_size

    run_session(
        LiveSettings(
            source,
            out or new_folder(),
            model,
            "none" if headless else view,
            smoothing,
            seconds,
            keep_faces,
            deployment,
            parse_size("camera-size", camera_size),
            camera_fps,
            patience,
            db,
            person,
            wants_states(states),
            rules,
        )
    )


def new_folder() -> Path:
    """Return the folder of a session that begins now."""
    from mien.store.names import new_session_id
    from mien.store.place import SESSIONS

    return SESSIONS / new_session_id(datetime.now().astimezone())


def run_session(settings: LiveSettings) -> None:
    """Run a session and print its summary; ``live`` and ``system`` end here."""
    import json

    from mien.session import Session, report

    session = Session(settings)
    for notice in session.notices:
        typer.echo(notice, err=True)
    if session.headless:
        from mien.cli.progress import progress_bar

        with progress_bar("reading frames") as progress:
            summary = session.run(progress, lambda news: typer.echo(news, err=True))
    else:
        summary = session.run()
    print(report(summary))
    if session.headless:
        keys = ("frames", "frames_with_face", "faces_max", "fps", "distribution", "out", "policy")
        print(json.dumps({key: summary[key] for key in keys}))
