"""``mien monitor``: detect drift in sessions and pictures; make drift references."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.help import Group, HelpCommand
from mien.cli.monitor_report import Cooldown, FalseAlarms, Prometheus, ReferenceFile, ReportFolder, Windows
from mien.cli.monitor_sessions import watch_sessions
from mien.cli.options import (
    DATA_DEFAULT,
    MODEL_DEFAULT,
    Classes,
    Data,
    Declaration,
    JsonLine,
    Model,
    OpenPage,
    VotesOption,
    policy_for,
)


class _MonitorGroup(Group):
    """Runs ``sessions`` where options stand in the place of a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("--") and args[0] not in ("--help", "-h"):
            args = ["sessions", *args]
        return list(super().parse_args(ctx, args))


monitor = typer.Typer(
    name="monitor",
    help="Detect drift in stored sessions or in a stream of pictures.",
    cls=_MonitorGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
)

monitor.command("sessions", cls=HelpCommand)(watch_sessions)


@monitor.command("reference", cls=HelpCommand)
def make(
    model: Model = MODEL_DEFAULT,
    data: Data = DATA_DEFAULT,
    classes: Classes = None,
    votes: VotesOption = None,
    split: Annotated[str, typer.Option(help="Split to use; not one the model was trained on.")] = "PublicTest",
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="NAME.reference.npz beside the bundle")] = None,
    suite_faces: Annotated[int, typer.Option(min=0, help="Faces to corrupt for the accuracy estimator; 0: no estimator.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
) -> None:
    """Make a bundle's drift reference from faces it was not trained on.

    It holds no pixels and no embedding of a person, but random-feature means by expression,
    quantiles of picture quality and confidence, detector limits from simulated streams without
    drift, and an estimator of accuracy without labels. For a bundle with a people head the
    estimator needs --votes. Takes minutes.

    Example:
      mien monitor reference --model mien-xs --votes ferplus_votes.csv
    """
    from mien.cli.progress import progress_bar
    from mien.cli.reading import read_faces
    from mien.errors import require
    from mien.monitoring.reference_file import reference_path, write_reference
    from mien.vision.bundles import bundle_path
    from mien.vision.weights import find_yunet
    from mien.watch import make_reference

    require(("scipy", "river"), "monitor", "Watching for drift")
    bundle = bundle_path(model)
    dataset = read_faces(data, classes)
    with progress_bar("reading faces") as progress:
        reference = make_reference(
            bundle, dataset, split, find_yunet(), votes=votes, suite_faces=suite_faces, seed=seed, progress=progress
        )
    target = out or reference_path(bundle)
    write_reference(target, reference)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB, {reference.source}, for {reference.bundle}")
    if not reference.knows_labels:
        print("no accuracy estimator: it needs the votes of human raters. Pass --votes ferplus_votes.csv")
    if reference.accuracy is not None:
        errors = reference.accuracy.errors
        print(
            f"accuracy estimate, 90th percentile of its error: {100 * errors['new_photographs_p90']:.1f} points on known "
            f"corruptions, {100 * errors['new_damage_p90']:.1f} on unseen ones "
            f"(mean confidence: {100 * errors['confidence_p90']:.1f})"
        )


@monitor.command("images", cls=HelpCommand)
def watch_images(
    folder: Annotated[Path, typer.Argument(help="Pictures, in the order of their names.")],
    model: Model = MODEL_DEFAULT,
    reference: ReferenceFile = None,
    out: ReportFolder = Path("results/drift"),
    crop: Annotated[bool, typer.Option("--crop", help="Each image is one face, cropped like FER2013's.")] = False,
    every_s: Annotated[float, typer.Option(min=0.001, help="Seconds between pictures.")] = 2.0,
    first_minutes: Annotated[
        float,
        typer.Option(min=0, help="Make the reference from the first minutes."),
    ] = 0.0,
    faces_per_h: Annotated[
        float | None,
        typer.Option(help="Faces per hour.", show_default="one per picture", rich_help_panel="Alarms"),
    ] = None,
    false_alarm_every_h: FalseAlarms = 100.0,
    windows: Windows = "3/4",
    cooldown_h: Cooldown = 24.0,
    min_drop: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum drop of estimated accuracy.", rich_help_panel="Alarms")
    ] = 0.0,
    prometheus: Prometheus = None,
    deployment: Declaration = None,
    json_line: JsonLine = False,
    open_page: OpenPage = False,
) -> None:
    """Watch a folder of pictures for drift. Exit code 10 if drift is found.

    Reports whether the pictures changed, or the expressions in them. For a camera that sees the
    same few people, make the reference from its own start (--first-minutes 60).

    Example:
      mien monitor images shots/ --every-s 10 --prometheus mien.prom
    """
    from mien.cli.monitor_report import ReportOptions, finish, parse_rule
    from mien.cli.progress import progress_bar
    from mien.errors import require
    from mien.files import file_hash
    from mien.monitoring.monitor import DriftMonitor
    from mien.monitoring.observation import Scope, unread_prediction
    from mien.monitoring.reference_file import read_reference, reference_path
    from mien.monitoring.trigger import DriftTrigger
    from mien.privacy.policy import permit_expressions
    from mien.vision.bundles import bundle_path
    from mien.vision.detector_choice import open_detector
    from mien.vision.predictor import Predictor
    from mien.watch import WatchResult, observe_pictures, pictures_in, reference_from_start, watch

    require(("scipy", "river") + (("prometheus_client",) if prometheus else ()), "monitor", "Watching for drift")
    permit = permit_expressions(policy_for(deployment))
    scope: Scope = "picture" if permit is None else "all"
    rule = parse_rule(windows)
    paths = pictures_in(folder)
    bundle = bundle_path(model)
    held = read_reference(reference or reference_path(bundle), file_hash(bundle))
    watched = WatchResult()
    with progress_bar("watching") as progress:
        width = len(held.features.centre)
        predict = Predictor(bundle).predict if permit else lambda crops: unread_prediction(len(crops), width)
        faces = observe_pictures(paths, predict, None if crop else open_detector(), every_s, watched, progress)
        if first_minutes:
            held = reference_from_start(faces, held, first_minutes, folder.name or folder.absolute().name, scope)
        hourly = faces_per_h or 3600 / every_s
        monitoring = DriftMonitor(held, false_alarm_every_h, hourly, rule, scope)
        trigger = DriftTrigger(held, cooldown_h, min_drop)
        watch(faces, monitoring, trigger, watched)
    alarm_settings = {
        "false_alarm_every_h": false_alarm_every_h,
        "faces_per_h": hourly,
        "m": rule.m,
        "n": rule.n,
        "cooldown_h": cooldown_h,
    }
    report = ReportOptions(out, prometheus, json_line, open_page)
    raise typer.Exit(finish(str(folder), held, monitoring, trigger, watched.verdicts, watched.counts, alarm_settings, report))
