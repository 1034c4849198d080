"""Reading data sets: FER2013 as a folder, archive or CSV, and class folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mien.data.containers import CSV_NAMES, Kind, kind_of, table_among
from mien.data.fer_csv import read_csv
from mien.data.fer_folders import Progress, ReadResult, read_tree
from mien.data.layouts import is_image
from mien.data.trees import FolderTree, Tree, ZipTree
from mien.errors import DataError, UsageError, nearest

DEFAULT_DATA: Final = Path("data/fer2013")
_ENDINGS: Final = (".zip", ".csv", ".tar.gz", ".csv.gz")


def find_data(path: Path) -> Path:
    """Return the location of the data for a ``path`` given by the user.

    ``data/fer2013`` also finds ``data/fer2013.zip``, ``.csv``, ``.tar.gz`` and ``.csv.gz``, and a
    folder that holds an original CSV stands for that CSV.

    Raises:
        DataError: nothing is there. For ``DEFAULT_DATA``, the message says where to get FER2013 and where to put it.
    """
    place = locate(path)
    if place is None and path != DEFAULT_DATA:
        raise DataError(f"there is no file or folder {path}.{_similar_name(path) or ' Check the path'}")
    if place is None:
        raise DataError(
            f"no FER2013 at {path}. Download it from https://www.kaggle.com/datasets/msambare/fer2013 and put it at "
            f"{DEFAULT_DATA}.zip (as downloaded), or unpacked at {DEFAULT_DATA}/train and {DEFAULT_DATA}/test; "
            "or pass its path with --data, which also accepts a folder or zip of your own faces"
        )
    return place


def _similar_name(path: Path) -> str:
    """Return a suggestion of a similar name in the same folder, or ""."""
    try:
        return nearest(path.name, (each.name for each in path.parent.iterdir()))
    except OSError:  # there is no such folder either
        return ""


def locate(path: Path) -> Path | None:
    """Return where the data for ``path`` is, as ``find_data`` does, or None if nothing is there.

    Raises:
        DataError: it cannot be opened.
    """
    try:
        if path.is_dir():
            inside = [path / below / name for below in ("", "fer2013") for name in CSV_NAMES if (path / below / name).is_file()]
            return inside[0] if inside and not (path / "train").is_dir() else path
        for candidate in (path, *(path.with_name(path.name + ending) for ending in _ENDINGS)):
            if candidate.is_file():
                return candidate
    except OSError as error:
        raise DataError(f"cannot open {path} ({error.strerror}). Check the path and its permissions") from error
    return None


def read_dataset(
    path: Path = DEFAULT_DATA, progress: Progress | None = None, classes: Mapping[str, str | None] | None = None
) -> ReadResult:
    """Return the faces in a folder, a zip, or an original FER2013 CSV, alone or in an archive.

    Args:
        path: what a user named; see ``find_data``.
        progress: called now and then with (done, total).
        classes: for a user's own folders, the class by folder name, None for a folder to
            leave out (``mien.data.class_table``).

    Raises:
        DataError: nothing is there, or it is broken; see the readers.
        UsageError: there are ``classes`` for a CSV, which has no folders.
    """
    place = find_data(path)
    tree = _tree_of(place)
    if tree is not None:
        return read_tree(tree, str(place), progress, classes)
    if classes is not None:
        raise UsageError(f"--classes maps folders to classes, but {place} is a CSV. Remove --classes")
    return read_csv(place, progress)


def has_folders(path: Path) -> bool:
    """Return whether a data set is made of folders, whose names say the classes, and not of the rows of a CSV.

    Raises:
        DataError: nothing is there, or it cannot be opened.
    """
    return _tree_of(find_data(path)) is not None


def _tree_of(place: Path) -> Tree | None:
    """Return the files in a folder or a zip, None for a CSV, alone or in an archive."""
    if place.is_dir():
        return FolderTree(place)
    if kind_of(place) is not Kind.ZIP:
        return None
    tree = ZipTree(place)
    return tree if any(map(is_image, tree.files)) or table_among(tree.files) is None else None
