"""Promotions of bundles on this computer, and rollbacks.

Promoted bundles are copied into the user's data folder, named by their hash. One file holds the
history of promotions and rollbacks. It is replaced atomically, so a reader sees either the old
or the new state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from mien.documents import conform, load_json
from mien.errors import BundleError, UsageError
from mien.files import copy_file, file_hash, write_json
from mien.locks import one_writer
from mien.places import data_folder

FILE_NAME: Final = "promoted.json"
PROMOTE: Final = "promote"
ROLL_BACK: Final = "rollback"
Action = Literal["promote", "rollback"]
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_COMPANIONS: Final = (".json", ".reference.npz")


@dataclass(frozen=True, slots=True)
class Change:
    """A promotion or a rollback.

    Attributes:
        at: time in UTC, as ``YYYY-MM-DDTHH:MM:SSZ``.
        action: ``promote`` or ``rollback``.
        name: name of the packaged bundle that was replaced.
        sha256: hash of the bundle deployed by this change; "" for the packaged one.
        before: hash of the bundle deployed before; "" for the packaged one.
    """

    at: str
    action: Action
    name: str
    sha256: str
    before: str

    def __post_init__(self) -> None:
        for text in (self.sha256, self.before):  # used as file names
            if text and not _SHA256.fullmatch(text):
                raise ValueError(f"{text[:80]!r} is not a SHA-256")


Recorder = Callable[[Change], object]


def promoted_file() -> Path:
    """Return the path of the file that records promotions."""
    return data_folder() / FILE_NAME


def history() -> list[Change]:
    """Return all changes, oldest first.

    Raises:
        BundleError: the file is broken.
    """
    path = promoted_file()
    try:
        return list(conform(load_json(path), list[Change], FILE_NAME))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path} is broken, so the deployed bundle is unknown ({error}). Remove the file to use the packaged bundles"
        ) from error


def promoted_bundle(name: str) -> Path | None:
    """Return the bundle promoted to ``name``, verified by its hash, or None if the packaged bundle is deployed.

    Raises:
        BundleError: the bundle is missing or was changed, or the history is broken.
    """
    current = _current(name, history())
    if not current:
        return None
    path = _copy_of(current)
    if not path.is_file():
        raise BundleError(f"the bundle promoted to {name} is missing from {path}. Go back with: mien models rollback {name}")
    if file_hash(path) != current:
        raise BundleError(
            f"the bundle promoted to {name} was changed: {path} has a different SHA-256. Go back with: "
            f"mien models rollback {name}"
        )
    return path


def promote(
    name: str, bundle: Path, expected_sha256: str, packaged: str, record: Recorder, failed: Recorder = lambda change: None
) -> Change:
    """Deploy a bundle under ``name``; the bundle, its record and its drift reference are copied.

    Args:
        name: name of a packaged bundle.
        bundle: the file to deploy.
        expected_sha256: SHA-256 of the bundle that the caller believes to be deployed.
        packaged: SHA-256 of the packaged bundle.
        record: called with the change before it takes effect; if it raises, nothing is deployed.
        failed: called with the change if it was recorded and could not take effect.

    Raises:
        UsageError: another bundle than expected is deployed, or this one already is.
        BundleError: the history is broken.
        DeviceError: a file cannot be written.
    """
    with _locked_history() as changes:
        before, sha256 = _current(name, changes), file_hash(bundle)
        now = before or packaged
        if now == sha256:
            raise UsageError(f"this bundle is already deployed as {name}")
        if now != expected_sha256:
            raise UsageError(
                f"the candidate was compared with {expected_sha256[:12]}, but {name} is now {now[:12]}. "
                "Run mien retrain again with the deployed bundle"
            )
        target = _copy_of(sha256)
        for ending in _COMPANIONS:
            if bundle.with_suffix(ending).is_file():
                copy_file(bundle.with_suffix(ending), target.with_suffix(ending))
        copy_file(bundle, target)
        return _append(changes, PROMOTE, name, sha256, before, record, failed)


def roll_back(name: str, record: Recorder, failed: Recorder = lambda change: None) -> Change:
    """Undo the last promotion of ``name``.

    Args:
        name: name of a packaged bundle.
        record: called with the change before it takes effect; if it raises, nothing is undone.
        failed: called with the change if it was recorded and could not take effect.

    Raises:
        UsageError: the packaged bundle is deployed, so there is nothing to undo.
        BundleError: the history is broken.
    """
    with _locked_history() as changes:
        current = _current(name, changes)
        if not current:
            raise UsageError(f"{name} is the packaged bundle; there is no promotion to undo")
        promotions = [row for row in changes if (row.name, row.action, row.sha256) == (name, PROMOTE, current)]
        return _append(changes, ROLL_BACK, name, promotions[-1].before if promotions else "", current, record, failed)


def _current(name: str, changes: list[Change]) -> str:
    return next((row.sha256 for row in reversed(changes) if row.name == name), "")


def _copy_of(sha256: str) -> Path:
    return data_folder() / "models" / f"{sha256}.onnx"


def _append(
    changes: list[Change], action: Action, name: str, sha256: str, before: str, record: Recorder, failed: Recorder
) -> Change:
    change = Change(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), action, name, sha256, before)
    record(change)
    try:
        write_json(promoted_file(), [asdict(row) for row in (*changes, change)])
    except BaseException:
        failed(change)
        raise
    return change


@contextmanager
def _locked_history() -> Iterator[list[Change]]:
    """Yield the history while other processes are locked out."""
    with one_writer(promoted_file()):
        yield history()
