"""``mien models``: list, describe, verify and promote model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.help import Group, HelpCommand
from mien.cli.options import MODEL_DEFAULT, SESSIONS_DEFAULT, Json, SessionsFolder

models = typer.Typer(
    name="models",
    help="List, describe, verify, promote and roll back model bundles.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[
    list[str] | None, typer.Argument(help="Names of packaged bundles, or paths of bundles.", show_default="all packaged bundles")
]


@models.command("list", cls=HelpCommand)
def list_bundles() -> None:
    """List the packaged bundles, and say which model is used by default.

    Accuracy on PublicTest and PrivateTest is given against both truths: agreement with the
    majority of ten human raters, and FER2013's labels. Promoted bundles are marked.

    Example:
      mien models list
    """
    from mien.cli.model_in_use import default_line
    from mien.modelcard import FER2013, PEOPLE, results_by_truth
    from mien.vision.bundles import bundle_names, bundle_path, packaged_bundle, read_record
    from mien.vision.predictor import Predictor

    promoted = []
    print(f"{'':<40}{'agreement with people':^24}{'FER2013 labels':^24}".rstrip())
    head = f"{'name':<10} {'MB':>6} {'precision':>9} {'parameters':>11} "
    print(head + " ".join(f"{split:>11}" for split in ("PublicTest", "PrivateTest") * 2))
    for name in bundle_names():
        path = bundle_path(name)
        if path != packaged_bundle(name):
            promoted.append(name)
        card = Predictor(path).card
        results = card.metrics | (read_record(path) or {"evaluations": {}})["evaluations"]
        cells = []
        for truth in (PEOPLE, FER2013):
            for split in ("PublicTest", "PrivateTest"):
                numbers = results_by_truth(results[split]) if split in results else {}
                cells.append(f"{numbers[truth]['accuracy']:.1%}" if truth in numbers else "not scored")
        size = path.stat().st_size / 1e6
        print(f"{name:<10} {size:6.2f} {card.precision:>9} {card.parameters:>11,} " + " ".join(f"{cell:>11}" for cell in cells))
    print()
    for name in promoted:
        print(f"{name} is a promoted bundle. To undo the promotion: mien models rollback {name}")
    print(default_line())


@models.command("card", cls=HelpCommand)
def show_card(names: Names = None) -> None:
    """Print model cards as Markdown.

    Example:
      mien models card mien-s
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


@models.command("verify", cls=HelpCommand)
def verify(names: Names = None) -> None:
    """Check bundles: file hash, card, graph and a test prediction.

    Exit code 3 if one fails.

    Example:
      mien models verify models/mine.onnx
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
        said = f"SHA-256 {record['sha256']} as recorded" if record else "no record beside it, hash not checked"
        print(f"{name}: valid; {said}")
    if failed:
        raise typer.Exit(3)


@models.command("path", cls=HelpCommand)
def show_path(name: Annotated[str, typer.Argument(help="Name of a packaged bundle.")] = MODEL_DEFAULT) -> None:
    """Print the path of a bundle's file.

    Example:
      cp "$(mien models path mien-xs)" web/public/
    """
    from mien.vision.bundles import bundle_path

    print(bundle_path(name))


@models.command("promote", cls=HelpCommand)
def promote(
    candidate: Annotated[Path, typer.Argument(help="Output folder of mien retrain.")],
    sessions: SessionsFolder = SESSIONS_DEFAULT,
) -> None:
    """Deploy a retrained bundle under the name of its base bundle.

    The candidate must have passed every gate of mien retrain. On this computer the bundle's name
    (mien-s) then refers to it, until the next promotion or mien models rollback. The audit log
    beside the sessions records the promotion.

    Example:
      mien models promote results/retraining
    """
    from mien.modelcard import PEOPLE
    from mien.monitoring.reference_file import reference_path
    from mien.retraining.promotion import promote_candidate
    from mien.vision.bundles import bundle_path
    from mien.vision.predictor import Predictor

    change = promote_candidate(candidate, sessions)
    print(f"{change.name} is now {change.sha256[:12]} (before: {change.before[:12] or 'the packaged bundle'})")
    bundle = bundle_path(change.name)
    if not reference_path(bundle).is_file():
        votes = " --votes ferplus_votes.csv" if PEOPLE in Predictor(bundle).card.heads else ""
        command = f"mien monitor reference --model {change.name}{votes}"
        print(f"It has no drift reference, so drift detection is off. Make one with: {command}")
    print(f"To undo: mien models rollback {change.name}")


@models.command("rollback", cls=HelpCommand)
def rollback(
    name: Annotated[str, typer.Argument(help="Bundle whose last promotion is undone.")] = MODEL_DEFAULT,
    sessions: SessionsFolder = SESSIONS_DEFAULT,
) -> None:
    """Undo the last promotion of a bundle.

    Example:
      mien models rollback mien-s
    """
    from mien.retraining.promotion import roll_back

    change = roll_back(name, sessions)
    print(f"{change.name} is {change.sha256[:12] or 'the packaged bundle'} again (before: {change.before[:12]})")


@models.command("history", cls=HelpCommand)
def show_history(as_json: Json = False) -> None:
    """Print the promotions and rollbacks on this computer, oldest first.

    Example:
      mien models history
    """
    import json
    import sys
    from dataclasses import asdict

    from mien.vision.promoted import failed_change, history

    changes = history()
    if (failed := failed_change()) is not None:
        print(
            f"warning: the {failed.action} of {failed.name} at {failed.at} was interrupted and did not take effect. "
            "The next promotion or rollback records this in the audit log",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps([asdict(change) for change in changes], indent=2))
        return
    if not changes:
        print("No promotions: every name refers to the packaged bundle.")
    for change in changes:
        now, before = (sha256[:12] or "packaged" for sha256 in (change.sha256, change.before))
        print(f"{change.at}  {change.action:<8}  {change.name:<8}  {before:>12} -> {now}")
