"""``mien train``: learn a model from FER2013."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data, SplitFileOption, VotesOption

if TYPE_CHECKING:
    from mien.history import EpochRow


def train(
    data: Data = DATA_DEFAULT,
    recipe: Annotated[
        str,
        typer.Option(help="default, second_leg, tiny, speedrun, teacher, distil, or a TOML file of your own; --list explains."),
    ] = "default",
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes with every setting, and end.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder: checkpoints, history, curves, the finished bundle.", show_default="models/RECIPE"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over Training.", show_default="the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Faces a step.", show_default="the recipe's")] = None,
    seed: Annotated[int | None, typer.Option(help="Seeds weights, order and augmentation.", show_default="the recipe's")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Train on this many images only, to try things out.", show_default="0: all")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change any setting of the recipe, such as augment.cutmix=0.5; repeatable."
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK",
            help="A network to learn from: best.pt of another run, or a bundle; repeatable, and more is better.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK",
            help="A checkpoint or bundle of the same shape to learn on from: a further leg of a long schedule.",
            show_default="fresh weights",
        ),
    ] = None,
    votes: VotesOption = None,
    split_file: SplitFileOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    logs: Annotated[Path, typer.Option(help="Folder of TensorBoard's logs: tensorboard --logdir logs.")] = Path("logs"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out after a stop or a kill.")] = False,
) -> None:
    """Train on Training, keep the epoch that is best on PublicTest, and make a bundle of it.

    Ctrl-C saves and ends; a kill loses at most a minute. Go on with --resume and the same options.
    Several GPUs or processes: torchrun --nproc-per-node 2 -m mien -- train …

    Example: mien train --data fer2013.zip --recipe speedrun --out models/quick
    """
    from mien.cli.progress import new_progress, progress_bar
    from mien.data.reader import read_dataset
    from mien.lifecycle import BUNDLE_FILE, export_model, train_model
    from mien.training.recipe import parse_changes, read_recipe, recipe_names, with_changes

    if list_recipes:
        for name in recipe_names():
            about, every = read_recipe(name)
            print(f"{name}: {about}")
            print("  " + ", ".join(f"{key}={value}" for key, value in every.as_dict().items()) + "\n")
        return
    description, settings = read_recipe(recipe)
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "limit": limit}
    changes = {key: value for key, value in options.items() if value is not None} | parse_changes(change or [])
    settings = with_changes(settings, changes)
    out = out or Path("models") / Path(recipe).stem
    first = os.environ.get("RANK", "0") == "0"
    with progress_bar("reading images", shown=first) as progress:
        dataset = read_dataset(data, progress).dataset
    with new_progress(shown=first) as bar:
        task = bar.add_task("starting", total=None)

        def on_start(device_name: str, images: int, steps_done: int) -> None:
            print(f"recipe {recipe}: {description}")
            print(f"training on {device_name}: {images:,} images, {settings.epochs} epochs")
            if steps_done:
                print(f"continuing after step {steps_done:,}")

        def on_step(epoch: int, step: int, steps: int, loss: float) -> None:
            position = (epoch - 1) * steps + step
            text = f"epoch {epoch}/{settings.epochs}  loss {loss:.3f}"
            bar.update(task, description=text, completed=position, total=settings.epochs * steps)

        def on_epoch(row: EpochRow, is_best: bool) -> None:
            bar.console.print(
                f"epoch {row.epoch:3d}  loss {row.train_loss:.3f}  PublicTest {row.val_accuracy:6.2%}  "
                f"macro-F1 {row.val_macro_f1:.3f}  {row.seconds:.0f} s{'  best so far' if is_best else ''}"
            )

        try:
            history = train_model(
                dataset,
                settings,
                out,
                command=_command(recipe, changes, teacher or [], start, votes, split_file),
                split_file=split_file,
                votes=votes,
                teachers=teacher or [],
                start=start,
                logs=logs,
                device=device,
                resume=resume,
                on_start=on_start,
                on_step=on_step,
                on_epoch=on_epoch,
            )
        except KeyboardInterrupt:
            print(f"\nstopped; everything is saved in {out}. Go on with the same command and --resume", file=sys.stderr)
            raise typer.Exit(130) from None
    if not first:
        return
    best = max(row.val_accuracy for row in history)
    print(f"best epoch: {best:.2%} on PublicTest. Making the bundle …")
    card = export_model([out / "best.pt"], dataset, out / BUNDLE_FILE, out.name)
    numbers = card.metrics["PublicTest"]
    low, high = numbers["accuracy_ci"]
    print(f"{out / BUNDLE_FILE}: {numbers['accuracy']:.2%} on PublicTest (95 % interval {low:.2%} to {high:.2%})")
    print(f"Next: mien live --model {out / BUNDLE_FILE}")


def _command(
    recipe: str,
    changes: dict[str, object],
    teachers: list[str],
    start: str | None,
    votes: Path | None,
    split_file: Path | None,
) -> str:
    """Return the command that asks for this run again, without places on this machine."""
    parts = [f"mien train --recipe {Path(recipe).name}"]
    parts += [f"--set {key}={value}" for key, value in changes.items()]
    parts += [f"--teacher {_last_two(teacher)}" for teacher in teachers]
    if start:
        parts.append(f"--start {_last_two(start)}")
    if votes:
        parts.append(f"--votes {votes.name}")
    if split_file:
        parts.append(f"--split-file {split_file.name}")
    return " ".join(parts)


def _last_two(path: str) -> str:
    return "/".join(Path(path).parts[-2:])
