"""``mien prepare``: check FER2013 and describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data


def prepare(
    data: Data = DATA_DEFAULT,
    out: Annotated[Path, typer.Option(help="Folder for the report, the pictures and the class weights.")] = Path(
        "results/data_analysis"
    ),
) -> None:
    """Check FER2013, count it, and write the data report.

    Writes class_distribution.png, sample_images.png, class_weights.txt,
    data_preparation_report.txt and the same facts as data_preparation_report.json.

    Example: mien prepare --data fer2013.zip
    """
    from mien.cli.progress import progress_bar
    from mien.data import preparation
    from mien.data.pictures import draw_class_distribution, draw_samples
    from mien.data.reader import find_data, read_dataset
    from mien.files import write_json, write_text

    place = find_data(data)
    with progress_bar("reading images") as progress:
        result = read_dataset(place, progress)
    found = preparation.findings(result.dataset, result.unreadable, result.dataset.content_hash())
    text = preparation.report_text(found, place.name)
    write_text(out / "data_preparation_report.txt", text + "\n")
    write_text(out / "class_weights.txt", preparation.weights_text(found["class_weights"]))
    write_json(out / "data_preparation_report.json", found)
    draw_class_distribution(out / "class_distribution.png", result.dataset)
    draw_samples(out / "sample_images.png", result.dataset)
    print(text)
    print(f"\nWritten to {out}: the report, class_weights.txt, class_distribution.png, sample_images.png")
    print("Next: mien train, or mien evaluate --split PublicTest to try the model that comes with the package")
