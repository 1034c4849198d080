"""One writer at a time, over processes: a lock on a file beside the one that is written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mien.errors import DeviceError

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: IO[bytes]) -> None:
        msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _lock(handle: IO[bytes]) -> None:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX)


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Wait until nobody else writes ``path``, and keep others waiting until the block ends.

    The lock ends with its process, so a kill leaves no lock behind; its empty file stays.

    Raises:
        DeviceError: the folder cannot be written, or the file system knows no locks.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        handle = lock_path.open("ab")
    except OSError as error:
        raise DeviceError(f"cannot write {lock_path} ({error.strerror}). Check the folder's permissions") from error
    with handle:
        try:
            _lock(handle)
        except OSError as error:
            raise DeviceError(f"cannot lock {lock_path} ({error.strerror}). Put the folder on a local disk") from error
        yield
