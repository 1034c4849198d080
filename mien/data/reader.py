"""The door to a data set in any of its forms: FER2013's folder, zip or CSV, and folders or zips of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mien.data.fer_csv import read_csv
from mien.data.fer_folders import Progress, ReadResult, read_tree
from mien.data.trees import FolderTree, ZipTree
from mien.errors import DataError, UsageError

DEFAULT_DATA: Final = Path("data/fer2013")
_CSV_NAMES: Final = ("fer2013.csv", "icml_face_data.csv")


def find_data(path: Path) -> Path:
    """Return where the data really stands for the ``path`` a user named.

    ``data/fer2013`` also finds ``data/fer2013.zip`` and ``data/fer2013.csv``, and a folder
    that holds an original CSV stands for that CSV.

    Raises:
        DataError: nothing is there; the message says where to get FER2013 and where to put it.
    """
    try:
        if path.is_dir():
            inside = [path / name for name in _CSV_NAMES if (path / name).is_file()]
            return inside[0] if inside and not (path / "train").is_dir() else path
        for candidate in (path, path.with_name(path.name + ".zip"), path.with_name(path.name + ".csv")):
            if candidate.is_file():
                return candidate
    except OSError as error:
        raise DataError(f"cannot open {path} ({error.strerror}). Check the path and its permissions") from error
    raise DataError(
        f"no FER2013 at {path}. Download it from https://www.kaggle.com/datasets/msambare/fer2013 and put it at "
        f"{DEFAULT_DATA}.zip (as downloaded), or unpacked at {DEFAULT_DATA}/train and {DEFAULT_DATA}/test; "
        "or name its place with --data, which takes a folder or zip of faces of your own as well"
    )


def read_dataset(
    path: Path = DEFAULT_DATA, progress: Progress | None = None, classes: Mapping[str, str | None] | None = None
) -> ReadResult:
    """Return the faces in a folder, a zip or an original FER2013 CSV.

    Args:
        path: what a user named; see ``find_data``.
        progress: called now and then with (done, total).
        classes: for folders of one's own, the class by folder name, None for a folder to
            leave out (``mien.data.class_table``).

    Raises:
        DataError: nothing is there, or it is broken; see the readers.
        UsageError: there are ``classes`` for a CSV, which has no folders.
    """
    place = find_data(path)
    if place.is_dir():
        return read_tree(FolderTree(place), str(place), progress, classes)
    if place.suffix.lower() == ".csv":
        if classes is not None:
            raise UsageError(f"--classes says what folders are, and {place} is a CSV without any. Leave --classes out")
        return read_csv(place, progress)
    return read_tree(ZipTree(place), str(place), progress, classes)
