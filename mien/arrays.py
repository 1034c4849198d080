"""Reading of untrusted ``.npz`` archives: numeric arrays only, within a memory limit.

``numpy.load`` allocates as many values as a header claims and unpacks everything in an archive.
Here the claims are checked against the actual bytes before anything is allocated.
"""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mien.documents import read_limited

_ENDING: Final = ".npy"
_KINDS: Final = frozenset("biuf")
"""Accepted dtype kinds: bool, integer and float."""
BROKEN: Final = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error),
    *(KeyError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, OverflowError, MemoryError),
)
"""Exceptions besides OSError and ValueError that damaged archives raise."""


def read_arrays(path: Path, max_bytes: int, max_unpacked_bytes: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive by name.

    Args:
        path: the file.
        max_bytes: maximum size of the file.
        max_unpacked_bytes: maximum total size of the arrays.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is too large, damaged, or contains anything but numeric arrays.
    """
    data = read_limited(path, max_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            claimed = sum(info.file_size for info in infos)
            if claimed > max_unpacked_bytes:
                raise ValueError(f"it unpacks to {claimed:,} bytes, at most {max_unpacked_bytes:,} are read")
            return {info.filename.removesuffix(_ENDING): _array(_content(archive, info)) for info in infos}
    except BROKEN as error:
        raise ValueError(f"cut short or damaged ({type(error).__name__})") from error


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as entry:
        return entry.read(info.file_size)  # at most the claimed size


def _array(data: bytes) -> NDArray[Any]:
    """Return the array in an ``.npy`` file."""
    handle = io.BytesIO(data)
    version = npy.read_magic(handle)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_column, dtype = read_header(handle)
    if dtype.kind not in _KINDS or any(side < 0 for side in shape):
        raise ValueError(f"an array of dtype {dtype} and shape {shape} is not numeric")
    left = len(data) - handle.tell()
    if prod(shape) * dtype.itemsize != left:
        raise ValueError(f"an array claims {prod(shape):,} values, but has {left:,} bytes")
    values = np.frombuffer(data, dtype, offset=handle.tell()).reshape(shape, order="F" if by_column else "C")
    return np.array(values)  # a writable copy in native byte order
