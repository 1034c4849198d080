"""``mien evaluate``: how good is a bundle, where does it fail, and when should it not be believed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, MODEL_DEFAULT, Data, SplitFileOption, VotesOption


def evaluate(
    model: Annotated[
        str, typer.Option(help="A bundle's path, the name of one in the package, or a checkpoint (best.pt) of mien train.")
    ] = MODEL_DEFAULT,
    data: Data = DATA_DEFAULT,
    split: Annotated[
        str | None,
        typer.Option(help="Training, PublicTest or PrivateTest.", show_default="PublicTest, or all of data without splits"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("results/evaluation"),
    split_file: SplitFileOption = None,
    votes: VotesOption = None,
    groups: Annotated[
        Path | None, typer.Option(help="A CSV of image,group: numbers by group, from 30 images a group on.")
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Spoil the pictures in twelve ways at five severities too (minutes).")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the robustness suite.")] = 0,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the numbers beside the bundle, where mien models shows them.")
    ] = False,
) -> None:
    """Score a model on one split and write a report; the last line printed is one JSON document.

    The report (report.html, one page; its pictures as files beside it): accuracy and macro-F1 with
    intervals, views, classes, calibration, when to answer "uncertain", agreement with people, the
    worst mistakes, accuracy by picture quality, where the network looks. predictions.csv has every
    answer, metrics.json every number.

    Choose everything on PublicTest; score PrivateTest once, when all is chosen: each scoring is
    written down in private_test_log.csv. Views: clean (no copies of earlier splits), with
    --split-file strict (no near copies either), with --votes consensus (people agree).

    Example: mien evaluate --data fer2013.zip --votes ferplus_votes.csv --robustness
    """
    import json
    import sys

    from mien.cli.progress import progress_bar
    from mien.data.reader import read_dataset
    from mien.errors import require
    from mien.evaluation.evaluate import evaluate_bundle
    from mien.evaluation.private_log import log_scoring
    from mien.evaluation.report import write_report
    from mien.evaluation.report_text import evaluation_text
    from mien.files import file_hash
    from mien.lifecycle import bundle_of
    from mien.vision.bundles import record_evaluation
    from mien.vision.weights import find_yunet

    require(("matplotlib",), "audit", "The report")
    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    chosen = split or dataset.usual_test_split()
    with bundle_of(model, dataset) as (source, bundle):
        evaluation = evaluate_bundle(
            bundle,
            dataset,
            chosen,
            progress_bar,
            split_file=split_file,
            votes=votes,
            groups=groups,
            detector=find_yunet(),
            corruptions=robustness,
            seed=seed,
        )
    numbers, name = evaluation.facts, evaluation.card.name
    for line in numbers["manifest_differences"]:
        print(f"note: {name} was trained on other data than this: {line}", file=sys.stderr)
    with progress_bar("writing the report"):
        write_report(evaluation, out)
    print(evaluation_text(numbers))
    if chosen == "PrivateTest":
        print(log_scoring(out, file_hash(source), numbers))
    if record:
        record_evaluation(source, chosen, evaluation.short)
    print(f"\nWritten to {out}: report.html (open it in a browser), metrics.json, predictions.csv and the pictures")
    print(json.dumps(evaluation.short))
