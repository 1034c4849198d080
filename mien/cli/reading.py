"""Reading the data set that a command's options name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.data.dataset import FaceDataset
    from mien.data.fer_folders import ReadResult


def read_result(data: Path, classes: Path | None = None, heading: str = "reading images", shown: bool = True) -> ReadResult:
    """Return a data set with what could not be read of it; show a progress bar, and say which folders are not read.

    Args:
        data: the value of ``--data``.
        classes: the value of ``--classes``.
        heading: of the progress bar.
        shown: False in processes that must stay silent.
    """
    from mien.cli.progress import progress_bar
    from mien.data.class_table import read_class_table
    from mien.data.reader import read_dataset

    table = read_class_table(classes) if classes else None
    with progress_bar(heading, shown) as progress:
        result = read_dataset(data, progress, table)
    if shown and result.notice:
        print(result.notice, file=sys.stderr)
    return result


def read_faces(
    data: Path,
    classes: Path | None = None,
    split_file: Path | None = None,
    heading: str = "reading images",
    shown: bool = True,
) -> FaceDataset:
    """Return the images of a data set, with the validation split that a split file holds out; see ``read_result``."""
    from mien.data.holdout import apply_held_out

    dataset = read_result(data, classes, heading, shown).dataset
    return apply_held_out(split_file, dataset) if split_file else dataset


def read_new_faces(folder: Path, classes: Path | None) -> FaceDataset:
    """Return newly labelled faces.

    Raises:
        DataError: nothing is there.
    """
    from mien.data.reader import locate
    from mien.errors import DataError

    if locate(folder) is None:
        raise DataError(f"there is no folder or zip {folder}. Pass one that has the new faces in class folders")
    return read_faces(folder, classes, heading="reading new faces")


def print_recognised(dataset: FaceDataset, labels: bool | None) -> None:
    """Print a note on standard error if files have FER2013's names but other images or labels.

    Args:
        dataset: the whole data set.
        labels: the value of ``--labels``; see ``whose_labels``.
    """
    from mien.data.fer2013 import has_fer2013_labels, is_named_fer2013

    if labels is None and is_named_fer2013(dataset) and not has_fer2013_labels(dataset):
        print(
            "note: the files are named like FER2013's, but the images or labels differ, so the "
            "labels are treated as your own (--labels own). If this is FER2013 in another form, "
            "pass --labels fer2013",
            file=sys.stderr,
        )


def table_for(data: Path, classes: Path | None) -> Path | None:
    """Return the class table for a second data set of a command: none where that is a CSV, which has no folders."""
    from mien.data.reader import has_folders

    return classes if classes is None or has_folders(data) else None
