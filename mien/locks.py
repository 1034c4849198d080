"""File locks: one writer at a time, and a check whether a file is in use.

A lock is released when its process ends, so a kill leaves no stale lock. ``one_writer`` uses
filelock. ``take`` locks an already open data file, which filelock does not support.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import BaseFileLock, FileLock, Timeout

from mien.errors import DeviceError, UsageError, write_error
from mien.files import PRIVATE_MODE, folder_error, make_private

LOCK_NAME: Final = "run.lock"
"""Name of the lock file in a run's folder."""
WAIT_S: Final = 30.0
"""How long ``one_writer`` waits for another writer."""
_LOCKED_BYTE: Final = 1 << 40
"""On Windows, locked bytes cannot be read by others, so a byte far beyond the end is locked."""

if sys.platform == "win32":
    import msvcrt

    def _try(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _try(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` for the block, waiting for other writers. The lock file beside it is kept.

    Raises:
        DeviceError: another process holds the lock for longer than ``WAIT_S``, the folder cannot be written, or the file
            system does not support locks.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        make_private(lock_path)  # filelock does not create private folders or restrict existing files
    except OSError as error:
        raise write_error(f"cannot write {lock_path} ({error.strerror}). Check the folder's permissions", error) from error
    try:
        lock = FileLock(lock_path, WAIT_S, mode=PRIVATE_MODE, fallback_to_soft=False)
        with _held(lock):
            yield
    except Timeout as error:
        raise DeviceError(
            f"{path} has been locked by other programs for {WAIT_S:g} s. Wait until they end or "
            "stop them, then run the command again"
        ) from error


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a run's folder, which is made if missing, for the block; do not wait for another writer.

    Raises:
        UsageError: another process holds the lock.
        DeviceError: the folder cannot be written, or the file system does not support locks.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK_NAME).touch()
    except OSError as error:
        raise folder_error(folder, error) from error
    try:
        with _held(FileLock(folder / LOCK_NAME, blocking=False, fallback_to_soft=False)):
            yield
    except Timeout as error:
        raise UsageError(f"another process is writing to {folder}. Wait for it, stop it, or choose another folder") from error


@contextmanager
def _held(lock: BaseFileLock) -> Iterator[None]:
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise DeviceError(f"cannot lock {lock.lock_file} ({error.strerror}). Put the folder on a local disk") from error
    try:
        yield
    finally:
        lock.release()


def take(descriptor: int) -> bool:
    """Lock an open file until it is closed or the process ends; return False if another process has locked it."""
    try:
        _try(descriptor)
    except BlockingIOError:
        return False
    except OSError as error:
        # on a file system without locks, continue without one
        return sys.platform != "win32" or error.errno != 13
    return True


def is_in_use(path: Path) -> bool:
    """Return whether a running process has locked the file with ``take``."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not take(descriptor)
    finally:
        os.close(descriptor)
