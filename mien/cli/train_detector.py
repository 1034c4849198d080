"""``mien train-detector``: train the face detector that is in the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data


def train_detector(
    data: Data = DATA_DEFAULT,
    backgrounds: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of pictures without faces; repeatable.",
            show_default="scikit-image's",
            rich_help_panel="Data",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Number of training faces; 0: all.", rich_help_panel="Data")] = 0,
    rounds: Annotated[int | None, typer.Option(help="Number of rounds.", show_default="230", rich_help_panel="Training")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.", show_default="0", rich_help_panel="Training")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change any setting; repeatable.", rich_help_panel="Training"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("models/detector"),
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    list_settings: Annotated[bool, typer.Option("--list", help="Print all settings and exit.")] = False,
) -> None:
    """Train the face detector and write mien-detect.onnx.

    Scenes are composed of FER2013's Training faces and of pictures without faces. YuNet, which must be available (mien
    doctor --fetch), gives boxes and landmarks; pictures in which it sees a face are left out. Ctrl-C saves and exits.

    Example:
      mien train-detector --data fer2013.zip --backgrounds wallpapers
    """
    from mien.cli.output import stop_text
    from mien.cli.progress import new_progress, progress_bar
    from mien.data.reader import read_dataset
    from mien.errors import DataError, require

    require(("torch", "onnx"), "train", "Training")
    from mien.locks import only_writer
    from mien.training.detector.loop import CHECKPOINT
    from mien.training.detector.run import DETECTOR_FILE
    from mien.training.detector.run import train_detector as train
    from mien.training.detector.settings import DetectorSettings, changed
    from mien.training.recipe import parse_changes
    from mien.vision.weights import find_yunet

    options = {key: value for key, value in (("rounds", rounds), ("seed", seed)) if value is not None}
    changes = options | parse_changes(change or [])
    settings = changed(DetectorSettings(), changes)
    if list_settings:
        print("\n".join(f"{key}={value}" for key, value in settings.as_dict().items()))
        return
    teacher = find_yunet()
    if teacher is None:
        raise DataError("training needs YuNet as the teacher, but its file is missing. Download it with: mien doctor --fetch")
    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    command = " ".join(
        ["mien train-detector", *(f"--backgrounds {folder.name}" for folder in backgrounds or [])]
        + [f"--set {key}={value}" for key, value in changes.items()]
    )
    with only_writer(out), new_progress() as bar:
        task = bar.add_task("starting", total=None)

        def on_round(done: int, loss: float) -> None:
            bar.update(task, description=f"training  loss {loss:.3f}", completed=done, total=settings.rounds)
            bar.console.print(f"round {done:3d}  loss {loss:.3f}")

        try:
            card = train(
                dataset,
                backgrounds or [],
                teacher,
                settings,
                out,
                command,
                resume=resume,
                limit=limit,
                on_progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
                on_round=on_round,
            )
        except KeyboardInterrupt:
            print("\n" + stop_text(out / CHECKPOINT), file=sys.stderr)
            raise typer.Exit(130) from None
    counts = f"{card['parameters']:,} weights, {card['faces']:,} faces, {card['background_pictures']} backgrounds"
    print(f"{out / DETECTOR_FILE}: {counts}")
    print(f"Next: python benchmarks/detector.py --detector {out / DETECTOR_FILE}")
