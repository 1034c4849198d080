"""Erases sessions: folders, and rows of SQLite databases with their bytes.

A folder directly below a sessions folder belongs to its session, so it is erased completely. Any
other folder, such as one given with ``--out``, may hold other files: only Mien's own files are
erased there.

A plain SQL DELETE leaves bytes in free pages, in the write-ahead log and, in some modes, in the
rollback journal. Here deleted content is overwritten (``secure_delete``), the log is emptied and
the file is rebuilt (``VACUUM``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from mien.errors import DataError, DeviceError, StorageError, is_full
from mien.files import half_written
from mien.sessions.layout import (
    ALL_NAMES,
    ANALYSES,
    EARLIER,
    IDENTIFYING_NAMES,
    INDEX_TITLE,
    SCREENSHOTS,
    SEGMENTS_NAME,
    SESSIONS,
    earlier_folders,
    index_path,
    start_of,
)

WAIT_S: Final = 10.0
"""How long other programs may hold the database before erasing gives up."""
_WORK_ENDINGS: Final = frozenset({".csv", ".json", ".npz", ".lock"})


def erase_folder(
    folder: Path,
    root: Path | None = None,
    *,
    whole: bool = False,
    earlier: bool = True,
    findable: bool = False,
    before_last: Callable[[], object] = lambda: None,
) -> tuple[int, list[Path]]:
    """Erase the folder of a session.

    The files that say which session it is, and whose, are deleted last: an erasure that failed can be repeated.

    Args:
        folder: the session's folder; nothing of it is erased if it does not exist.
        root: the sessions folder, if it is not one of the default ones.
        whole: erase everything in the folder, wherever it is.
        earlier: erase the earlier sessions in the folder as well.
        findable: keep these last files.
        before_last: called before these last files are deleted.

    Returns:
        the number of files erased, and the paths that were kept because they are not Mien's.

    Raises:
        DeviceError: something cannot be removed; it is named.
    """
    if not folder.is_dir():
        before_last()
        return 0, []

    def delete_indexes() -> None:
        for parent in {folder.resolve().parent, SESSIONS}:  # the page of the default folder lists analyses as well
            delete_index(parent)
        before_last()

    before = count_files(folder)
    spared = () if earlier else earlier_folders(folder)
    if not spared and ((whole and not folder.is_symlink()) or is_made_for_session(folder, root)):
        _erase_tree(folder, findable, delete_indexes)
        return before - count_files(folder), []
    kept = _erase_own_files(folder, earlier, findable, delete_indexes)
    return before - sum(map(count_files, kept)), [path for path in kept if path not in spared]


def delete_index(root: Path) -> None:
    """Delete the page that lists the sessions of a folder, if there is one: it names sources and times of erased sessions.

    Raises:
        DeviceError: it cannot be deleted.
    """
    page = index_path(root)
    try:
        if not page.is_file():
            return
        with page.open("rb") as handle:
            is_index = INDEX_TITLE.encode() in handle.read(2048)  # a file of the user may have the same name
        if is_index:
            page.unlink(missing_ok=True)
    except OSError as error:
        raise _refused(error, page) from error


def is_made_for_session(folder: Path, root: Path | None = None) -> bool:
    """Return whether a folder is directly below a sessions folder, so that all of it belongs to the session.

    Below a ``root`` that the user chose, the folder's name must also be a session id.
    """
    if folder.is_symlink():
        return False
    parent = folder.resolve().parent  # of a path such as results/sessions/.., too
    if parent in (SESSIONS.resolve(), ANALYSES.resolve()):
        return True
    return root is not None and parent == root.resolve() and start_of(folder.name) is not None


def foreign_files(folder: Path) -> list[str]:
    """Return the names of files and folders at the top level of a session's folder that are not Mien's."""
    own = {*ALL_NAMES, SEGMENTS_NAME}
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in own and not path.match(SCREENSHOTS) and not (path.is_dir() and path.match(EARLIER))
    )


def count_files(path: Path, earlier: bool = True) -> int:
    """Return the number of files and links at and below a path, including ``earlier`` or not."""
    spared = 0 if earlier else sum(count_files(each) for each in earlier_folders(path) if each.parent == path)
    if path.is_dir() and not path.is_symlink():
        return sum(each.is_symlink() or not each.is_dir() for each in path.rglob("*")) - spared
    return int(os.path.lexists(path))


def _erase_tree(folder: Path, findable: bool, before_last: Callable[[], object]) -> None:
    """Unlink every file in a folder and below, and the folder itself. Links are removed and not followed.

    Raises:
        DeviceError: something cannot be read or removed; it is named.
    """
    try:
        paths = _paths_below(folder)
    except OSError as error:
        raise _refused(error, folder) from error
    folders = [path for path in paths if path.is_dir() and not path.is_symlink()]
    identifying = [each / name for each in (*earlier_folders(folder), folder) for name in IDENTIFYING_NAMES]
    last = [path for path in identifying if path not in folders]
    try:
        for path in paths:
            if path not in last and path not in folders:
                path.unlink()
        before_last()
        if findable:
            return
        for path in last:
            path.unlink(missing_ok=True)
        for path in (*folders, folder):
            path.rmdir()
    except OSError as error:
        raise _refused(error, folder) from error


def _paths_below(folder: Path) -> list[Path]:
    """Return all paths below a folder; the content of a folder comes before the folder.

    Raises:
        OSError: a folder cannot be read (``Path.rglob`` would leave it out).
    """
    found: list[Path] = []
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            found += _paths_below(path)
        found.append(path)
    return found


def _erase_own_files(folder: Path, earlier: bool, findable: bool, before_last: Callable[[], object]) -> list[Path]:
    """Erase the files of a session, and of earlier sessions in its folder; return the paths that were kept."""
    folders = [*(earlier_folders(folder) if earlier else ()), folder]
    names = [name for name in ALL_NAMES if name not in IDENTIFYING_NAMES]
    try:
        for each in folders:
            delete_segments(each)
            delete_half_written(each)
            for path in (*(each / name for name in names), *each.glob(SCREENSHOTS)):
                path.unlink(missing_ok=True)
        before_last()
        for each in folders:
            for name in () if findable else IDENTIFYING_NAMES:
                (each / name).unlink(missing_ok=True)
            kept = sorted(each.iterdir())
            if not kept:
                each.rmdir()
    except OSError as error:
        raise _refused(error, folder) from error
    return kept


def _refused(error: OSError, path: Path) -> DeviceError:
    return DeviceError(
        f"cannot erase {error.filename or path} ({error.strerror}). Check its permissions, then run the command again"
    )


def delete_segments(folder: Path, keep: str = "") -> None:
    """Delete the segments of an analysis that is not finished.

    Args:
        folder: the session's folder.
        keep: name of a file to keep, or "".

    Raises:
        OSError: a file cannot be deleted.
    """
    segments = folder / SEGMENTS_NAME
    if not segments.is_dir() or segments.is_symlink():
        return
    for path in segments.iterdir():
        if path.suffix in _WORK_ENDINGS and path.is_file() and path.name != keep:
            path.unlink()
    if not any(segments.iterdir()):
        segments.rmdir()


def delete_half_written(folder: Path) -> None:
    """Delete temporary files that killed programs left in a session's folder. No other program may be writing there.

    Raises:
        DeviceError: a file cannot be deleted.
    """
    try:
        for name in ALL_NAMES:
            for path in half_written(folder / name):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise DeviceError(f"cannot delete {error.filename}: {error.strerror}") from error


def erase_deleted(path: Path, wait_s: float = WAIT_S) -> None:
    """Remove the bytes of deleted rows from an SQLite database.

    Args:
        path: the database.
        wait_s: how long to wait for other programs, in seconds.

    Raises:
        DataError: not an SQLite database.
        DeviceError: another program holds the database, so the bytes may remain; run the command again.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", wait_s, isolation_level=None, uri=True)) as database:
            database.execute("PRAGMA secure_delete = ON")
            database.execute("PRAGMA temp_store = MEMORY")  # VACUUM's copy stays off the disk
            logged = database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            if not logged:
                database.execute("PRAGMA journal_mode = DELETE")  # a persistent journal would keep the old pages
            empty_log(database, path)
            database.execute("VACUUM")
            empty_log(database, path)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
        ):
            raise DeviceError(
                f"cannot erase from {path} ({error}). Close other programs that use it, then run the command again"
            ) from error
        if is_full(error):
            raise StorageError(f"cannot erase from {path} ({error}). Free some space, then run the command again") from error
        raise DataError(f"cannot erase from {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path} is not a complete SQLite database ({error})") from error


def empty_log(database: sqlite3.Connection, path: Path) -> None:
    """Checkpoint and truncate the write-ahead log, which may contain deleted data.

    Raises:
        DeviceError: another program is reading.
    """
    busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise DeviceError(
            f"another program reads {path}, so erased rows are still in its log. Close it, then run the command again"
        )
