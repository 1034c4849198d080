"""An append-only text file that survives kills and full disks, and detects its removal.

Each line is passed to the operating system at once, so a killed program loses none; ``sync`` limits
the loss on a power failure. A line that was only written in part is removed again, so the file stays
readable.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mien.errors import DeviceError, StorageError, write_error
from mien.files import folder_error, open_private
from mien.locks import take


class AppendFile:
    """A file that one program appends lines to; other programs can see that it is in use.

    Args:
        path: the file; its content is discarded.

    Raises:
        DeviceError: here or later, if the file cannot be written, was removed, or is in use by another program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fault: OSError | None = None
        try:
            self._descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise folder_error(path.parent, error) from error
        if not take(self._descriptor):
            os.close(self._descriptor)
            raise DeviceError(f"{path} is being written by another session. Choose another folder with --out")
        self._size = 0
        self._dirty = self._closed = False
        os.ftruncate(self._descriptor, 0)

    def append(self, text: str) -> None:
        """Append ``text``, which ends with a newline, completely or not at all."""
        self.check()
        data = memoryview(text.encode())
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError as error:
            with suppress(OSError):  # if this fails too, readers skip the incomplete line
                os.ftruncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise self._refused(error) from error
        self._size += done
        self._dirty = True

    def check(self) -> None:
        """Raise the error that ``sync`` met, if any."""
        if self._fault is not None:
            raise self._refused(self._fault)

    def sync(self) -> None:
        """Sync all lines to disk and check that the file still exists; may be called from another thread."""
        try:
            if self._dirty:
                self._dirty = False
                os.fsync(self._descriptor)
            if not (self.path.exists() and os.path.samestat(self.path.stat(), os.fstat(self._descriptor))):
                self._fault = FileNotFoundError(None, "it was removed while the session ran")
        except OSError as error:
            self._fault = error

    def close(self) -> None:
        """Sync all lines to disk and close the file; does nothing if it is closed."""
        if self._closed:
            return
        self._closed = True  # even if closing fails: the descriptor is soon used for another file
        try:
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> DeviceError:
        """Return the error to raise for a failed write."""
        if isinstance(error, FileNotFoundError):
            return StorageError(f"cannot write {self.path}: {error.strerror}")
        return write_error(f"cannot write {self.path}: {error.strerror}. Lines written before are intact", error)


def end_of_last_line(path: Path) -> int:
    """Return the offset of the end of the last complete line, in bytes."""
    with path.open("rb") as handle:
        at = handle.seek(0, os.SEEK_END)
        while at > 0:
            start = max(0, at - 65536)
            handle.seek(start)
            found = handle.read(at - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            at = start
    return 0
