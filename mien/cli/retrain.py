"""``mien retrain``: fine-tune a bundle on new faces and test the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from mien.cli.options import (
    DATA_DEFAULT,
    MODEL_DEFAULT,
    Classes,
    Data,
    Declaration,
    JsonLine,
    OpenPage,
    VotesOption,
    policy_for,
)

NOT_PASSED = 11
"""Exit code if the candidate fails a gate."""
_AGAIN: Final = "Start again with the same command"


def retrain(
    new_data: Annotated[Path, typer.Option(help="New faces in class folders.")],
    request: Annotated[Path | None, typer.Option(help="retrain_request.json of a drift alarm.", show_default=False)] = None,
    model: Annotated[str, typer.Option(help="Bundle to fine-tune: name or path.")] = MODEL_DEFAULT,
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("results/retraining"),
    deployment: Declaration = None,
    data: Data = DATA_DEFAULT,
    classes: Classes = None,
    annotations: Annotated[
        Path | None, typer.Option(help="CSV image,annotator,label for the new faces.", show_default=False, rich_help_panel="Data")
    ] = None,
    votes: VotesOption = None,
    held_out: Annotated[float, typer.Option(help="Share of new faces held out for testing.", rich_help_panel="Data")] = 0.3,
    new_share: Annotated[float, typer.Option(help="Weight of new faces in the loss.", rich_help_panel="Training")] = 0.3,
    replay: Annotated[
        int, typer.Option(help="Number of old training images to replay.", show_default="all", rich_help_panel="Training")
    ] = 0,
    recipe: Annotated[str, typer.Option(help="Recipe; see mien train --list.", rich_help_panel="Training")] = "retrain",
    epochs: Annotated[
        int | None, typer.Option(help="Number of epochs.", show_default="the recipe's", rich_help_panel="Training")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.", rich_help_panel="Training")] = 0,
    no_reference: Annotated[bool, typer.Option("--no-reference", help="Make no drift reference (takes minutes).")] = False,
    json_line: JsonLine = False,
    open_page: OpenPage = False,
) -> None:
    """Fine-tune a bundle on new faces and test the result.

    The candidate must be better on held-out new faces, not worse on PublicTest, as well calibrated,
    and keep every class. Nothing is deployed. Ctrl-C saves; the same command resumes. Exit code 11
    if a gate fails.

    Example:
      mien retrain --request drift/retrain_request.json --new-data new_faces
    """
    from dataclasses import replace

    from mien.cli.drift_reference import reference_beside
    from mien.cli.output import print_json_line, report_ready, reported_stop
    from mien.cli.progress import logged_progress
    from mien.cli.reading import read_faces, read_new_faces, table_for
    from mien.documents import load_json
    from mien.locks import only_writer
    from mien.privacy.level import Level
    from mien.retraining.candidate import PAGE_NAME, RECORD_NAME, gate_text
    from mien.retraining.retrain import PLAN_NAME, RetrainOptions, refuse_finished
    from mien.retraining.retrain import retrain as run
    from mien.training.recipe import read_recipe
    from mien.vision.bundles import bundle_path

    policy_for(deployment).require(Level.FULL)
    refuse_finished(out)
    _, settings = read_recipe(recipe)
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    options = RetrainOptions(
        bundle=bundle_path(model),
        name=model,
        settings=settings,
        request=request,
        annotations=annotations,
        votes=votes,
        held_out_share=held_out,
        new_share=new_share,
        replay=replay,
        seed=seed,
    )
    with reported_stop(lambda: f"nothing was written. {_AGAIN}"):
        new = read_new_faces(new_data, classes)
        old = read_faces(data, table_for(data, classes))
    about_reference = ""

    def add_reference(bundle: Path) -> None:
        nonlocal about_reference
        if not no_reference:
            about_reference = reference_beside(bundle, old, votes)

    def state() -> str:
        return f"saved in {out}. The same command resumes" if (out / PLAN_NAME).exists() else f"nothing was saved. {_AGAIN}"

    with reported_stop(state), only_writer(out):
        candidate = run(options, new, old, out, logged_progress, add_reference)
    record = load_json(out / RECORD_NAME)
    for gate in record["gates"]:
        print(f"{'passed    ' if gate['passed'] else 'FAILED    '}  {gate_text(gate['sentence'])}")
    print(f"\nWritten to {out}: {candidate.bundle.name}, {RECORD_NAME}, {PAGE_NAME}")
    if about_reference:
        print(about_reference)
    print(f"Deploy it with: mien models promote {out}" if candidate.passed else "Not deployable; the reasons are in " + PAGE_NAME)
    numbers = {gate["name"]: [round(gate["before"], 4), round(gate["after"], 4)] for gate in record["gates"]}
    report_ready(out / PAGE_NAME, open_page)
    print_json_line({"passed": candidate.passed, "sha256": candidate.sha256, "gates": numbers, "out": str(out)}, json_line)
    if not candidate.passed:
        raise typer.Exit(NOT_PASSED)
