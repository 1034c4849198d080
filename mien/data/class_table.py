"""The table that maps folders of a user's data set to classes.

    folder,class
    радость,happy
    Wut,anger
    bored,-

Columns are separated by comma, semicolon or tab; ``-`` skips a folder.
"""

from __future__ import annotations

import csv
import unicodedata
from pathlib import Path
from typing import Final

from mien.emotions import EMOTIONS, canonical_name
from mien.errors import DataError
from mien.files import refuse_large

_COLUMNS: Final = ("folder", "class")
_LEAVE_OUT: Final = "-"
_MAX_BYTES: Final = 1024 * 1024


def folder_key(name: str) -> str:
    """Return a folder name with normalised blanks, case and Unicode form.

    >>> folder_key(" Happy ")
    'happy'
    """
    return unicodedata.normalize("NFC", name.strip()).casefold()


def read_class_table(path: Path) -> dict[str, str | None]:
    """Return the class of each folder in a table, by ``folder_key``; None skips the folder.

    Raises:
        DataError: the table is missing, or lines are invalid; all are named.
    """
    refuse_large(path, _MAX_BYTES, "the class table")
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            head = handle.readline()
            delimiter = next((mark for mark in "\t;" if mark in head), ",")
            columns = [column.strip().lower() for column in head.split(delimiter)]
            reader = csv.reader(handle, delimiter=delimiter, skipinitialspace=True)
            rows = [(reader.line_num + 1, [cell.strip() for cell in row]) for row in reader]
    except OSError as error:
        raise DataError(
            f"cannot read the class table {path} ({error.strerror}). "
            "It must be a text file with the header 'folder,class' and a line for each folder, such as 'joyful,happy'"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the class table {path} is not UTF-8 text ({error.reason}). Save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise DataError(f"the class table {path} is not a text CSV ({error})") from error
    if tuple(column.strip('"') for column in columns) != _COLUMNS:
        raise DataError(f"the class table {path} begins with {head.strip()[:60]!r}; its first line must be 'folder,class'")
    return _meanings(path, [(line, row) for line, row in rows if any(row)])


def _meanings(path: Path, rows: list[tuple[int, list[str]]]) -> dict[str, str | None]:
    """Return the class of each folder from validated rows; all faults are raised at once."""
    meanings: dict[str, str | None] = {}
    first_line: dict[str, int] = {}
    faults: list[str] = []
    for line, row in rows:
        if len(row) != len(_COLUMNS) or not all(row):
            faults.append(f"line {line} is {' | '.join(row)[:60]!r}, not a folder and a class")
            continue
        name, value = row
        emotion = canonical_name(value)
        key = folder_key(name)
        if "/" in name:
            faults.append(f"line {line}: {name!r} is a path; use the folder's own name, {name.rstrip('/').rpartition('/')[2]!r}")
        elif emotion is None and value != _LEAVE_OUT:
            faults.append(f"line {line}: unknown class {value!r} (one of {', '.join(EMOTIONS)}, or - to skip the folder)")
        elif meanings.setdefault(key, emotion) != emotion:
            before = meanings[key] or _LEAVE_OUT
            faults.append(f"line {line}: {name!r} is {value!r} here and {before!r} in line {first_line[key]}; keep one of them")
        else:
            first_line.setdefault(key, line)
    if faults:
        more = f" (and {len(faults) - 8} more)" if len(faults) > 8 else ""
        raise DataError(f"the class table {path}: " + "; ".join(faults[:8]) + more)
    return meanings
