"""``mien prepare``: check a data set, describe it, and say what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data, VotesOption


def prepare(
    data: Data = DATA_DEFAULT,
    out: Annotated[Path, typer.Option(help="Folder for the report, the pictures, the audit and the clean split.")] = Path(
        "results/data_analysis"
    ),
    votes: VotesOption = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="For faces of your own: a CSV 'folder,class' that maps folder names to the seven classes ('-' leaves one out)."
        ),
    ] = None,
    label_model: Annotated[
        str,
        typer.Option(
            help="What judges the labels: ridge (seconds), network (better; an hour on two cores, needs the extra train) or none."
        ),
    ] = "ridge",
    faces: Annotated[bool, typer.Option("--faces/--no-faces", help="Look for a face in every image.")] = True,
) -> None:
    """Check a data set, count it, and find what is wrong with it.

    Finds exact and near duplicates (within and across splits), low quality, doubtful labels
    and imbalance, and writes clean_split.csv, which train and evaluate take (--split-file).

    Writes class_distribution.png, sample_images.png, class_weights.txt and
    data_preparation_report.txt; audit.json, audit.html (open it in a browser; it holds
    pictures from the data) and datasheet.md.

    Examples:

      mien prepare --data fer2013.zip --votes ferplus_votes.csv

      mien prepare --data my_faces/ --classes table.csv --label-model none
    """
    import time

    from mien.audit.audit import run_audit
    from mien.audit.datasheet import datasheet_text
    from mien.audit.findings_text import findings_text
    from mien.audit.page import page_html
    from mien.cli.progress import progress_bar
    from mien.data import preparation
    from mien.data.class_table import read_class_table
    from mien.data.pictures import draw_class_distribution, draw_samples
    from mien.data.reader import find_data, read_dataset
    from mien.data.split_file import split_text
    from mien.data.votes import read_votes
    from mien.errors import require
    from mien.files import write_json, write_text
    from mien.lifecycle import choose_label_model
    from mien.vision.weights import find_yunet

    require(("scipy", "matplotlib") + (("cleanlab",) if label_model != "none" else ()), "audit", "The audit")
    model = choose_label_model(label_model, out / "label_model")
    detector = find_yunet() if faces else None
    place = find_data(data)
    started = time.perf_counter()
    with progress_bar("reading images") as progress:
        result = read_dataset(place, progress, read_class_table(classes) if classes else None)
    dataset = result.dataset
    crowd = read_votes(votes, dataset) if votes else None
    seconds = {"reading": round(time.perf_counter() - started, 2)}
    audit = run_audit(
        dataset,
        result.unreadable,
        progress_bar,
        detector=detector,
        votes=crowd,
        label_model=model,
        sizes=result.sizes,
        seconds=seconds,
    )
    started = time.perf_counter()
    with progress_bar("writing the report"):
        text = preparation.report_text(audit.facts, place.name)
        write_text(out / "data_preparation_report.txt", text + "\n\n" + findings_text(audit.facts) + "\n")
        write_text(out / "class_weights.txt", preparation.weights_text(audit.facts["class_weights"]))
        write_text(out / "clean_split.csv", split_text(dataset, audit.decisions))
        draw_class_distribution(out / "class_distribution.png", dataset)
        draw_samples(out / "sample_images.png", dataset)
        write_text(out / "audit.html", page_html(audit, place.name))
        write_text(out / "datasheet.md", datasheet_text(audit.facts))
    writing = round(time.perf_counter() - started, 2)
    times = audit.facts["seconds"]
    audit.facts["seconds"] = {**times, "writing": writing, "total": round(times["total"] + writing, 2)}
    write_json(out / "audit.json", audit.facts)
    print(text)
    print()
    print(findings_text(audit.facts))
    if faces and detector is None:
        print("\nFaces were not looked for: there is no detector yet. Fetch it once with: mien fetch")
    print(f"\nWritten to {out}: audit.html, audit.json, clean_split.csv, datasheet.md and the report with its pictures")
    print(
        f"Next: mien train --split-file {out / 'clean_split.csv'}, or mien evaluate to try the model that comes with the package"
    )
