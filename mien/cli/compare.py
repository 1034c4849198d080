"""``mien compare``: which of two models is better, and is that more than chance?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data, SplitFileOption, VotesOption

_ModelArgument = typer.Argument(help="A bundle's path, the name of one in the package, or a checkpoint of mien train.")


def compare(
    first: Annotated[str, _ModelArgument],
    second: Annotated[str, _ModelArgument],
    data: Data = DATA_DEFAULT,
    split: Annotated[
        str | None,
        typer.Option(help="Training, PublicTest or PrivateTest.", show_default="PublicTest, or all of data without splits"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for comparison.json, differences.csv and differences.png.")] = Path(
        "results/comparison"
    ),
    split_file: SplitFileOption = None,
    votes: VotesOption = None,
) -> None:
    """Compare two models on the same images, in pairs; the last line printed is one JSON document.

    The difference of their accuracies with a 95 % interval (paired bootstrap), McNemar's exact test on
    the images that only one of them gets right, and those images. On PrivateTest both scorings are
    written down in private_test_log.csv: compare on PublicTest while anything is still to be chosen.

    Example: mien compare mien-s mien-xs --data fer2013.zip
    """
    import json
    from contextlib import ExitStack

    from mien.cli.progress import progress_bar
    from mien.data.manifest import manifest
    from mien.data.reader import read_dataset
    from mien.evaluation.compare import compare_bundles, comparison_text, write_comparison
    from mien.evaluation.private_log import log_scoring
    from mien.files import file_hash
    from mien.lifecycle import bundle_of

    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    chosen = split or dataset.usual_test_split()
    with ExitStack() as stack:
        models = [stack.enter_context(bundle_of(model, dataset)) for model in (first, second)]
        comparison = compare_bundles([bundle for _, bundle in models], dataset, chosen, progress_bar, split_file, votes)
    facts = {"split": chosen, "dataset_hash": manifest(dataset)["dataset_hash"], **comparison.facts}
    write_comparison(comparison, facts, out)
    print(f"{' and '.join(comparison.names)} on {chosen}\n")
    print(comparison_text(facts))
    if chosen == "PrivateTest":
        for (source, _), name, scores in zip(models, comparison.names, comparison.scores, strict=True):
            views = {view: scores.part(mask).as_dict() for view, mask in comparison.masks.items()}
            numbers = {"model": name, "dataset_hash": facts["dataset_hash"], **scores.as_dict(), "views": views}
            print(log_scoring(out, file_hash(source), numbers))
    print(f"\nWritten to {out}: comparison.json, differences.csv, differences.png")
    print(json.dumps(facts))
