"""``mien export``: turn a checkpoint into a model bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data

if TYPE_CHECKING:
    from mien.data.dataset import FaceDataset


def export(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="A checkpoint of mien train, such as models/default/best.pt; several make a committee.")
    ],
    out: Annotated[Path, typer.Option(help="The bundle to write.")] = Path("models/mien.onnx"),
    name: Annotated[str | None, typer.Option(help="The bundle's name on its card.", show_default="the file's")] = None,
    precision: Annotated[
        str,
        typer.Option(help="fp32; fp16: half the size, same answers to a thousandth; int8: a quarter, computes in integers."),
    ] = "fp32",
    data: Data = DATA_DEFAULT,
    reference: Annotated[
        bool, typer.Option(help="Make what drift is held against as well (minutes), beside the bundle: NAME.reference.npz.")
    ] = True,
) -> None:
    """Turn a checkpoint into a bundle: one ONNX file with calibration, softmax and card inside.

    Several checkpoints become one bundle that averages their logits: as a rule more accurate, and
    as slow as all of them together. The calibration temperature is fitted on PublicTest. The finished bundle is run on all of
    PublicTest and compared with PyTorch; a 32-bit one must agree to 1e-4. The reference for drift holds
    statistics of PublicTest as the bundle sees it, no face; it needs the extra monitor.

    Example: mien export models/default/best.pt --out models/mine.onnx --data fer2013.zip
    """
    from mien.cli.progress import progress_bar
    from mien.data.reader import read_dataset
    from mien.lifecycle import export_model

    with progress_bar("reading images") as progress:
        dataset = read_dataset(data, progress).dataset
    card = export_model(checkpoints, dataset, out, name or out.stem, precision)
    numbers, parity = card.metrics["PublicTest"], card.export
    size = out.stat().st_size / 1e6
    print(f"{out}: {size:.2f} MB in {precision}, {card.parameters:,} parameters, temperature {card.temperature:.3f}")
    print(f"PublicTest: {numbers['accuracy']:.2%}, macro-F1 {numbers['macro_f1']:.3f}, ECE {numbers['ece']:.1%}")
    print(
        f"against PyTorch on {parity['images']:,} images: probabilities differ by at most {parity['max_gap']:.1g}, "
        f"same answer {parity['same_answer']:.2%}, accuracy {100 * parity['accuracy_change']:+.2f} points"
    )
    if reference:
        print(_reference_beside(out, dataset))


def _reference_beside(bundle: Path, dataset: FaceDataset) -> str:
    """Make the drift reference of a bundle, and return what to tell of it; a bundle is whole without."""
    from mien.cli.progress import progress_bar
    from mien.errors import DataError, DeviceError, require
    from mien.monitoring.reference_file import reference_path, write_reference
    from mien.vision.weights import find_yunet
    from mien.watch import make_reference

    target = reference_path(bundle)
    try:
        require(("scipy",), "monitor", "The reference for drift")
        with progress_bar("reading faces for the drift reference") as progress:
            write_reference(target, make_reference(bundle, dataset, "PublicTest", find_yunet(), progress=progress))
    except (DataError, DeviceError) as error:
        return f"no drift reference: {error}"
    return f"{target}: what drift is held against, {target.stat().st_size / 1000:.0f} kB"
