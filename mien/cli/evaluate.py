"""``mien evaluate``: how good is a bundle?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, MODEL_DEFAULT, Data, Model, SplitFileOption


def evaluate(
    model: Model = MODEL_DEFAULT,
    data: Data = DATA_DEFAULT,
    split: Annotated[str, typer.Option(help="Training, PublicTest or PrivateTest.")] = "PublicTest",
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and confusion_matrix.png.")] = Path("results/evaluation"),
    split_file: SplitFileOption = None,
) -> None:
    """Score a bundle on one split of FER2013; the last line printed is one JSON document.

    Choose everything on PublicTest; score PrivateTest once, when all is chosen.

    Example: mien evaluate --data fer2013.zip --split PublicTest
    """
    import json
    import sys

    from mien.cli.progress import progress_bar
    from mien.data.reader import read_dataset
    from mien.evaluation.scores import classification_report
    from mien.evaluation.evaluate import evaluate_bundle

    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    with progress_bar("reading faces") as progress:
        card, numbers = evaluate_bundle(model, dataset, split, out, progress, split_file)
    for line in numbers["manifest_differences"]:
        print(f"note: {card.name} was trained on other data than this: {line}", file=sys.stderr)
    print(f"{card.name} on {split}\n")
    print(classification_report(numbers))
    clean = numbers.get("clean")
    if clean:
        low, high = clean["accuracy_ci"]
        print(
            f"\n{'clean':>10} {clean['accuracy']:10.3f}   95 % interval {low:.3f} to {high:.3f}, n = {clean['n']}: "
            f"without the {numbers['n'] - clean['n']} images that also stand in an earlier split"
        )
    print(f"\nWritten to {out}: metrics.json, confusion_matrix.png")
    print(json.dumps(numbers))
