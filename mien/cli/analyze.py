"""``mien analyze``: read every frame of recordings and store each like a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import Declaration, JsonLine, OwnModel, Person, Rules, SmoothingS, States, wants_states
from mien.sessions.layout import ANALYSES
from mien.visible import visible

if TYPE_CHECKING:
    from mien.recordings.analysis import RunReport
    from mien.recordings.recording import RecordingReport


def analyze(
    recordings: Annotated[list[Path], typer.Argument(metavar="FILE", help="Videos, or folders of videos.")],
    out: Annotated[Path, typer.Option(help="Output folder.")] = ANALYSES,
    annotate: Annotated[bool, typer.Option("--annotate", help="Write annotated.mp4, a copy with the readings.")] = False,
    blur_faces: Annotated[bool, typer.Option("--blur-faces", help="Blur faces in that copy.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over instead of resuming.")] = False,
    model: OwnModel = None,
    smoothing_s: SmoothingS = 0.4,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Number of processes.", show_default="one per core", rich_help_panel="Computing"),
    ] = None,
    dask: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Run on a Dask cluster (tcp://HOST:8786).", show_default=False, rich_help_panel="Computing"
        ),
    ] = "",
    deployment: Declaration = None,
    person: Person = "",
    states: States = "off",
    rules: Rules = None,
    json_line: JsonLine = False,
) -> None:
    """Read facial expressions in recordings, in every frame.

    A run that was stopped resumes when the same command is repeated. The result does not depend
    on stops or on the number of workers. Workers of a Dask cluster must see the videos, and with
    --annotate the output folder, under the same paths. Exit code 3 if a video could not be read
    completely, 5 if a result could not be saved; all other videos are still analysed.

    Example:
      mien analyze lessons/ --annotate --blur-faces
    """
    import sys

    from mien.cli.model_in_use import chosen_model, print_model
    from mien.cli.output import print_json_line
    from mien.cli.progress import progress_bar
    from mien.errors import DataError, StorageError
    from mien.limits import worker_count
    from mien.recordings.analysis import Analysis
    from mien.recordings.settings import AnalyzeSettings

    used = chosen_model(model)
    print_model(used)
    analysis = Analysis(
        AnalyzeSettings(
            tuple(recordings),
            out,
            model=used,
            annotate=annotate,
            blur_faces=blur_faces,
            workers=workers or worker_count(),
            dask=dask,
            smoothing_s=smoothing_s,
            deployment=deployment,
            person=person,
            again=overwrite,
            states=wants_states(states),
            rules=rules,
        )
    )
    for notice in analysis.notices:
        print(notice, file=sys.stderr)
    try:
        with progress_bar("reading frames") as progress:
            report = analysis.run(progress)
    except KeyboardInterrupt:
        print("Stopped. Repeat the same command to resume.", file=sys.stderr)
        raise
    print(report_text(report))
    print_json_line(report_line(report), json_line)
    if report.missing:
        raise StorageError(f"not everything was saved: {report.missing[0]}")
    if report.failed:
        raise DataError(f"{len(report.failed)} of {len(report.recordings)} could not be read completely; see above")


def report_text(report: RunReport) -> str:
    """Return the result of each recording as a table."""
    names = [visible(recording.path.name) for recording in report.recordings]
    width = max(len("recording"), *map(len, names))
    lines = [f"{'recording':<{width}}  {'frames':>9}  {'seconds':>9}  result"]
    rows = zip(names, report.recordings, strict=True)
    lines += [
        f"{name:<{width}}  {recording.frames:>9,}  {recording.video_s:>9,.1f}  {visible(_outcome(recording))}"
        for name, recording in rows
    ]
    if sum(recording.read_s for recording in report.recordings) > 1:  # less is too short for a meaningful speed
        lines.append(f"{report.times_real_time:.1f} times real time")
    return "\n".join([*lines, "Mien reads expressions, not feelings."])


def report_line(report: RunReport) -> dict[str, object]:
    """Return the report as plain values for one line of JSON."""
    return {
        "files": len(report.recordings),
        "frames": sum(recording.frames for recording in report.recordings),
        "video_s": round(sum(recording.video_s for recording in report.recordings), 3),
        "times_real_time": round(report.times_real_time, 2),
        "policy": report.policy,
        "failed": [recording.path.name for recording in report.failed],
        "missing": list(report.missing),
    }


def _outcome(recording: RecordingReport) -> str:
    if recording.error:
        return f"failed: {recording.error}"
    before = "already analysed, now annotated: " if recording.annotated else "already done: "
    kept = f"{before if recording.before else ''}{recording.folder}"
    return f"{kept} ({recording.damage})" if recording.damage else kept
