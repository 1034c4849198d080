"""Writing files so that a kill leaves the old file or the new one, never a half.

Content goes to a temporary name in the same folder and is renamed over the target, which
is atomic on every file system the program supports.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mien.errors import DataError, DeviceError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that becomes ``target`` on a clean exit.

    Raises:
        DeviceError: the folder cannot be made or written, or the disk is full.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # the target's ending is kept: picture writers choose their format by it
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
        os.close(handle)
    except OSError as error:
        raise DeviceError(f"cannot write {target}: {error.strerror}. Choose another folder with --out") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise DeviceError(f"cannot write {target}: {error.strerror}. Free some space or choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` to ``target`` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, document: Any) -> None:
    """Write ``document`` to ``target`` as indented JSON, atomically; NaN is refused."""
    write_text(target, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, atomically.

    Raises:
        DeviceError: the disk refuses.
    """
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def refuse_large(path: Path, max_bytes: int, what: str) -> None:
    """Refuse a file that is too large for what it should be, before it fills the memory; one that is not there passes.

    Args:
        path: the file.
        max_bytes: how large it may be.
        what: how the error calls it, such as ``the votes``.

    Raises:
        DataError: it is larger, or a device, which never ends.
    """
    try:
        facts = path.stat()
    except OSError:
        return  # whoever opens it says why it cannot be
    if stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode):
        raise DataError(f"{what} {path} is a device. Name a file")
    if facts.st_size > max_bytes:
        raise DataError(f"{what} {path} has {facts.st_size:,} bytes, at most {max_bytes:,} are read. Is it the right file?")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
