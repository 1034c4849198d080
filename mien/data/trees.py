"""A common interface to folders and zip archives.

A zip is read in place and never unpacked. Links to folders are not followed, links to files
are. Entries larger than ``MAX_ENTRY_BYTES`` are not read, so a hostile archive cannot fill the
memory or the disk. Hidden files and folders and ``__MACOSX`` are ignored.
"""

from __future__ import annotations

import os
import stat
import struct
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Final, Protocol

from mien.errors import DataError

MAX_ENTRY_BYTES: Final = 64 * 1024 * 1024
_LINK: Final = "is a link, and links to folders are not followed. Replace it with the folder itself"
_NOT_A_ZIP: Final = (
    "{path} is not a complete zip archive ({error}). The download may be incomplete: download it again. "
    "A data set is a folder, a zip of it, or FER2013's CSV"
)


class Tree(Protocol):
    """Protocol of file trees; names are relative, with forward slashes.

    Attributes:
        files: names of all files, printable and valid UTF-8.
        folders: names of all folders.
        barred: folders that were not searched, with the reason as the end of a sentence.
    """

    files: list[str]
    folders: set[str]
    barred: dict[str, str]

    def read(self, name: str) -> bytes:
        """Return the bytes of ``name``, or empty bytes if it cannot be read; thread-safe."""


class FolderTree:
    """The files below a folder.

    Raises:
        DataError: the folder cannot be opened.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._odd: dict[str, str] = {}  # names that are not UTF-8: displayed name -> name on disk
        self.files: list[str] = []
        self.folders: set[str] = set()
        self.barred: dict[str, str] = {}
        top = str(root)
        for folder, subfolders, names in os.walk(top, followlinks=False, onerror=self._bar):
            relative = os.path.relpath(folder, top).replace(os.sep, "/")
            before = "" if relative == "." else relative + "/"
            subfolders[:] = sorted(name for name in subfolders if not _is_noise(name))
            for name in subfolders:
                shown = self._shown(before + name)
                self.folders.add(shown)
                if os.path.islink(f"{folder}/{name}"):  # noqa: PTH114 - pathlib's raises where the folder is closed
                    self.barred[shown] = _LINK
            self.files.extend(self._shown(before + name) for name in sorted(names) if not _is_noise(name))

    def read(self, name: str) -> bytes:
        path = self._root / self._odd.get(name, name)
        try:
            facts = path.stat()
            # a pipe or a device may never end
            return path.read_bytes() if stat.S_ISREG(facts.st_mode) and facts.st_size <= MAX_ENTRY_BYTES else b""
        except OSError:
            return b""

    def _bar(self, error: OSError) -> None:
        """Record a folder that cannot be listed."""
        relative = os.path.relpath(error.filename, self._root).replace(os.sep, "/")
        if relative == ".":
            raise DataError(f"cannot open the folder {self._root} ({error.strerror}). Check its permissions") from error
        self.barred[self._shown(relative)] = f"cannot be opened ({error.strerror}): check its permissions"

    def _shown(self, name: str) -> str:
        """Return ``name`` as valid text; bytes that are not UTF-8 become ``\\xNN``."""
        if name.isascii():
            return name
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if shown != name:
            self._odd[shown] = name
        return shown


class ZipTree:
    """The entries of a zip archive, read in place.

    Raises:
        DataError: the file is not a zip, is truncated, or has names that lead outside.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except PermissionError as error:
            raise DataError(f"cannot open {path} ({error.strerror}). Check its permissions") from error
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise DataError(_NOT_A_ZIP.format(path=path, error=error)) from error
        self._lock = threading.Lock()
        self._infos: dict[str, zipfile.ZipInfo] = {}
        self.folders: set[str] = set()
        self.barred: dict[str, str] = {}
        for info in self._archive.infolist():
            name = _entry_name(info)
            if name in ("", "."):  # some tools store the folder itself, as "./"
                continue
            parts = name.split("/")
            if parts[0] == "" or ".." in parts or (len(parts[0]) == 2 and parts[0][1] == ":"):
                raise DataError(
                    f"{path} contains the name {info.filename!r}, which leads out of the archive. "
                    "Nothing was read. Pack the folder again with relative names"
                )
            if any(map(_is_noise, parts)):
                continue
            if info.is_dir():
                self._add_folder(name.rstrip("/"))
                continue
            if stat.S_ISLNK(info.external_attr >> 16) and "." not in parts[-1]:
                self.barred[name] = _LINK
                self._add_folder(name)
                continue
            self._infos[name] = info
            self._add_folder(name.rpartition("/")[0])
        self.files = sorted(self._infos)

    def read(self, name: str) -> bytes:
        info = self._infos[name]
        if info.file_size > MAX_ENTRY_BYTES:
            return b""
        try:
            with self._lock, self._archive.open(info) as entry:
                # never more than the declared size, which is also where the checksum is verified
                return entry.read(info.file_size)
        except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error):
            return b""  # broken, encrypted or unsupported compression: reported as unreadable

    def _add_folder(self, name: str) -> None:
        """Add a folder and all folders above it."""
        while name and name not in self.folders:
            self.folders.add(name)
            name = name.rpartition("/")[0]


def _entry_name(info: zipfile.ZipInfo) -> str:
    """Return the name of an entry with forward slashes.

    macOS writes UTF-8 without the flag; ``zipfile`` decodes such names as code page 437.
    """
    name = info.filename
    if not name.isascii() and not info.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.filename
    return name.replace("\\", "/").removeprefix("./")


def _is_noise(name: str) -> bool:
    """Return whether a name belongs to metadata of an operating system, not to data."""
    return name.startswith(".") or name == "__MACOSX"
