"""Which bundle a name stands for after a promotion, and the way back.

Promoted bundles are copied into the user's data folder under their hash. One file says what was
promoted and rolled back, and when; it is replaced whole, so a reader finds the old state or
the new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mien.errors import BundleError, UsageError
from mien.files import copy_file, file_hash, write_json
from mien.locks import one_writer
from mien.places import data_folder

FILE_NAME: Final = "promoted.json"
PROMOTE: Final = "promote"
ROLL_BACK: Final = "rollback"
_BESIDE: Final = (".json", ".reference.npz")


@dataclass(frozen=True, slots=True)
class Change:
    """One promotion or one way back.

    Attributes:
        at: when, in UTC.
        action: ``promote`` or ``rollback``.
        name: which name's bundle changed.
        sha256: of the bundle that the name stands for since; "" for the packaged one.
        before: of the one before; "" for the packaged one.
    """

    at: str
    action: str
    name: str
    sha256: str
    before: str


def promoted_file() -> Path:
    """Return the file that says what was promoted."""
    return data_folder() / FILE_NAME


def history() -> list[Change]:
    """Return all changes, oldest first.

    Raises:
        BundleError: the file is broken.
    """
    path = promoted_file()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [Change(**{key: str(row[key]) for key in ("at", "action", "name", "sha256", "before")}) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{path} is broken, so which bundle is in use cannot be known ({type(error).__name__}). "
            "Remove it to use the packaged bundles"
        ) from error


def promoted_bundle(name: str) -> Path | None:
    """Return the file that a name stands for by promotion, None for the packaged one.

    Raises:
        BundleError: it is gone, or the history is broken.
    """
    current = _current(name, history())
    if not current:
        return None
    path = _stored(current)
    if not path.is_file():
        raise BundleError(f"the bundle promoted to {name} is gone from {path}. Go back with: mien models rollback {name}")
    return path


def promote(name: str, bundle: Path, expected_before: str, packaged: str) -> Change:
    """Let ``name`` stand for a bundle from now on; it is copied, with what stands beside it.

    Args:
        name: of a packaged bundle.
        bundle: the file.
        expected_before: SHA-256 of the bundle that the name is taken to stand for now.
        packaged: SHA-256 of the packaged bundle of that name.

    Raises:
        UsageError: the name stands for another bundle by now, or for this one.
        BundleError: the history is broken.
        DeviceError: the disk refuses.
    """
    with _changing() as changes:
        before, sha256 = _current(name, changes), file_hash(bundle)
        now = before or packaged
        if now == sha256:
            raise UsageError(f"{name} is this bundle already")
        if now != expected_before:
            raise UsageError(
                f"the candidate was held against {expected_before[:12]}, and {name} is {now[:12]} by now. Retrain from that one"
            )
        target = _stored(sha256)
        for ending in _BESIDE:
            if bundle.with_suffix(ending).is_file():
                copy_file(bundle.with_suffix(ending), target.with_suffix(ending))
        copy_file(bundle, target)
        return _note(changes, PROMOTE, name, sha256, before)


def roll_back(name: str) -> Change:
    """Let ``name`` stand for what it stood for before its last promotion.

    Raises:
        UsageError: it stands for the packaged bundle.
    """
    with _changing() as changes:
        current = _current(name, changes)
        if not current:
            raise UsageError(f"{name} is the packaged bundle; there is nothing to go back from")
        promotion = next(row for row in reversed(changes) if row.name == name and row.action == PROMOTE and row.sha256 == current)
        return _note(changes, ROLL_BACK, name, promotion.before, current)


def _current(name: str, changes: list[Change]) -> str:
    return next((row.sha256 for row in reversed(changes) if row.name == name), "")


def _stored(sha256: str) -> Path:
    return data_folder() / "models" / f"{sha256}.onnx"


def _note(changes: list[Change], action: str, name: str, sha256: str, before: str) -> Change:
    change = Change(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), action, name, sha256, before)
    write_json(promoted_file(), [asdict(row) for row in (*changes, change)])
    return change


@contextmanager
def _changing() -> Iterator[list[Change]]:
    """Yield the history while nobody else may change it."""
    with one_writer(promoted_file()):
        yield history()
