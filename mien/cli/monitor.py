"""``mien monitor``: has what the camera sees drifted away from what the model was judged on?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, MODEL_DEFAULT, Data, Model

monitor = typer.Typer(
    name="monitor",
    help="Notice silently falling accuracy: stored sessions (--since), images, new labels, reference.",
    rich_markup_mode=None,
)

ReferenceOption = Annotated[
    Path | None, typer.Option(help="What to hold the stream against.", show_default="the one beside the bundle")
]


@monitor.callback(invoke_without_command=True)
def stored(
    context: typer.Context,
    since: Annotated[
        str, typer.Option(help="Hold the stored sessions since then against those before: 12h, 7d, 2w or a date.")
    ] = "",
    sessions: Annotated[Path, typer.Option(help="Folder of the sessions' folders.")] = Path("results/sessions"),
    model: Model = MODEL_DEFAULT,
    reference: ReferenceOption = None,
    out: Annotated[Path, typer.Option(help="Folder for drift.html, drift.json and retrain_request.json.")] = Path(
        "results/drift"
    ),
    false_alarm_every_h: Annotated[float, typer.Option(help="Accept one false alarm in so many hours, on average.")] = 100.0,
    windows: Annotated[str, typer.Option(help="Alarm where a detector flags m of n windows: m/n.")] = "3/4",
    cooldown_h: Annotated[float, typer.Option(min=0, help="Hours of silence after an alarm.")] = 24.0,
    prometheus: Annotated[Path | None, typer.Option(help="Write metrics to this text file as well.")] = None,
) -> None:
    """Notice silently falling accuracy: in stored sessions (--since), in a folder of images, in new labels.

    --since holds the answers of the stored sessions since then against those of the sessions before:
    expressions and confidence. Stored sessions hold no picture and no embedding, so the picture itself
    cannot be compared. Ends with 10 where drift was found, else 0; the last line printed is JSON.

    Example: mien monitor --since 7d
    """
    if context.invoked_subcommand is not None:
        return
    if not since:
        print(context.get_help())
        raise typer.Exit(2)
    from mien.cli.monitor_sessions import watch_stored

    code = watch_stored(since, sessions, model, reference, out, false_alarm_every_h, windows, cooldown_h, prometheus)
    raise typer.Exit(code)


@monitor.command("reference")
def make(
    model: Model = MODEL_DEFAULT,
    data: Data = DATA_DEFAULT,
    split: Annotated[str, typer.Option(help="Faces the model was not trained on.")] = "PublicTest",
    out: Annotated[
        Path | None, typer.Option(help="The file to write.", show_default="beside the bundle: NAME.reference.npz")
    ] = None,
    suite_faces: Annotated[
        int, typer.Option(min=0, help="Faces that are spoilt in sixty ways to learn to estimate accuracy; 0 leaves it out.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Make the reference of a bundle: statistics of faces it was not trained on, no pixel and no embedding of anyone.

    It holds random-feature means by expression, quantiles of light, sharpness, pose and confidence, the
    scores of simulated streams without drift (from which limits come), and a model that estimates
    accuracy without labels. Takes minutes: a thousand faces are read in sixty states of damage.

    Example: mien monitor reference --model mien-xs --data fer2013.zip
    """
    from mien.cli.progress import progress_bar
    from mien.data.reader import read_dataset
    from mien.errors import require
    from mien.monitoring.reference_file import reference_path, write_reference
    from mien.vision.bundles import bundle_path
    from mien.vision.weights import find_yunet
    from mien.watch import make_reference

    require(("scipy", "river"), "monitor", "Watching for drift")
    bundle = bundle_path(model)
    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    with progress_bar("reading faces") as progress:
        reference = make_reference(bundle, dataset, split, find_yunet(), suite_faces=suite_faces, seed=seed, progress=progress)
    target = out or reference_path(bundle)
    write_reference(target, reference)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB, {reference.source}, for {reference.bundle}")
    if reference.accuracy is not None:
        errors = reference.accuracy.errors
        print(
            f"estimated accuracy: 9 of 10 errors below {100 * errors['new_photographs_p90']:.1f} points under known damage, "
            f"{100 * errors['new_damage_p90']:.1f} under other damage (mean confidence: {100 * errors['confidence_p90']:.1f})"
        )


