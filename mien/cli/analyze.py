"""``mien analyze``: read recordings, every frame, and keep what was read of each like a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import MODEL_DEFAULT, Model, Rules, States, wants_states

if TYPE_CHECKING:
    from mien.recordings.analysis import RunReport
    from mien.recordings.film import FilmReport


def analyze(
    films: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Videos, or folders of videos.")],
    out: Annotated[Path, typer.Option(help="Each video gets a folder of its name in here.")] = Path("results/analyses"),
    annotate: Annotated[bool, typer.Option("--annotate", help="Draw what was read into a copy, annotated.mp4.")] = False,
    blur_faces: Annotated[bool, typer.Option("--blur-faces", help="Hide faces in that copy.")] = False,
    workers: Annotated[int, typer.Option(help="Processes (0: one a core).")] = 0,
    model: Model = MODEL_DEFAULT,
    smoothing: Annotated[float, typer.Option(help="Time constant, in seconds.")] = 0.4,
    deployment: Annotated[Path | None, typer.Option(help="Who uses it on whom (mien deploy init).")] = None,
    person: Annotated[str, typer.Option(help="Who is in them, as in the consent ledger.")] = "",
    states: States = "off",
    rules: Rules = None,
    again: Annotated[bool, typer.Option("--again", help="Start over where an analysis is there.")] = False,
    dask: Annotated[str, typer.Option(help="Let a Dask cluster do it: its scheduler's address.")] = "",
) -> None:
    """Read the expressions in recordings: no frame dropped, times as in the file.

    A stop loses nothing that was finished: the same command goes on where it was. The
    result does not depend on stops or workers. With --dask tcp://HOST:8786 every worker
    must see the videos, and the folder for --annotate, under the same paths.

    Ends with 3 where a video could not be read, or not wholly; the others are done.

    Example:  mien analyze lessons/ --annotate --blur-faces
    """
    import json

    from mien.cli.progress import progress_bar
    from mien.cores import worker_count
    from mien.errors import DataError
    from mien.recordings.analysis import Analysis
    from mien.recordings.settings import AnalyzeSettings

    analysis = Analysis(
        AnalyzeSettings(
            tuple(films),
            out,
            model,
            annotate,
            blur_faces,
            workers or worker_count(),
            dask,
            smoothing,
            deployment,
            person,
            again,
            states=wants_states(states),
            rules=rules,
        )
    )
    for notice in analysis.notices:
        typer.echo(notice, err=True)
    try:
        with progress_bar("reading frames") as progress:
            report = analysis.run(progress)
    except KeyboardInterrupt:
        typer.echo("What was finished stays: the same command goes on from there.", err=True)
        raise
    print(report_text(report))
    print(json.dumps(report_line(report)))
    if report.failed:
        raise DataError(f"{len(report.failed)} of {len(report.films)} could not be read, or not wholly; see above")


def report_text(report: RunReport) -> str:
    """Return what became of each recording as a table."""
    width = max(len("recording"), *(len(film.path.name) for film in report.films))
    lines = [f"{'recording':<{width}}  {'frames':>9}  {'seconds':>9}  what became of it"]
    lines += [f"{film.path.name:<{width}}  {film.frames:>9,}  {film.video_s:>9,.1f}  {_outcome(film)}" for film in report.films]
    if report.times_real_time > 0:
        lines.append(f"{report.times_real_time:.1f} times as fast as they last")
    return "\n".join([*lines, "Expression, not feeling: a look is not a state of mind."])


def report_line(report: RunReport) -> dict[str, object]:
    """Return the same as plain values for one line of JSON."""
    return {
        "files": len(report.films),
        "frames": sum(film.frames for film in report.films),
        "video_s": round(sum(film.video_s for film in report.films), 3),
        "times_real_time": round(report.times_real_time, 2),
        "policy": report.policy,
        "failed": [film.path.name for film in report.failed],
    }


def _outcome(film: FilmReport) -> str:
    if film.error:
        return f"failed: {film.error}"
    kept = f"{'was done before: ' if film.before else ''}{film.folder}"
    return f"{kept} ({film.damage})" if film.damage else kept
