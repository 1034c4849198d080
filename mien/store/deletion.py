"""Deleting the folder of a session, and nothing in it that is not Mien's."""

from __future__ import annotations

from pathlib import Path

from mien.errors import DeviceError
from mien.store.names import ALL_NAMES


def delete_folder(folder: Path) -> list[Path]:
    """Delete a session's files, earlier sessions in its folder with it; return what is not Mien's and was left."""
    try:
        for path in sorted(folder.glob("earlier-*")):
            if path.is_dir():
                delete_folder(path)
        for path in (*(folder / name for name in ALL_NAMES), *folder.glob("screenshot-*.png")):
            path.unlink(missing_ok=True)
        left = sorted(folder.iterdir())
        if not left:
            folder.rmdir()
    except OSError as error:
        raise DeviceError(f"cannot delete {error.filename or folder}: {error.strerror}") from error
    return left
