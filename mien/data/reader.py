"""The door to FER2013 in any of its forms: Kaggle's folder, Kaggle's zip, the original CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mien.data.fer_csv import read_csv
from mien.data.fer_folders import Progress, ReadResult, read_tree
from mien.data.trees import FolderTree, ZipTree
from mien.errors import DataError

DEFAULT_DATA: Final = Path("data/fer2013")
_CSV_NAMES: Final = ("fer2013.csv", "icml_face_data.csv")


def find_data(path: Path) -> Path:
    """Return where the data really stands for the ``path`` a user named.

    ``data/fer2013`` also finds ``data/fer2013.zip`` and ``data/fer2013.csv``, and a folder
    that holds an original CSV stands for that CSV.

    Raises:
        DataError: nothing is there; the message says where to get FER2013 and where to put it.
    """
    if path.is_dir():
        inside = [path / name for name in _CSV_NAMES if (path / name).is_file()]
        return inside[0] if inside and not (path / "train").is_dir() else path
    for candidate in (path, path.with_name(path.name + ".zip"), path.with_name(path.name + ".csv")):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"no FER2013 at {path}. Download it from https://www.kaggle.com/datasets/msambare/fer2013 and put it at "
        f"{DEFAULT_DATA}.zip (as downloaded), or unpacked at {DEFAULT_DATA}/train and {DEFAULT_DATA}/test; "
        "or name its place with --data"
    )


def read_dataset(path: Path = DEFAULT_DATA, progress: Progress | None = None) -> ReadResult:
    """Return FER2013 from a folder, a zip or an original CSV.

    Raises:
        DataError: nothing is there, or it is broken; see the readers.
    """
    place = find_data(path)
    if place.is_dir():
        return read_tree(FolderTree(place), str(place), progress)
    if place.suffix.lower() == ".csv":
        return read_csv(place, progress)
    return read_tree(ZipTree(place), str(place), progress)
