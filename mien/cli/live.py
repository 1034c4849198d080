"""``mien live``: watch a camera, a video or pictures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import MODEL_DEFAULT, Model


def live(
    source: Annotated[str, typer.Option(help="auto, demo, a camera's index, a URL, a video, a picture or a folder.")] = "auto",
    headless: Annotated[bool, typer.Option("--headless", help="No view; every frame as fast as it goes.")] = False,
    view: Annotated[str, typer.Option(help="auto, window, terminal or none.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="The session's folder.", show_default="results/sessions/START")] = None,
    model: Model = MODEL_DEFAULT,
    smoothing: Annotated[float, typer.Option(help="Time constant of the smoothing, in seconds.")] = 0.4,
    seconds: Annotated[float, typer.Option(help="End after this much of the source's time (0: at its end).")] = 0.0,
    keep_faces: Annotated[bool, typer.Option("--keep-faces", help="Do not blur faces in screenshots.")] = False,
) -> None:
    """Read the expressions in a camera, a video or pictures, live.

    Keys: q quit, s screenshot, e export, r reset the statistics on screen, SPACE pause.
    The session's folder gets observations.csv (a row a face a frame), summary.json and
    summary.png. No picture is kept unless you press s. Headless runs end in one line of JSON.

    Examples:  mien live    mien live --source lesson.mp4 --headless --out results/lesson
    """
    run_live(source, "none" if headless else view, out, model, smoothing, seconds, keep_faces)


def run_live(
    source: str, view: str, out: Path | None, model: str, smoothing_s: float = 0.4, seconds: float = 0.0, keep_faces: bool = False
) -> None:
    """Run a session and print its summary; ``live`` and ``system`` end here."""
    import json

    from mien.session import Session, report
    from mien.settings import LiveSettings

    folder = out or Path("results/sessions") / datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    session = Session(LiveSettings(source, folder, model, view, smoothing_s, seconds, keep_faces))
    for notice in session.notices:
        typer.echo(notice, err=True)
    if session.headless:
        from mien.cli.progress import progress_bar

        with progress_bar("reading frames") as progress:
            summary = session.run(progress)
    else:
        summary = session.run()
    print(report(summary))
    if session.headless:
        keys = ("frames", "frames_with_face", "faces_max", "fps", "distribution", "out")
        print(json.dumps({key: summary[key] for key in keys}))
