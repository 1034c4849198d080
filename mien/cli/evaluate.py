"""``mien evaluate``: how good is a bundle?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, MODEL_DEFAULT, Data, Model, SplitFileOption, VotesOption


def evaluate(
    model: Model = MODEL_DEFAULT,
    data: Data = DATA_DEFAULT,
    split: Annotated[str, typer.Option(help="Training, PublicTest or PrivateTest.")] = "PublicTest",
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and confusion_matrix.png.")] = Path("results/evaluation"),
    split_file: SplitFileOption = None,
    votes: VotesOption = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the numbers beside the bundle, where mien models shows them.")
    ] = False,
) -> None:
    """Score a bundle on one split of FER2013; the last line printed is one JSON document.

    Choose everything on PublicTest; score PrivateTest once, when all is chosen: each scoring is
    written down in private_test_log.csv. Views: clean (no copies of earlier splits), with
    --split-file strict (no near copies either), with --votes consensus (people agree).

    Example: mien evaluate --data fer2013.zip --split PublicTest
    """
    import json
    import sys

    from mien.cli.progress import progress_bar
    from mien.data.reader import read_dataset
    from mien.evaluation.evaluate import evaluate_bundle
    from mien.evaluation.private_log import append_scoring, log_place
    from mien.evaluation.scores import classification_report
    from mien.evaluation.views import VIEWS
    from mien.files import file_hash
    from mien.vision.bundles import bundle_path, record_evaluation

    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    with progress_bar("reading faces") as progress:
        card, numbers = evaluate_bundle(model, dataset, split, out, progress, split_file, votes)
    for line in numbers["manifest_differences"]:
        print(f"note: {card.name} was trained on other data than this: {line}", file=sys.stderr)
    print(f"{card.name} on {split}\n")
    print(classification_report(numbers))
    for name, view in numbers["views"].items():
        low, high = view["accuracy_ci"]
        print(f"{name:>10} {view['accuracy']:10.3f}   95 % interval {low:.3f} to {high:.3f}, n = {view['n']}: {VIEWS[name]}")
    print(f"{'mirrored':>10} {numbers['mirrored']['accuracy']:10.3f}   mean over each face and its mirror image")
    if split == "PrivateTest":
        log = log_place(out, numbers["dataset_hash"])
        before = append_scoring(log, file_hash(bundle_path(model)), numbers)
        print(f"\nWritten down in {log}" + (f": this bundle had been scored {before} time(s) before" if before else ""))
    if record:
        record_evaluation(bundle_path(model), split, numbers)
    print(f"\nWritten to {out}: metrics.json, confusion_matrix.png")
    print(json.dumps(numbers))
