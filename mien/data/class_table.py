"""A small table that says which class each folder of a user's own data set stands for.

    folder,class
    радость,happy
    Wut,anger
    bored,-

Comma, semicolon or tab between the columns; ``-`` leaves a folder out.
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
    """Return what two spellings of one folder name share: blanks, case and accents' encoding do not matter.

    >>> folder_key(" Happy ")
    'happy'
    """
    return unicodedata.normalize("NFC", name.strip()).casefold()


def read_class_table(path: Path) -> dict[str, str | None]:
    """Return the class of each folder that a table names, by ``folder_key``; None leaves the folder out.

    Raises:
        DataError: there is no such table, or lines of it cannot be understood; all are named.
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
            "Name a text file with the head 'folder,class' and a line for each folder, such as 'joyful,happy'"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the class table {path} is not UTF-8 text ({error.reason}). Save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise DataError(f"the class table {path} is not a text CSV ({error})") from error
    if tuple(column.strip('"') for column in columns) != _COLUMNS:
        raise DataError(f"the class table {path} begins with {head.strip()[:60]!r}; its first line must be 'folder,class'")
    return _meanings(path, [(line, row) for line, row in rows if any(row)])


def _meanings(path: Path, rows: list[tuple[int, list[str]]]) -> dict[str, str | None]:
    """Return the meaning of every folder in checked rows; every fault is raised at once."""
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
            faults.append(
                f"line {line}: {name!r} is a path; write the folder's own name, {name.rstrip('/').rpartition('/')[2]!r}"
            )
        elif emotion is None and value != _LEAVE_OUT:
            faults.append(f"line {line}: unknown class {value!r} (one of {', '.join(EMOTIONS)}, or - to leave the folder out)")
        elif meanings.setdefault(key, emotion) != emotion:
            before = meanings[key] or _LEAVE_OUT
            faults.append(f"line {line}: {name!r} is {value!r} here and {before!r} in line {first_line[key]}; keep one")
        else:
            first_line.setdefault(key, line)
    if faults:
        more = f" (and {len(faults) - 8} more)" if len(faults) > 8 else ""
        raise DataError(f"the class table {path}: " + "; ".join(faults[:8]) + more)
    return meanings
