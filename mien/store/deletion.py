"""Deleting the folder of a session, and nothing in it that is not Mien's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mien.errors import DeviceError
from mien.store.names import ALL_NAMES, ANNOTATED_NAME, SEGMENTS_NAME

_WORK_ENDINGS: Final = frozenset({".csv", ".json", ".npz", ".lock"})


def delete_folder(folder: Path) -> list[Path]:
    """Delete a session's files, earlier sessions in its folder with it; return what is not Mien's and was left."""
    try:
        for path in sorted(folder.glob("earlier-*")):
            if path.is_dir():
                delete_folder(path)
        delete_segments(folder)
        delete_half_drawn(folder)
        for path in (*(folder / name for name in ALL_NAMES), *folder.glob("screenshot-*.png")):
            path.unlink(missing_ok=True)
        left = sorted(folder.iterdir())
        if not left:
            folder.rmdir()
    except OSError as error:
        raise DeviceError(f"cannot delete {error.filename or folder}: {error.strerror}") from error
    return left


def delete_segments(folder: Path, keep: str = "") -> None:
    """Delete what the analysis of a recording keeps in a folder while it is not finished.

    Args:
        folder: the session's folder.
        keep: name of a file that stays, "" for none.

    Raises:
        OSError: the disk refuses.
    """
    segments = folder / SEGMENTS_NAME
    if not segments.is_dir() or segments.is_symlink():
        return
    for path in segments.iterdir():
        if path.suffix in _WORK_ENDINGS and path.is_file() and path.name != keep:
            path.unlink()
    if not any(segments.iterdir()):
        segments.rmdir()


def delete_half_drawn(folder: Path) -> None:
    """Delete the videos that a killed program had begun to draw.

    Raises:
        OSError: the disk refuses.
    """
    drawn = Path(ANNOTATED_NAME)
    for path in folder.glob(f".{drawn.stem}-*{drawn.suffix}"):
        path.unlink(missing_ok=True)
