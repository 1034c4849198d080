"""``mien prepare``: audit a data set and write a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.options import DATA_DEFAULT, MODEL_DEFAULT, Classes, Data, OpenPage, Validation, VotesOption

if TYPE_CHECKING:
    from mien.audit.audit import LabelModel
    from mien.data.dataset import FaceDataset
    from mien.data.fer_folders import ReadResult


def prepare(
    data: Data = DATA_DEFAULT,
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("results/data_analysis"),
    votes: VotesOption = None,
    classes: Classes = None,
    validation: Validation = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of --validation.")] = 0,
    label_model: Annotated[
        str, typer.Option(help="Find label errors with: ridge (seconds), network (an hour; extra train), none.")
    ] = "ridge",
    faces: Annotated[bool, typer.Option("--faces/--no-faces", help="Detect a face in every image.")] = True,
    open_page: OpenPage = False,
) -> None:
    """Audit a data set: duplicates, quality and label errors.

    Writes data_preparation_report.txt, class_weights.txt, class_distribution.png and
    sample_images.png. With the extra audit also audit.html (contains images from the data),
    audit.json, datasheet.md, and clean_split.csv for --split-file of mien train and evaluate: exact
    and near duplicates within and across splits, images of low quality, likely label errors.

    Examples:
      mien prepare --data fer2013.zip --votes ferplus_votes.csv
      mien prepare --data my_faces/ --classes table.csv --validation 0.1
    """
    import sys
    import time
    from dataclasses import replace

    from mien.audit.exact import exact_groups
    from mien.audit.similar import EXACT_UP_TO
    from mien.cli.output import reported_stop
    from mien.cli.reading import read_result
    from mien.data.holdout import hold_out
    from mien.data.reader import find_data
    from mien.errors import install_command, missing_package
    from mien.lifecycle import choose_label_model

    folds = out / "label_model"
    checks_labels = choose_label_model(label_model, folds)  # refuses unknown names before anything is read
    place = find_data(data)
    started = time.perf_counter()
    with reported_stop(_before_writing):
        result = read_result(place, classes)
        if validation is not None:
            result = replace(result, dataset=hold_out(result.dataset, exact_groups(result.dataset.images), validation, seed))
    wanted = (
        "scipy",
        *(("faiss",) if len(result.dataset) > EXACT_UP_TO else ()),
        *(("cleanlab",) if checks_labels else ()),
    )
    missing = missing_package(wanted)
    seconds = {"reading": round(time.perf_counter() - started, 2)}
    if missing is None:
        saved = folds if label_model == "network" else None
        _audit(place, out, result, votes, checks_labels, saved, faces, seconds, open_page)
    else:
        _describe(place, out, result, validation is not None)
        print(f"\nWritten to {out}: the report, class_weights.txt and two charts")
        print(
            f"Not audited for duplicates, quality and label errors: the package {missing} is missing. "
            f"Install it with: {install_command('audit')}",
            file=sys.stderr,
        )
    split_file = out / "clean_split.csv" if missing is None or validation is not None else None
    print(_next_step(result.dataset, data, classes, votes, split_file, validation is not None))


def _audit(
    place: Path,
    out: Path,
    result: ReadResult,
    votes: Path | None,
    label_model: tuple[str, LabelModel] | None,
    folds: Path | None,
    faces: bool,
    seconds: dict[str, float],
    open_page: bool,
) -> None:
    """Audit a data set, write everything, and print what was found; ``folds`` is where the label model saves itself, or None."""
    import time

    from mien.audit.audit import run_audit
    from mien.audit.datasheet import datasheet_text
    from mien.audit.findings_text import findings_text
    from mien.audit.page import page_html
    from mien.cli.output import report_ready, reported_stop
    from mien.cli.progress import progress_bar
    from mien.data.split_file import split_text
    from mien.data.votes import read_votes
    from mien.files import write_json, write_text
    from mien.vision.weights import find_yunet

    detector = find_yunet() if faces else None
    dataset = result.dataset
    crowd = read_votes(votes, dataset) if votes else None
    started_at = time.time()
    with reported_stop(lambda: _before_writing(folds, started_at)):
        audit = run_audit(
            dataset,
            result.unreadable,
            progress_bar,
            detector=detector,
            votes=crowd,
            label_model=label_model,
            sizes=result.sizes,
            seconds=seconds,
        )
    started = time.perf_counter()
    findings = findings_text(audit.facts)
    with reported_stop(lambda: _incomplete(out)), progress_bar("writing the report"):
        text = _write_four_files(place, out, dataset, audit.facts, findings)
        write_text(out / "clean_split.csv", split_text(dataset, audit.decisions))
        write_text(out / "audit.html", page_html(audit, _name_of(place)))
        write_text(out / "datasheet.md", datasheet_text(audit.facts))
        writing = round(time.perf_counter() - started, 2)
        times = audit.facts["seconds"]
        audit.facts["seconds"] = {**times, "writing": writing, "total": round(times["total"] + writing, 2)}
        write_json(out / "audit.json", audit.facts)
    print(text)
    print()
    print(findings)
    if faces and detector is None:
        print("\nFaces were not detected: this needs YuNet (mien doctor --fetch)")
    print(f"\nWritten to {out}: audit.html, audit.json, clean_split.csv, datasheet.md and the report with its charts")
    report_ready(out / "audit.html", open_page)


def _describe(place: Path, out: Path, result: ReadResult, held_out: bool) -> None:
    """Write the counts of a data set, and the split file if there are held-out images; print the counts."""
    from mien.cli.output import reported_stop
    from mien.data.holdout import nothing_decided
    from mien.data.manifest import manifest
    from mien.data.preparation import findings
    from mien.data.split_file import split_text
    from mien.files import write_text

    with reported_stop(_before_writing):
        found = findings(result.dataset, result.unreadable, manifest(result.dataset)["dataset_hash"])
    with reported_stop(lambda: _incomplete(out)):
        text = _write_four_files(place, out, result.dataset, found)
        if held_out:
            write_text(out / "clean_split.csv", split_text(result.dataset, nothing_decided(result.dataset)))
    print(text)


def _before_writing(folds: Path | None = None, started_at: float = 0.0) -> str:
    """Return what is left of a run that was stopped; ``started_at`` is in seconds since 1970."""
    if folds is not None and any(path.stat().st_mtime > started_at - 1 for path in folds.glob("fold-*/last.pt")):
        return f"the label model is saved in {folds}. The same command resumes"
    return "nothing was written"


def _incomplete(out: Path) -> str:
    return f"the report in {out} is incomplete. Run the same command again"


def _write_four_files(place: Path, out: Path, dataset: FaceDataset, facts: dict[str, Any], findings: str = "") -> str:
    """Write the report, the class weights and the two pictures; return the report's first part."""
    from mien.data import preparation
    from mien.data.pictures import draw_class_distribution, draw_samples
    from mien.files import write_text

    text = preparation.report_text(facts, _name_of(place))
    write_text(out / "data_preparation_report.txt", "\n\n".join(filter(None, (text, findings))) + "\n")
    write_text(out / "class_weights.txt", preparation.weights_text(facts["class_weights"]))
    draw_class_distribution(out / "class_distribution.png", dataset)
    draw_samples(out / "sample_images.png", dataset)
    return text


