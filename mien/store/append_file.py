"""A file that grows by whole lines, and survives kills, full disks and its own removal.

Every line is handed to the operating system at once, so a killed program loses none that was
added. What a power cut could take is bounded by ``sync``. When the disk refuses half-way
through a line, the half is cut off again: what stands in the file stays readable.
"""

from __future__ import annotations

import os
from pathlib import Path

from mien.errors import DeviceError
from mien.locks import take


class AppendFile:
    """A file that one program adds lines to; others can see that it is in use.

    Args:
        path: the file; emptied.

    Raises:
        DeviceError: here or later, when the disk refuses, the file was removed, or another program adds to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fault: OSError | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        except OSError as error:
            raise DeviceError(f"cannot write to {path.parent}: {error.strerror}. Choose another folder with --out") from error
        if not take(self._descriptor):
            os.close(self._descriptor)
            raise DeviceError(f"{path} is being written by another session. Choose another folder with --out")
        self._size = 0
        self._dirty = False
        os.ftruncate(self._descriptor, 0)

    def append(self, text: str) -> None:
        """Add ``text``, which ends with a line's end, wholly or not at all."""
        self.check()
        data = memoryview(text.encode())
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise self._refused(error) from error
        self._size += done
        self._dirty = True

    def check(self) -> None:
        """Raise what ``sync`` met."""
        if self._fault is not None:
            raise self._refused(self._fault)

    def sync(self) -> None:
        """Bring all lines to the disk, and look whether the file is still there; may be called by another thread."""
        try:
            if self._dirty:
                self._dirty = False
                os.fsync(self._descriptor)
            if not (self.path.exists() and os.path.samestat(self.path.stat(), os.fstat(self._descriptor))):
                self._fault = FileNotFoundError(None, "it was removed while the session ran")
        except OSError as error:
            self._fault = error

    def close(self) -> None:
        """Bring all lines to the disk and let go of the file."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            os.close(self._descriptor)

    def _refused(self, error: OSError) -> DeviceError:
        """Return the sentence for what the disk refused."""
        if isinstance(error, FileNotFoundError):
            return DeviceError(f"cannot write {self.path}: {error.strerror}")
        return DeviceError(f"cannot write {self.path}: {error.strerror}. The lines written before are whole")


def end_of_last_line(path: Path) -> int:
    """Return how many bytes of a file are whole lines."""
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
