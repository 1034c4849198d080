"""``mien export``: turn a checkpoint into a model bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of mien train, such as models/default/best.pt.")],
    out: Annotated[Path, typer.Option(help="The bundle to write.")] = Path("models/mien.onnx"),
    name: Annotated[str, typer.Option(help="The bundle's name on its card.")] = "mien",
    data: Data = DATA_DEFAULT,
) -> None:
    """Turn a checkpoint into a bundle: one ONNX file with calibration, softmax and card inside.

    The calibration temperature is fitted on PublicTest, and the graph is checked against PyTorch.

    Example: mien export models/default/best.pt --out models/mine.onnx --data fer2013.zip
    """
    from mien.cli.progress import progress_bar
    from mien.data.reader import read_dataset
    from mien.lifecycle import export_model

    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    card = export_model(checkpoint, dataset, out, name)
    numbers = card.metrics["PublicTest"]
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {card.parameters:,} parameters, temperature {card.temperature:.3f}")
    print(f"PublicTest: {numbers['accuracy']:.2%}, macro-F1 {numbers['macro_f1']:.3f}, ECE {numbers['ece']:.1%}")