def _name_of(place: Path) -> str:
    """Return the name of a file or folder; for ``.``, the name of the working directory."""
    return place.name or place.absolute().name


def _next_step(
    dataset: FaceDataset, data: Path, classes: Path | None, votes: Path | None, split_file: Path | None, held_out: bool
) -> str:
    """Return what to do next with a data set, with commands that can be run unchanged.

    Args:
        dataset: the data set, with the split that --validation held out.
        data: the value of --data.
        classes: the value of --classes.
        votes: the value of --votes.
        split_file: the split file that was written, None without one.
        held_out: whether that file holds out the validation split.
    """
    from mien.cli.output import command_line

    counts = dataset.split_counts()
    source: dict[str, object] = {"--data": data if data != DATA_DEFAULT else None, "--classes": classes}
    if not counts["Training"]:
        return f"Next: {command_line('evaluate', source)}. The data set has no training images (train/CLASS)"
    if not counts["PublicTest"]:
        held = ", ".join(f"{name} {n:,}" for name, n in counts.items() if n)
        return (
            f"The data set has no validation split (PublicTest), which training needs; it holds {held}.\n"
            "If the images were renamed, the prefixes that tell FER2013's test splits apart are lost (PublicTest_ and so on).\n"
            "Next: put images in val/CLASS, or hold out a tenth of Training by class: "
            f"{command_line('prepare', source | {'--validation': 0.1})}, then train with the split file that it writes"
        )
    train = command_line(
        "train", source | {"--votes": votes, "--split-file": split_file, "--batch-size": _batch_size(counts["Training"])}
    )
    evaluate = command_line("evaluate", {"--model": MODEL_DEFAULT} | source | {"--split-file": split_file if held_out else None})
    return f"Next: {train}, or {evaluate} to score the packaged model"


def _batch_size(images: int) -> int | None:
    """Return a batch size for few training images, None if that of the default recipe fits."""
    from mien.training.recipe import read_recipe

    if images >= read_recipe("default")[1].batch_size:
        return None
    return max(2, 1 << max(0, images.bit_length() - 3))  # 4 to 8 steps an epoch
