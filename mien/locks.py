"""Who writes a file: one program at a time, and everybody can see whether somebody does.

A lock ends with its process, so a kill leaves none behind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mien.errors import DeviceError

_LOCKED_BYTE = 1 << 40
"""On Windows a locked byte cannot be read by others, so one far beyond the end is locked."""

if sys.platform == "win32":
    import msvcrt

    def _wait_for(handle: IO[bytes]) -> None:
        msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)

    def _try(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _wait_for(handle: IO[bytes]) -> None:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX)

    def _try(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Wait until nobody else writes ``path``, and keep others waiting until the block ends; an empty file beside it stays.

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
            _wait_for(handle)
        except OSError as error:
            raise DeviceError(f"cannot lock {lock_path} ({error.strerror}). Put the folder on a local disk") from error
        yield


def take(descriptor: int) -> bool:
    """Take an open file for this program until it ends or lets go; return whether that was possible."""
    try:
        _try(descriptor)
    except BlockingIOError:
        return False
    except OSError as error:
        # a file system without locks: better an unguarded file than none
        return sys.platform != "win32" or error.errno != 13
    return True


def is_in_use(path: Path) -> bool:
    """Return whether a running program has taken the file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not take(descriptor)
    finally:
        os.close(descriptor)
