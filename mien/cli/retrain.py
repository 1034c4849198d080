"""``mien retrain``: from drift and new faces to a candidate that was judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, MODEL_DEFAULT, Data

NOT_PASSED = 11
"""Exit code for a candidate that does not pass its gates."""


def retrain(
    new_data: Annotated[Path, typer.Option(help="The new faces: a folder of class folders.")],
    request: Annotated[Path | None, typer.Option(help="retrain_request.json of mien monitor or a session.")] = None,
    model: Annotated[str, typer.Option("--from", help="The bundle to go on from: a name, or a path.")] = MODEL_DEFAULT,
    data: Data = DATA_DEFAULT,
    annotations: Annotated[Path | None, typer.Option(help="Who labelled what: a CSV of image, annotator, label.")] = None,
    held_out: Annotated[float, typer.Option(help="Share of the new faces to judge by.")] = 0.3,
    new_share: Annotated[float, typer.Option(help="How much new faces weigh in what is learnt from.")] = 0.3,
    replay: Annotated[int, typer.Option(help="Go over so many images of Training again (0: all).")] = 0,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.", show_default="the recipe's")] = None,
    recipe: Annotated[str, typer.Option(help="How to learn; see mien train --list.")] = "retrain",
    seed: Annotated[int, typer.Option(help="Of the parting, the replay and the training.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for all that is made.")] = Path("results/retraining"),
) -> None:
    """Learn on from a bundle's own weights, over new faces and a replay of Training, and judge the outcome.

    First the new faces are judged: labels, balance, copies; what stands in the old data is taken
    out. Part of them is never learnt. The candidate must not be worse than the bundle on PublicTest
    by more than chance, better on the new faces it never saw by more than chance, as well
    calibrated, and keep every class. PrivateTest is not touched. Nothing is put into use: that is
    mien models promote. Ctrl-C saves; the same command goes on. Ends with 0, or 11 where a gate is not passed.

    Example: mien retrain --request results/drift/retrain_request.json --new-data new_faces --data fer2013.zip
    """
    import json
    from dataclasses import replace

    from mien.cli.progress import progress_bar
    from mien.data.reader import read_dataset
    from mien.retraining.candidate import PAGE_NAME, RECORD_NAME
    from mien.retraining.retrain import RetrainWish
    from mien.retraining.retrain import retrain as run
    from mien.training.recipe import read_recipe
    from mien.vision.bundles import bundle_path

    _, settings = read_recipe(recipe)
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    wish = RetrainWish(bundle_path(model), model, settings, request, annotations, held_out, new_share, replay, seed)
    with progress_bar("reading images") as progress:
        old = read_dataset(data, progress).dataset
    with progress_bar("reading new faces") as progress:
        new = read_dataset(new_data, progress).dataset
    candidate = run(wish, new, old, out, progress_bar)
    record = json.loads((out / RECORD_NAME).read_text(encoding="utf-8"))
    for gate in record["gates"]:
        print(f"{'passed    ' if gate['passed'] else 'NOT PASSED'}  {gate['sentence'].rsplit('. ', 1)[0]}")
    print(f"\nWritten to {out}: {candidate.bundle.name}, {RECORD_NAME}, {PAGE_NAME}")
    print(f"Put it into use: mien models promote {out}" if candidate.passed else "It stays a candidate: read why in " + PAGE_NAME)
    numbers = {gate["name"]: [round(gate["before"], 4), round(gate["after"], 4)] for gate in record["gates"]}
    print(json.dumps({"passed": candidate.passed, "sha256": candidate.sha256, "gates": numbers, "out": str(out)}))
    if not candidate.passed:
        raise typer.Exit(NOT_PASSED)