@monitor.command("images")
def watch_images(
    folder: Annotated[Path, typer.Argument(help="Pictures, taken as a stream in the order of their names.")],
    model: Model = MODEL_DEFAULT,
    reference: ReferenceOption = None,
    out: Annotated[Path, typer.Option(help="Folder for drift.html, drift.json and retrain_request.json.")] = Path(
        "results/drift"
    ),
    crop: Annotated[bool, typer.Option("--crop", help="Each image is one face, framed as FER2013's are.")] = False,
    every_s: Annotated[float, typer.Option(min=0.001, help="Seconds from picture to picture.")] = 2.0,
    faces_per_h: Annotated[
        float | None, typer.Option(help="Looks at faces an hour, for the promise.", show_default="one a picture")
    ] = None,
    false_alarm_every_h: Annotated[float, typer.Option(help="Accept one false alarm in so many hours, on average.")] = 100.0,
    windows: Annotated[str, typer.Option(help="Alarm where a detector flags m of n windows: m/n.")] = "3/4",
    cooldown_h: Annotated[float, typer.Option(min=0, help="Hours of silence after an alarm.")] = 24.0,
    least_drop: Annotated[
        float, typer.Option(min=0, max=1, help="Alarm only where the estimated accuracy fell by this much, 0 to 1.")
    ] = 0.0,
    first_minutes: Annotated[
        float, typer.Option(min=0, help="Make the reference of the stream's own first minutes, and watch the rest.")
    ] = 0.0,
    prometheus: Annotated[Path | None, typer.Option(help="Write metrics to this text file as well.")] = None,
) -> None:
    """Watch a folder of pictures for drift. Ends with 10 where drift was found, else 0; the last line printed is JSON.

    Says which it looks like: the camera or its picture changed, or other expressions are shown. The
    reference of a bundle is of many people, each seen once: it suits pictures of many people.
    For one camera on the same few people make one of its own start: --first-minutes 60.

    Example: mien monitor images shots/ --every-s 10 --prometheus /var/lib/node_exporter/mien.prom
    """
    from mien.cli.monitor_report import finish, parse_rule
    from mien.cli.progress import progress_bar
    from mien.errors import require
    from mien.files import file_hash
    from mien.monitoring.monitor import DriftMonitor
    from mien.monitoring.reference_file import read_reference, reference_path
    from mien.monitoring.trigger import DriftTrigger
    from mien.vision.bundles import bundle_path
    from mien.vision.detector import open_detector
    from mien.vision.predictor import Predictor
    from mien.watch import Watched, observe_pictures, own_reference, pictures_in, watch

    require(("scipy", "river"), "monitor", "Watching for drift")
    rule = parse_rule(windows)
    paths = pictures_in(folder)
    bundle = bundle_path(model)
    held = read_reference(reference or reference_path(bundle), file_hash(bundle))
    watched = Watched()
    with progress_bar("watching") as progress:
        faces = observe_pictures(paths, Predictor(bundle), None if crop else open_detector(), every_s, watched, progress)
        if first_minutes:
            held = own_reference(faces, held, first_minutes, folder.name)
        hourly = faces_per_h or 3600 / every_s
        monitoring = DriftMonitor(held, false_alarm_every_h, hourly, rule)
        trigger = DriftTrigger(held, cooldown_h, least_drop)
        watch(faces, monitoring, trigger, watched)
    promise = {
        "false_alarm_every_h": false_alarm_every_h,
        "faces_per_h": hourly,
        "m": rule.m,
        "n": rule.n,
        "cooldown_h": cooldown_h,
    }
    raise typer.Exit(finish(str(folder), held, monitoring, trigger, watched.verdicts, watched.counts, promise, out, prometheus))


@monitor.command("labels")
def check_labels(
    folder: Annotated[Path, typer.Argument(help="Newly labelled faces: class folders, as mien train takes them.")],
    annotations: Annotated[
        Path | None, typer.Option(help="Who said what: a CSV of image,annotator,label, where several people labelled.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="The data the model was trained and tested on: are the new faces new?")
    ] = None,
    model: Model = MODEL_DEFAULT,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("results/drift/new_labels.json"),
) -> None:
    """Check newly labelled faces before they join the training data; the last line printed is one JSON document.

    Agreement of the annotators (Cohen, Fleiss, Krippendorff), faces whose label the model is sure to
    be another, balance of the classes, and copies among them and in Training and the test splits.

    Example: mien monitor labels new_faces/ --annotations who.csv --against fer2013.zip
    """
    import json

    from mien.audit.annotators import read_annotations
    from mien.audit.new_labels import check_new_labels
    from mien.cli.progress import progress_bar
    from mien.data.reader import read_dataset
    from mien.errors import require
    from mien.evaluation.scores import score
    from mien.files import write_json
    from mien.vision.bundles import bundle_path
    from mien.vision.predictor import Predictor

    require(("scipy",), "monitor", "Checking new labels")
    with progress_bar("reading images") as progress:
        new = read_dataset(folder, progress).dataset
        old = read_dataset(against, progress).dataset if against is not None else None
    said = read_annotations(annotations, new.names) if annotations is not None else None
    with progress_bar("reading faces") as progress:
        answers = score(Predictor(bundle_path(model)), new, progress).probabilities
    facts = check_new_labels(new, answers, said, old)
    write_json(out, facts)
    for problem in facts["problems"] or ["nothing to object to"]:
        print(f"- {problem}")
    print(f"Written to {out}")
    print(json.dumps({key: facts[key] for key in ("images", "classes", "problems")}))
