"""``mien system``: check the setup and start a live session, or run the whole workflow and resume it where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from mien.cli.live import new_folder, run_session
from mien.cli.options import DATA_DEFAULT, Data, Declaration, JsonLine, OpenPage, OwnModel, Person

_RUN: Final = Path("models/default")


def system(
    data: Data = DATA_DEFAULT,
    everything: Annotated[
        bool, typer.Option("--all", help="First prepare, train and test; continue where a stopped run ended.")
    ] = False,
    source: Annotated[str, typer.Option(help="Source of the live session; see mien live.")] = "auto",
    headless: Annotated[bool, typer.Option("--headless", help="Run the live session without a view.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the live session.", show_default="results/sessions/START")] = None,
    model: OwnModel = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs to train.", show_default="the recipe's")] = None,
    deployment: Declaration = None,
    person: Person = "",
    json_line: JsonLine = False,
    open_page: OpenPage = False,
) -> None:
    """Check the setup and go live, or run the whole workflow.

    With --all: prepare the data, train the default recipe (hours on a CPU), test the model on
    PublicTest, go live with it. Finished steps are skipped and a stopped
    training is resumed, so the same command can be repeated.

    Example:
      mien system --all --data fer2013.zip
    """
    from mien.cli.doctor import doctor
    from mien.cli.model_in_use import chosen_model
    from mien.settings import LiveSettings

    if everything:
        _workflow(data, epochs)
    else:
        doctor(data=data, model=model, deployment=deployment)
    print("\nStarting a live session …\n")
    view = "none" if headless else "auto"
    chosen = chosen_model(model)
    run_session(
        LiveSettings(source=source, out=out or new_folder(), model=chosen, view=view, deployment=deployment, person=person),
        json_line,
        open_page,
    )


def _workflow(data: Path, epochs: int | None) -> None:
    """Prepare, train and test; finished steps are skipped."""
    from mien.cli.evaluate import evaluate
    from mien.cli.prepare import prepare
    from mien.cli.train import train
    from mien.data.reader import find_data
    from mien.lifecycle import BUNDLE_FILE
    from mien.vision.bundles import is_finished

    place = find_data(data)
    report, split_file = Path("results/data_analysis/data_preparation_report.txt"), Path("results/data_analysis/clean_split.csv")
    bundle, scores = _RUN / BUNDLE_FILE, Path("results/evaluation/metrics.json")
    if report.is_file():
        print(f"1. Data: prepared, see {report.parent}")
    else:
        print("1. Preparing the data …\n")
        prepare(data=place)
    if is_finished(bundle):
        print(f"\n2. Training: done, {bundle}")
    else:
        print("\n2. Training …\n")
        decisions = split_file if split_file.is_file() else None
        train(data=place, split_file=decisions, epochs=epochs, out=_RUN, resume=(_RUN / "last.pt").is_file())
    if scores.is_file() and scores.stat().st_mtime >= bundle.stat().st_mtime:
        print(f"\n3. Test: done, see {scores.parent}")
    else:
        print("\n3. Testing …\n")
        evaluate(model=str(bundle), data=place)
