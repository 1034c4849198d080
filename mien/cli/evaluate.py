"""``mien evaluate``: how good is a bundle?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, MODEL_DEFAULT, Data, Model


def evaluate(
    model: Model = MODEL_DEFAULT,
    data: Data = DATA_DEFAULT,
    split: Annotated[str, typer.Option(help="Training, PublicTest or PrivateTest.")] = "PublicTest",
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and confusion_matrix.png.")] = Path("results/evaluation"),
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
    from mien.lifecycle import evaluate_bundle

    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    with progress_bar("reading faces") as progress:
        card, numbers = evaluate_bundle(model, dataset, split, out, progress)
    if card.dataset_hash != numbers["dataset_hash"]:
        print(f"note: {card.name} was trained on another data set than this one (their hashes differ)", file=sys.stderr)
    print(f"{card.name} on {split}\n")
    print(classification_report(numbers))
    print(f"\nWritten to {out}: metrics.json, confusion_matrix.png")
    print(json.dumps(numbers))
