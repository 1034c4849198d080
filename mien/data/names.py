"""How an image is called wherever the data stands: a folder, a zip, a zip with a folder around."""

from __future__ import annotations

from pathlib import PurePosixPath


def short_name(name: str) -> str:
    """Return the last three parts of an image's name, which are the same everywhere.

    >>> short_name("archive/train/happy/Training_1.jpg")
    'train/happy/Training_1.jpg'
    """
    return "/".join(PurePosixPath(name).parts[-3:])
