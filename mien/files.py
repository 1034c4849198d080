"""Atomic writing of files, and private permissions.

Content is written to a temporary file in the same folder, which is then renamed to the target. A
kill therefore leaves either the old or the new file. Data about people is written with ``private``:
only the owner may read the file, regardless of the umask. Windows has no such modes; there the
user's profile folder protects the files.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, DeviceError, UsageError, write_error

_PUBLIC_MODE: Final = 0o644
PRIVATE_MODE: Final = 0o600
_PRIVATE_FOLDER_MODE: Final = 0o700
_MAX_NAME_BYTES: Final = 200
_NOT_IN_NAMES: Final = frozenset("/\\:")


@contextmanager
def atomic_path(target: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path that is renamed to ``target`` on a clean exit.

    Args:
        target: the file.
        private: whether only the owner may read the file and the folders created for it.

    Raises:
        DeviceError: the folder cannot be created or written.
        StorageError: the disk is full, or the folder was removed.
    """
    try:
        if private:
            _make_private(target.parent)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
        # keep the suffix, by which image writers choose their format
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
        os.close(handle)
    except OSError as error:
        raise folder_error(target, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(PRIVATE_MODE if private else _PUBLIC_MODE)
        temporary.replace(target)
    except OSError as error:
        message = f"cannot write {target}: {error.strerror or error}. Free some space or choose another folder"
        raise write_error(message, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def folder_error(path: Path, error: OSError) -> DeviceError:
    """Return the error for a path whose folder cannot be created or written; it names a file that is in the way."""
    in_the_way = isinstance(error, (FileExistsError, NotADirectoryError))
    blocking = next((each for each in (path, *path.parents) if each.is_file()), None) if in_the_way else None
    reason = error.strerror if blocking is None else f"{blocking} is a file, not a folder"
    return write_error(f"cannot write {path}: {reason}. Choose another folder, or check its permissions", error)


def half_written(target: Path) -> list[Path]:
    """Return the temporary files of ``target`` that killed programs left; nobody may be writing ``target`` now."""
    return sorted(target.parent.glob(f".{glob.escape(target.stem)}-{'?' * 8}{glob.escape(target.suffix)}"))


def remove_half_written(*targets: Path) -> None:
    """Delete the files that ``half_written`` finds for each target.

    Raises:
        DeviceError: one cannot be deleted.
    """
    for path in (each for target in targets for each in half_written(target)):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(f"cannot delete {path}: {error.strerror}. Check the folder's permissions", error) from error


def write_text(target: Path, text: str, *, private: bool = False) -> None:
    """Write ``text`` to ``target`` atomically, as UTF-8; ``private`` as for ``atomic_path``."""
    with atomic_path(target, private=private) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")  # file names may not be valid Unicode


def write_json(target: Path, document: Any, *, private: bool = False) -> None:
    """Write ``document`` to ``target`` atomically, as indented JSON without NaN; ``private`` as for ``atomic_path``."""
    write_text(target, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", private=private)


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Check that an output file of a command does not exist yet, unless it may be overwritten.

    Raises:
        UsageError: the file exists.
    """
    if target.exists() and not overwrite:
        raise UsageError(f"{target} already exists. Choose another file with --out, or replace it with --overwrite")


def copy_file(source: Path, target: Path, *, private: bool = False) -> None:
    """Copy a file atomically; ``private`` as for ``atomic_path``.

    Raises:
        DeviceError: the file cannot be written.
    """
    with atomic_path(target, private=private) as temporary:
        shutil.copyfile(source, temporary)


def private_folder(folder: Path) -> Path:
    """Create a folder and its missing parents, accessible by the owner only, and return it; an existing one is unchanged.

    Raises:
        DeviceError: the folder cannot be created.
    """
    try:
        _make_private(folder)
    except OSError as error:
        raise write_error(f"cannot create the folder {folder}: {error.strerror}. Choose another folder", error) from error
    return folder


def open_private(path: Path, flags: int, *, follow: bool = False) -> int:
    """Open a file that only its owner may read, and return its descriptor; permissions of an existing file are restricted.

    Args:
        path: the file; its folder is created if missing.
        flags: as for ``os.open``.
        follow: whether the file may be a symbolic link; links in untrusted folders may lead anywhere.

    Raises:
        OSError: the file cannot be opened, or is a link.
    """
    _make_private(path.parent)
    more = getattr(os, "O_BINARY", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    descriptor = os.open(path, flags | more, PRIVATE_MODE)
    close_to_others(path)
    return descriptor


def make_private(path: Path) -> None:
    """Create an empty file that only its owner may read, before a library creates it with default permissions.

    Raises:
        OSError: the file cannot be created.
    """
    os.close(open_private(path, os.O_RDONLY | os.O_CREAT, follow=True))


def close_to_others(path: Path) -> None:
    """Restrict a file's permissions to its owner; a missing file, or another user's, is left unchanged."""
    with suppress(OSError):
        if path.stat().st_mode & 0o077:
            path.chmod(PRIVATE_MODE)


def unicode_path(path: Path | str) -> str:
    """Return a path as a string for libraries that require valid Unicode; OpenCV aborts the process otherwise.

    Raises:
        DataError: the path is not valid UTF-8.
    """
    text = str(path)
    if not is_unicode(text):
        raise DataError(f"the name {text!r} is not UTF-8, so it cannot be opened. Rename the file or its folder")
    return text


def is_unicode(text: str) -> bool:
    """Return whether a string is valid Unicode; file names, arguments and environment variables may not be.

    >>> is_unicode("Vorlesung ä.mp4"), is_unicode("Vorlesung \\udce4.mp4")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_file_name(text: str) -> bool:
    """Return whether an untrusted string can be used as the name of a file or a folder on any system.

    A valid name is a single path component. Untrusted strings must pass this check before they become part of a path.

    >>> [is_file_name(text) for text in ("2026-03-04_09-30-00-k3f9", "lesson 1", "..", "../up", "C:x", "")]
    [True, True, False, False, False, False]
    """
    return (
        is_unicode(text)
        and len(text.encode()) <= _MAX_NAME_BYTES
        and text.isprintable()
        and not _NOT_IN_NAMES & set(text)
        and text.strip(" .") != ""
    )


def _make_private(folder: Path) -> None:
    """Create a folder and its missing parents, accessible by the owner only."""
    missing = []
    while not folder.is_dir() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(_PRIVATE_FOLDER_MODE, exist_ok=True)


def refuse_large(path: Path, max_bytes: int, what: str) -> None:
    """Check the size of a file before it is read; a missing file passes.

    Args:
        path: the file.
        max_bytes: maximum size of the file.
        what: name of the file in errors, such as ``the votes``.

    Raises:
        DataError: the file is too large, or is a device.
    """
    try:
        facts = path.stat()
    except OSError:
        return  # reported when the file is opened
    if stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode):
        raise DataError(f"{what} {path} is a device. Name a file")
    if facts.st_size > max_bytes:
        raise DataError(f"{what} {path} has {facts.st_size:,} bytes, at most {max_bytes:,} are read. Is it the right file?")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
