"""``mien compare``: compare two models on the same images."""

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
    SplitFileOption,
    SplitOption,
    VotesOption,
    whose_labels,
)

_ModelArgument = typer.Argument(help="Name of a packaged bundle, or path of a bundle or checkpoint.")


def compare(
    first: Annotated[str, _ModelArgument],
    second: Annotated[str, _ModelArgument],
    data: Data = DATA_DEFAULT,
    classes: Classes = None,
    split: SplitOption = None,
    out: Annotated[Path, typer.Option(help="Folder for comparison.json, differences.csv and differences.png.")] = Path(
        "results/comparison"
    ),
    split_file: SplitFileOption = None,
    votes: VotesOption = None,
    labels: Labels = "auto",
    json_line: JsonLine = False,
) -> None:
    """Compare two models on the same images.

    For each truth (human votes with --votes, FER2013's labels, or your own labels): difference
    of accuracies with a 95% interval (paired bootstrap), McNemar's exact test, and the images
    that only one model gets right. Choose on PublicTest; a comparison on PrivateTest logs both
    scorings in private_test_log.csv.

    Example:
      mien compare mien-s mien-xs --data fer2013.zip
    """
    from contextlib import ExitStack

    from mien.cli.output import print_json_line
    from mien.cli.progress import progress_bar
    from mien.cli.reading import print_recognised, read_faces
    from mien.data.manifest import manifest
    from mien.evaluation.compare import compare_bundles, comparison_text, write_comparison
    from mien.evaluation.private_log import log_scoring
    from mien.files import file_hash
    from mien.lifecycle import bundle_of

    dataset = read_faces(data, classes, split_file)
    chosen = split or dataset.usual_test_split()
    whose = whose_labels(labels)
    with ExitStack() as stack:
        models = [stack.enter_context(bundle_of(model, dataset, votes)) for model in (first, second)]
        comparison = compare_bundles([bundle for _, bundle in models], dataset, chosen, progress_bar, split_file, votes, whose)
    print_recognised(dataset, whose)
    facts = {"split": chosen, "dataset_hash": manifest(dataset)["dataset_hash"], **comparison.facts}
    write_comparison(comparison, facts, out)
    print(f"{' and '.join(comparison.names)} on {chosen}\n")
    print(comparison_text(facts))
    if chosen == "PrivateTest":
        for number, (source, _) in enumerate(models):
            print(log_scoring(out, file_hash(source), {"dataset_hash": facts["dataset_hash"], **comparison.numbers(number)}))
    print(f"\nWritten to {out}: comparison.json, differences.csv, differences.png")
    print_json_line(facts, json_line)
