"""``mien models``: which bundles there are, what they are, whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.audit_log import ROOT_DEFAULT, Root
from mien.cli.options import MODEL_DEFAULT

models = typer.Typer(
    name="models",
    help="The model bundles: list, card, verify, path, promote, rollback, history.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[
    list[str] | None, typer.Argument(help="Names of bundles in the package, or paths.", show_default="all in the package")
]


@models.command("list")
def list_bundles() -> None:
    """List the bundles of the package with size, parameters and accuracy.

    Example: mien models list
    """
    from mien.vision.bundles import bundle_names, bundle_path, read_record
    from mien.vision.predictor import Predictor

    print(f"{'name':<10} {'MB':>6} {'precision':>9} {'parameters':>11} {'PublicTest':>11} {'PrivateTest':>12}")
    for name in bundle_names():
        path = bundle_path(name)
        card = Predictor(path).card
        results = card.metrics | (read_record(path) or {"evaluations": {}})["evaluations"]
        cells = [
            f"{results[split]['accuracy']:.1%}" if split in results else "not scored" for split in ("PublicTest", "PrivateTest")
        ]
        size = path.stat().st_size / 1e6
        print(f"{name:<10} {size:6.2f} {card.precision:>9} {card.parameters:>11,} {cells[0]:>11} {cells[1]:>12}")


@models.command("card")
def show_card(names: Names = None) -> None:
    """Print the card of bundles as Markdown: data, protocol, all views, classes, limits, uses.

    Example: mien models card mien-s
    """
    from mien.evaluation.card_page import card_page
    from mien.vision.bundles import bundle_names, bundle_path, read_record
    from mien.vision.predictor import Predictor

    for number, name in enumerate(names or bundle_names()):
        path = bundle_path(name)
        record = read_record(path) or {"sha256": "", "evaluations": {}}
        if number:
            print()
        print(card_page(Predictor(path).card, record["sha256"], path.stat().st_size, record["evaluations"]), end="")


@models.command("verify")
def verify(names: Names = None) -> None:
    """Check bundles: the file's hash, the card, the graph, and an answer. Ends with 3 where one fails.

    Example: mien models verify models/mine.onnx
    """
    import sys

    from mien.errors import MienError
    from mien.vision.bundles import bundle_names, bundle_path, read_record
    from mien.vision.predictor import Predictor

    failed = False
    for name in names or bundle_names():
        try:
            path = bundle_path(name)
            record = read_record(path)
            Predictor(path)
        except MienError as error:
            failed = True
            print(f"{name}: error: {error}", file=sys.stderr)
            continue
        said = f"SHA-256 {record['sha256']} as recorded" if record else "no record beside it, so its hash is unknown"
        print(f"{name}: whole; card, graph and answer fit; {said}")
    if failed:
        raise typer.Exit(3)


@models.command("path")
def show_path(name: Annotated[str, typer.Argument(help="A bundle in the package.")] = MODEL_DEFAULT) -> None:
    """Print the file of a bundle, for other programs.

    Example: cp "$(mien models path mien-xs)" web/public/
    """
    from mien.vision.bundles import bundle_path

    print(bundle_path(name))


@models.command("promote")
def promote(
    candidate: Annotated[Path, typer.Argument(help="The folder of mien retrain with the candidate.")], root: Root = ROOT_DEFAULT
) -> None:
    """Put a candidate into use in place of the bundle it comes from. It must have passed every gate.

    From then on the name (mien-s) stands for it on this computer, until the next promotion or mien models rollback.

    Example: mien models promote results/retraining
    """
    from mien.retraining.promotion import promote_candidate

    change = promote_candidate(candidate, root)
    print(f"{change.name} is {change.sha256[:12]} from now on, and was {change.before[:12] or 'the packaged bundle'}")
    print(f"Back again: mien models rollback {change.name}")


@models.command("rollback")
def rollback(
    name: Annotated[str, typer.Argument(help="Which bundle's last promotion to take back.")] = MODEL_DEFAULT,
    root: Root = ROOT_DEFAULT,
) -> None:
    """Go back to the bundle that was in use before the last promotion.

    Example: mien models rollback mien-s
    """
    from mien.retraining.promotion import roll_back

    change = roll_back(name, root)
    print(f"{change.name} is {change.sha256[:12] or 'the packaged bundle'} again, and was {change.before[:12]}")


@models.command("history")
def show_history(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Print what was promoted and rolled back on this computer, oldest first.

    Example: mien models history
    """
    import json
    from dataclasses import asdict

    from mien.vision.promoted import history

    changes = history()
    if as_json:
        print(json.dumps([asdict(change) for change in changes], indent=2))
        return
    if not changes:
        print("Nothing was promoted: every name is the packaged bundle.")
    for change in changes:
        now, before = (sha256[:12] or "packaged" for sha256 in (change.sha256, change.before))
        print(f"{change.at}  {change.action:<8}  {change.name:<8}  {before:>12} -> {now}")
