"""``mien train``: train a model on FER2013 or on a user's own faces."""

from __future__ import annotations

import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mien.cli.options import DATA_DEFAULT, Classes, Data, SplitFileOption, Validation, VotesOption

if TYPE_CHECKING:
    from mien.data.dataset import FaceDataset
    from mien.history import EpochRow
    from mien.training.settings import TrainSettings

_TIMED_STEPS: Final = 20
"""Steps that are timed before the whole run's time is estimated."""
_WITHOUT_VOTES: Final = {
    "fer2013": "without --votes the network learns FER2013's labels only, not what people see",
    "own": "the network learns the labels of this data",
}
"""Message at the start of a run without votes, by the origin of the labels."""


def train(
    data: Data = DATA_DEFAULT,
    classes: Classes = None,
    votes: VotesOption = None,
    split_file: SplitFileOption = None,
    validation: Validation = None,
    recipe: Annotated[str, typer.Option(help="Recipe name (see --list) or TOML file.", rich_help_panel="Training")] = "default",
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint or bundle to fine-tune.", show_default="random weights", rich_help_panel="Training"),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="Checkpoint or bundle to distil from; repeatable.", show_default=False, rich_help_panel="Training"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Number of epochs.", show_default="the recipe's", rich_help_panel="Training")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Batch size.", show_default="the recipe's", rich_help_panel="Training")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed.", show_default="the recipe's", rich_help_panel="Training")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Number of training images.", show_default="all", rich_help_panel="Training")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change any setting of the recipe; repeatable.", rich_help_panel="Training"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="models/RECIPE")] = None,
    logs: Annotated[Path, typer.Option(help="Folder for TensorBoard logs.")] = Path("logs"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="Print all recipes with their settings and exit.")] = False,
) -> None:
    """Train a model and export its best epoch as a bundle.

    The best epoch is chosen on PublicTest. With --votes the network gets two heads: one predicts
    what people see, the other the labels of the data. Ctrl-C saves and exits; a kill loses at most
    a minute of training.
    Several GPUs: torchrun --nproc-per-node 2 -m mien -- train ...

    Example:
      mien train --data fer2013.zip --recipe speedrun --out models/quick
    """
    from mien.cli.output import stop_text
    from mien.cli.progress import new_progress
    from mien.cli.reading import read_faces
    from mien.data.fer2013 import has_fer2013_labels
    from mien.evaluation.truths import OWN, TRUTHS
    from mien.lifecycle import BUNDLE_FILE, export_model, train_model
    from mien.locks import only_writer
    from mien.modelcard import FER2013
    from mien.preprocess import INPUT_SIZE
    from mien.training.recipe import parse_changes, read_recipe, recipe_names, with_changes
    from mien.words import counted

    if list_recipes:
        print("Start here: tiny (small, fast) or default (better)\n")
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
    dataset = read_faces(data, classes, split_file, shown=first)
    # the processes of torchrun share a run
    with only_writer(out) if first else nullcontext(), new_progress(shown=first) as bar:
        if validation is not None:
            dataset, split_file = _with_held_out(dataset, validation, settings.seed, split_file, out, first)
        truth = FER2013 if has_fer2013_labels(dataset) else OWN
        task = bar.add_task("starting", total=None)

        def on_start(device_name: str, images: int, left_out: int, steps_done: int) -> None:
            print(f"recipe {recipe}: {description}")
            print(f"training on {device_name}: {counted(images, 'image')}, {counted(settings.epochs, 'epoch')}")
            if left_out:
                print(f"left out: {left_out:,} Training images without votes in {votes}")
            if votes is None:
                print(_WITHOUT_VOTES[truth])
            if steps_done:
                print(f"resuming after step {steps_done:,}")

        timed: list[float] = []

        def on_step(epoch: int, step: int, steps: int, loss: float) -> None:
            position = (epoch - 1) * steps + step
            timed.append(time.perf_counter())
            if len(timed) == _TIMED_STEPS:
                a_step = (timed[-1] - timed[_TIMED_STEPS // 2]) / (_TIMED_STEPS // 2 - 1)
                left = _in_words(_remaining_s(settings, position, steps, a_step))
                bar.console.print(
                    f"about {left} left on this computer (now {a_step:.2f} s per step); Ctrl-C saves, --resume continues"
                )
            text = f"epoch {epoch}/{settings.epochs}  loss {loss:.3f}"
            bar.update(task, description=text, completed=position, total=settings.epochs * steps)

        def on_epoch(row: EpochRow, is_best: bool) -> None:
            bar.console.print(
                f"epoch {row.epoch:3d}  loss {row.train_loss:.3f}  PublicTest: {_scores(row, truth)}  "
                f"{row.seconds:.0f} s{'  best so far' if is_best else ''}"
            )

        try:
            train_model(
                dataset,
                settings,
                out,
                command=_command(recipe, changes, teacher or [], model, votes, split_file),
                split_file=split_file,
                votes=votes,
                teachers=teacher or [],
                start=model,
                logs=logs,
                device=device,
                resume=resume,
                on_start=on_start,
                on_step=on_step,
                on_epoch=on_epoch,
            )
        except KeyboardInterrupt:
            print("\n" + stop_text(out / "last.pt"), file=sys.stderr)
            raise typer.Exit(130) from None
    if not first:
        return
    if settings.input_size != INPUT_SIZE:
        print(
            f"{out / 'best.pt'} can only be used as a teacher: pass it with --teacher. "
            f"Networks with input_size={settings.input_size} are not exported"
        )
        return
    print("Exporting the best epoch …")
    card = export_model([out / "best.pt"], dataset, out / BUNDLE_FILE, out.name, votes=votes)
    for truth, numbers in card.metrics["PublicTest"]["truths"].items():
        low, high = numbers["accuracy_ci"]
        print(
            f"{out / BUNDLE_FILE}, PublicTest, {TRUTHS[truth]}: {numbers['accuracy']:.2%} (95% interval {low:.2%} to {high:.2%})"
        )
    named = data if data != DATA_DEFAULT else None
    print(_next_step(out / BUNDLE_FILE, {"--data": named, "--classes": classes, "--votes": votes, "--split-file": split_file}))


def _next_step(bundle: Path, source: dict[str, object]) -> str:
    """Return what to do next with a model that was trained; ``source`` has the options that name its data."""
    from mien.cli.output import command_line
    from mien.vision.bundles import MODELS, newest_own_bundle

    newest = newest_own_bundle()
    if newest is not None and newest.samefile(bundle):
        evaluate = command_line("evaluate", source)
        return f"Next: run {evaluate}, then mien live. Both use the newest model in {MODELS}; --model selects another"
    model: dict[str, object] = {"--model": bundle}
    return f"Next: run {command_line('evaluate', model | source)}, then {command_line('live', model)}"


def _with_held_out(
    dataset: FaceDataset, share: float, seed: int, split_file: Path | None, out: Path, first: bool
) -> tuple[FaceDataset, Path]:
    """Return the data set with a validation split, and the file in the run's folder that says which images it has."""
    from mien.audit.exact import exact_groups
    from mien.data.holdout import hold_out, nothing_decided
    from mien.data.split_file import split_text
    from mien.errors import UsageError
    from mien.files import write_text

    if split_file is not None:
        raise UsageError(
            "--validation and --split-file exclude each other: the first draws a new split, the second uses an existing one"
        )
    dataset = hold_out(dataset, exact_groups(dataset.images), share, seed)
    written = out / "split.csv"
    counts = dataset.split_counts()
    if first:
        write_text(written, split_text(dataset, nothing_decided(dataset)))
        print(
            f"held out {counts['PublicTest']:,} of {counts['PublicTest'] + counts['Training']:,} training images by class, "
            f"seed {seed}: {written}. Pass it to mien evaluate and export with --split-file"
        )
    return dataset, written


def _remaining_s(settings: TrainSettings, position: int, steps: int, a_step_s: float) -> float:
    """Return the seconds that a run still takes, from the time of a step now; smaller pictures take less time.

    Args:
        settings: the recipe.
        position: steps done.
        steps: steps in an epoch.
        a_step_s: seconds that a step takes now.
    """
    small = round(settings.small_until * settings.epochs) * steps
    dearer = (48 / settings.small_size) ** 2 if position < small else 1.0
    return a_step_s * (max(0, small - position) + dearer * (settings.epochs * steps - max(small, position)))


def _in_words(seconds: float) -> str:
    """Return a long time in words.

    >>> _in_words(40), _in_words(700), _in_words(15000)
    ('1 minute', '12 minutes', '4 h 10 min')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"{minutes // 60} h {minutes % 60} min"


def _scores(row: EpochRow, truth: str) -> str:
    """Return the scores of an epoch as text, against people and against the labels (``truth``)."""
    from mien.evaluation.truths import TRUTHS

    parts = []
    if row.people_loss is not None:
        parts.append(f"people {row.people_accuracy:6.2%}, macro-F1 {row.people_macro_f1:.3f}, loss {row.people_loss:.3f}")
    if row.val_loss is not None:
        parts.append(f"{TRUTHS[truth]} {row.val_accuracy:6.2%}, macro-F1 {row.val_macro_f1:.3f}")
    return "; ".join(parts)


def _command(
    recipe: str,
    changes: dict[str, object],
    teachers: list[str],
    model: str | None,
    votes: Path | None,
    split_file: Path | None,
) -> str:
    """Return the command that reproduces this run, without the folders of this computer."""
    parts = [f"mien train --recipe {Path(recipe).name}"]
    parts += [f"--set {key}={value}" for key, value in changes.items()]
    parts += [f"--teacher {_last_two(teacher)}" for teacher in teachers]
    if model:
        parts.append(f"--model {_last_two(model)}")
    if votes:
        parts.append(f"--votes {votes.name}")
    if split_file:
        parts.append(f"--split-file {split_file.name}")
    return " ".join(parts)


def _last_two(path: str) -> str:
    return "/".join(Path(path).parts[-2:])
