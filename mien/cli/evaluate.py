"""``mien evaluate``: score a model on one split and write a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import (
    DATA_DEFAULT,
    Classes,
    Data,
    JsonLine,
    Labels,
    OpenPage,
    OwnModelOrCheckpoint,
    SplitFileOption,
    SplitOption,
    VotesOption,
    whose_labels,
)


def evaluate(
    model: OwnModelOrCheckpoint = None,
    data: Data = DATA_DEFAULT,
    classes: Classes = None,
    split: SplitOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/evaluation"),
    record: Annotated[
        bool,
        typer.Option("--record", help="Store the scores so that `mien models list` and `mien models card` show them."),
    ] = False,
    votes: VotesOption = None,
    labels: Labels = "auto",
    split_file: SplitFileOption = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV image,group: scores by group of 30 or more.", show_default=False, rich_help_panel="Analyses"),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Score twelve corruptions at five severities (minutes).", rich_help_panel="Analyses"),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the corruptions.", rich_help_panel="Analyses")] = 0,
    json_line: JsonLine = False,
    open_page: OpenPage = False,
) -> None:
    """Score a model on one split and write a report.

    Each head is scored against its own truth: the people head against the majority of ten human
    raters (needs --votes), the label head against FER2013's labels. On your own class folders the
    people head is scored against your labels. A set without splits is scored whole. Writes
    report.html, metrics.json and predictions.csv. Every scoring of PrivateTest is logged in
    private_test_log.csv in the report's folder, or in docs/results with --record and a packaged
    bundle.

    Example:
      mien evaluate --data fer2013.zip --votes ferplus_votes.csv --robustness
    """
    import sys

    from mien.cli.model_in_use import chosen_model, print_model
    from mien.cli.output import print_json_line, report_ready
    from mien.cli.progress import progress_bar
    from mien.cli.reading import print_recognised, read_faces
    from mien.errors import require
    from mien.evaluation.evaluate import evaluate_bundle
    from mien.evaluation.private_log import log_scoring, release_log_folder
    from mien.evaluation.report import write_report
    from mien.evaluation.report_text import evaluation_text
    from mien.files import file_hash
    from mien.lifecycle import bundle_of
    from mien.vision.bundles import record_evaluation
    from mien.vision.weights import find_yunet

    require(("matplotlib",), "audit", "The report")
    dataset = read_faces(data, classes, split_file)
    chosen = split or dataset.usual_test_split()
    whose = whose_labels(labels)
    model = chosen_model(model)
    with bundle_of(model, dataset, votes) as (source, bundle):
        evaluation = evaluate_bundle(
            bundle,
            dataset,
            chosen,
            progress_bar,
            fer2013_labels=whose,
            split_file=split_file,
            votes=votes,
            groups=groups,
            detector=find_yunet(),
            corruptions=robustness,
            seed=seed,
        )
    print_model(model)
    print_recognised(dataset, whose)
    numbers, name = evaluation.facts, evaluation.card.name
    for line in numbers["manifest_differences"]:
        print(f"note: {name} was trained on other data: {line}", file=sys.stderr)
    with progress_bar("writing the report"):
        write_report(evaluation, out)
    print(evaluation_text(numbers))
    if chosen == "PrivateTest":
        released = release_log_folder(source, numbers["dataset_hash"]) if record else None
        print(log_scoring(released or out, file_hash(source), numbers))
    if record:
        record_evaluation(source, chosen, evaluation.short)
    print(f"\nWritten to {out}: report.html, metrics.json, predictions.csv and images")
    report_ready(out / "report.html", open_page)
    print_json_line(evaluation.short, json_line)
