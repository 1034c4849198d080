"""``mien export``: export checkpoints as a model bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Classes, Data, SplitFileOption, VotesOption


def export(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoints (best.pt); several form an ensemble.")],
    out: Annotated[Path, typer.Option(help="Bundle to write.")] = Path("models/mien.onnx"),
    name: Annotated[str | None, typer.Option(help="Name on the model card.", show_default="the file's name")] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16 (half the size) or int8 (a quarter).")] = "fp32",
    data: Data = DATA_DEFAULT,
    classes: Classes = None,
    split_file: SplitFileOption = None,
    votes: VotesOption = None,
    reference: Annotated[
        bool, typer.Option(help="Also make the drift reference, NAME.reference.npz (minutes; extra monitor).")
    ] = True,
) -> None:
    """Export a checkpoint as a calibrated ONNX bundle.

    Several checkpoints are averaged at the logits: usually more accurate, and as slow as all of
    them together. Each head is calibrated on PublicTest against its own truth, so a network with
    a people head needs --votes. The bundle is then run on PublicTest and compared with PyTorch;
    fp32 must agree to 1e-4.

    Example:
      mien export models/default/best.pt --votes ferplus_votes.csv
    """
    from mien.cli.drift_reference import reference_beside
    from mien.cli.progress import logged_progress
    from mien.cli.reading import read_faces
    from mien.errors import DataError, UsageError
    from mien.evaluation.truths import TRUTHS
    from mien.lifecycle import export_model

    if out.suffix.lower() != ".onnx":
        raise UsageError(f"--out is {out}; use a name that ends in .onnx")
    missing = next((path for path in checkpoints if not path.is_file()), None)
    if missing is not None:
        raise DataError(f"no checkpoint at {missing}")
    dataset = read_faces(data, classes, split_file)
    with logged_progress("exporting, and comparing the bundle with PyTorch"):
        card = export_model(checkpoints, dataset, out, name or out.stem, precision, votes)
    parity = card.export
    size = out.stat().st_size / 1e6
    print(f"{out}: {size:.2f} MB in {precision}, {card.parameters:,} parameters, temperature {card.temperature:.3f}")
    for truth, numbers in card.metrics["PublicTest"]["truths"].items():
        print(
            f"PublicTest, {TRUTHS[truth]}: {numbers['accuracy']:.2%} of {numbers['n']:,}, "
            f"macro-F1 {numbers['macro_f1']:.3f}, ECE {numbers['ece']:.1%}"
        )
    print(
        f"compared with PyTorch on {parity['images']:,} images: probabilities differ by at most {parity['max_gap']:.1g}, "
        f"same prediction {parity['same_answer']:.2%}, accuracy {100 * parity['accuracy_change']:+.2f} points"
    )
    if reference:
        print(reference_beside(out, dataset, votes))
