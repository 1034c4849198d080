"""``mien train``: learn a model from FER2013."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data, SplitFileOption

if TYPE_CHECKING:
    from mien.training.loop import EpochRow


def train(
    data: Data = DATA_DEFAULT,
    out: Annotated[Path, typer.Option(help="The run's folder: checkpoints, history, curves and the finished bundle.")] = Path(
        "models/default"
    ),
    epochs: Annotated[int, typer.Option(help="Passes over Training.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Faces a step.")] = 128,
    peak_lr: Annotated[float, typer.Option(help="Highest learning rate of the one-cycle schedule.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seeds weights, order and augmentation.")] = 0,
    limit: Annotated[int, typer.Option(help="Train on this many images only, to try things out (0: all).")] = 0,
    split_file: SplitFileOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out after a stop or a kill.")] = False,
) -> None:
    """Train on Training, keep the epoch that is best on PublicTest, and make a bundle of it.

    A stop loses at most the epoch in progress: go on with --resume and the same options.
    Two cores take about 80 seconds an epoch.

    Example: mien train --data fer2013.zip --epochs 40 --out models/mine
    """
    from mien.cli.progress import new_progress, progress_bar
    from mien.data.reader import read_dataset
    from mien.lifecycle import BUNDLE_FILE, export_model, train_model
    from mien.training.settings import TrainSettings

    settings = TrainSettings(epochs=epochs, batch_size=batch_size, peak_lr=peak_lr, seed=seed, limit=limit)
    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    with new_progress() as bar:
        task = bar.add_task("starting", total=None)
        done = 0

        def on_start(device_name: str, images: int, epochs_done: int) -> None:
            nonlocal done
            done = epochs_done
            print(f"training on {device_name}: {images:,} images, {epochs} epochs")
            if epochs_done:
                print(f"continuing after epoch {epochs_done}")

        def on_step(epoch: int, step: int, steps: int, loss: float) -> None:
            position = (epoch - 1) * steps + step
            bar.update(task, description=f"epoch {epoch}/{epochs}  loss {loss:.3f}", completed=position, total=epochs * steps)

        def on_epoch(row: EpochRow, is_best: bool) -> None:
            bar.console.print(
                f"epoch {row.epoch:3d}  loss {row.train_loss:.3f}  PublicTest {row.val_accuracy:6.2%}  "
                f"macro-F1 {row.val_macro_f1:.3f}  {row.seconds:.0f} s{'  best so far' if is_best else ''}"
            )

        history = train_model(
            dataset,
            settings,
            out,
            command=f"mien train --epochs {epochs} --batch-size {batch_size} --peak-lr {peak_lr:g} --seed {seed} --limit {limit}",
            split_file=split_file,
            device=device,
            resume=resume,
            on_start=on_start,
            on_step=on_step,
            on_epoch=on_epoch,
        )
    best = max(row.val_accuracy for row in history)
    print(f"best epoch: {best:.2%} on PublicTest. Making the bundle …")
    card = export_model(out / "best.pt", dataset, out / BUNDLE_FILE, out.name)
    numbers = card.metrics["PublicTest"]
    low, high = numbers["accuracy_ci"]
    print(f"{out / BUNDLE_FILE}: {numbers['accuracy']:.2%} on PublicTest (95 % interval {low:.2%} to {high:.2%})")
    print(f"Next: mien live --model {out / BUNDLE_FILE}")
