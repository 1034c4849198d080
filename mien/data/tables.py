"""Reading a small CSV that a user hands in, with one way of saying what is wrong with it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from mien.errors import DataError
from mien.files import refuse_large

MAX_TABLE_BYTES: Final = 256 * 1024 * 1024


def read_rows(path: Path, what: str, advice: str = "") -> list[dict[str, str]]:
    """Return the rows of a CSV by column; a byte-order mark, as Excel writes it, does no harm.

    Args:
        path: the file.
        what: how errors call it, such as ``the votes``.
        advice: what to do when it cannot be opened.

    Raises:
        DataError: it cannot be opened, is larger than 256 MiB, or is no text CSV.
    """
    refuse_large(path, MAX_TABLE_BYTES, what)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return list(csv.DictReader(handle))
    except OSError as error:
        raise DataError(f"cannot read {what} {path} ({error.strerror}){advice}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{what} {path}: not a text CSV ({error})") from error
