"""Reading CSV files from users, with uniform error messages, and image names in them."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath
from typing import Final

from mien.errors import DataError
from mien.files import refuse_large

MAX_TABLE_BYTES: Final = 256 * 1024 * 1024


def read_rows(path: Path, what: str, advice: str = "") -> list[dict[str, str]]:
    """Return the rows of a CSV by column; a byte-order mark (as written by Excel) is ignored.

    Args:
        path: the file.
        what: name of the file in errors, such as ``the votes``.
        advice: advice if it cannot be opened.

    Raises:
        DataError: it cannot be opened, is larger than 256 MiB, or is not a text CSV.
    """
    refuse_large(path, MAX_TABLE_BYTES, what)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return list(csv.DictReader(handle))
    except OSError as error:
        raise DataError(f"cannot read {what} {path} ({error.strerror}){advice}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{what} {path}: not a text CSV ({error})") from error


def short_name(name: str) -> str:
    """Return the last three parts of an image's name, which do not depend on its location.

    >>> short_name("archive/train/happy/Training_1.jpg")
    'train/happy/Training_1.jpg'
    """
    return "/".join(PurePosixPath(name).parts[-3:])
