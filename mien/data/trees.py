"""A folder and a zip archive, seen as the same thing: a tree of names that can be read.

Nothing is unpacked: a zip is read in place. Links are not followed, and no entry larger
than ``MAX_ENTRY_BYTES`` is read, so a hostile archive cannot fill the memory or the disk.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from mien.errors import DataError

MAX_ENTRY_BYTES: Final = 64 * 1024 * 1024


class Tree(Protocol):
    """Named files below one root; names are relative, with forward slashes."""

    files: list[str]
    folders: set[str]

    def read(self, name: str) -> bytes:
        """Return the bytes of ``name``, or empty bytes when it cannot be read."""


class FolderTree:
    """The regular files below a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.files: list[str] = []
        self.folders: set[str] = set()
        for folder, subfolders, names in os.walk(root, followlinks=False):
            relative = Path(folder).relative_to(root)
            subfolders.sort()
            self.folders.update((relative / sub).as_posix() for sub in subfolders)
            self.files.extend((relative / name).as_posix() for name in sorted(names) if not name.startswith("."))

    def read(self, name: str) -> bytes:
        path = self._root / name
        try:
            return path.read_bytes() if path.stat().st_size <= MAX_ENTRY_BYTES else b""
        except OSError:
            return b""


class ZipTree:
    """The entries of a zip archive, read in place.

    Raises:
        DataError: the file is not a zip, or is cut short.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(
                f"{path} is not a whole zip archive ({error}). The download may have stopped early: fetch it again"
            ) from error
        infos = self._archive.infolist()
        self.files = sorted(info.filename for info in infos if not info.is_dir() and not _is_noise(info.filename))
        self.folders = {info.filename.rstrip("/") for info in infos if info.is_dir()}
        for name in self.files:
            self.folders.update(parent.as_posix() for parent in PurePosixPath(name).parents if parent.name)

    def read(self, name: str) -> bytes:
        try:
            if self._archive.getinfo(name).file_size > MAX_ENTRY_BYTES:
                return b""
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, RuntimeError, EOFError):
            return b""  # broken, encrypted or exotically compressed: reported as unreadable


def _is_noise(name: str) -> bool:
    """Tell whether ``name`` is an operating system's leftover, not data."""
    path = PurePosixPath(name)
    return path.name.startswith(".") or "__MACOSX" in path.parts
