"""Promotions of bundles on this computer, and rollbacks.

Promoted bundles are copied into the user's data folder, named by their hash. One file holds the
history of promotions and rollbacks. It is replaced atomically, so a reader sees either the old
or the new state. A second file holds the change in progress. If that change was logged but did not
take effect, because of a kill or a full disk, this is detected and logged as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Protocol

from mien.documents import conform, load_json, record_from
from mien.errors import BundleError, DataError, MienError, UsageError, write_error
from mien.files import copy_file, file_hash, remove_half_written, write_json
from mien.locks import one_writer
from mien.places import data_folder

FILE_NAME: Final = "promoted.json"
_BEGUN_NAME: Final = "promoted.begun.json"
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


@dataclass(frozen=True, slots=True)
class _Begun:
    """A change that was begun, and where it is logged."""

    place: str
    change: Change


class ChangeLog(Protocol):
    """Log of changes.

    Attributes:
        place: where the log is; it may differ from one change to the next.
    """

    place: str

    def record(self, change: Change) -> object:
        """Log a change before it takes effect; if this raises, the change is not made."""

    def record_failure(self, name: str, sha256: str, place: str) -> object:
        """Log at ``place`` that a change of the bundle ``name`` did not take effect, and the deployed one ("" if packaged)."""


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
    except (FileNotFoundError, NotADirectoryError):  # the home folder may be /dev/null
        return []
    except OSError as error:
        raise BundleError(
            f"cannot read {path} ({error.strerror}), so the deployed bundle is unknown. Check its permissions"
        ) from error
    except ValueError as error:
        raise BundleError(
            f"{path} is broken, so the deployed bundle is unknown ({error}). Remove the file to use the packaged bundles"
        ) from error


def failed_change() -> Change | None:
    """Return the last change if it did not take effect and the log does not say so yet; the next change logs that first.

    Raises:
        BundleError: the history is broken.
        DeviceError: a change is being made, and the folder cannot be written.
    """
    if _begun() is None:
        return None
    with one_writer(promoted_file()):
        failed = _failed()
    return None if failed is None else failed.change


def promoted_bundle(name: str) -> Path | None:
    """Return the bundle promoted to ``name``, verified by its hash, or None if the packaged bundle is deployed.

    Raises:
        BundleError: the bundle is missing or was changed, or the history is broken.
    """
    current = _current(name, history())
    if not current:
        return None
    if fault := _fault(current):
        raise BundleError(
            f"the bundle promoted to {name} cannot be used, because {_copy_of(current)} {fault}. "
            f"Go back with: mien models rollback {name}"
        )
    return _copy_of(current)


def promote(name: str, bundle: Path, expected_sha256: str, packaged: str, log: ChangeLog) -> Change:
    """Deploy a bundle under ``name``; the bundle, its record and its drift reference are copied.

    Args:
        name: name of a packaged bundle.
        bundle: the file to deploy.
        expected_sha256: SHA-256 of the bundle that the caller believes to be deployed.
        packaged: SHA-256 of the packaged bundle.
        log: records the change before it takes effect.

    Raises:
        UsageError: another bundle than expected is deployed, or this one already is.
        BundleError: the history is broken.
        DeviceError: a file cannot be written.
    """
    with _locked_history(log) as changes:
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
        _copy(bundle, target)
        return _append(changes, PROMOTE, name, sha256, before, log)


def roll_back(name: str, log: ChangeLog) -> Change:
    """Undo the last promotion of ``name``.

    Args:
        name: name of a packaged bundle.
        log: records the change before it takes effect.

    Raises:
        UsageError: the packaged bundle is deployed, so there is nothing to undo.
        BundleError: the previous bundle is missing or was changed, or the history is broken.
    """
    with _locked_history(log) as changes:
        current = _current(name, changes)
        if not current:
            raise UsageError(f"{name} is the packaged bundle; there is no promotion to undo")
        promotions = [row for row in changes if (row.name, row.action, row.sha256) == (name, PROMOTE, current)]
        before = promotions[-1].before if promotions else ""
        if before and (fault := _fault(before)):
            raise BundleError(
                f"cannot go back to the previous bundle, because {_copy_of(before)} {fault}. "
                f"Restore this file, or remove {promoted_file()} to use the packaged bundles"
            )
        return _append(changes, ROLL_BACK, name, before, current, log)


def _current(name: str, changes: list[Change]) -> str:
    return next((row.sha256 for row in reversed(changes) if row.name == name), "")


def _copy_of(sha256: str) -> Path:
    return data_folder() / "models" / f"{sha256}.onnx"


def _fault(sha256: str) -> str:
    """Return why the copy of a bundle cannot be used, or ""."""
    path = _copy_of(sha256)
    if not path.is_file():
        return "is missing"
    return "" if file_hash(path) == sha256 else "was changed (its SHA-256 differs)"


def _copy(bundle: Path, target: Path) -> None:
    """Copy a bundle's companions, then the bundle; delete companions of an earlier copy."""
    for ending in _COMPANIONS:
        source, copy = bundle.with_suffix(ending), target.with_suffix(ending)
        if source.is_file():
            copy_file(source, copy)
        else:
            _delete(copy)
    copy_file(bundle, target)
    # left by a promotion that was killed
    remove_half_written(target, *(target.with_suffix(ending) for ending in _COMPANIONS))


def _append(changes: list[Change], action: Action, name: str, sha256: str, before: str, log: ChangeLog) -> Change:
    change = Change(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), action, name, sha256, before)
    write_json(_begun_file(), asdict(_Begun(log.place, change)))
    try:
        log.record(change)
    except DataError:  # the log is broken and was not written to
        _delete(_begun_file())
        raise
    try:
        write_json(promoted_file(), [asdict(row) for row in (*changes, change)])
    except BaseException:
        with suppress(MienError):  # then the next change logs it
            _settle(log)
        raise
    _delete(_begun_file())
    return change


def _settle(log: ChangeLog) -> None:
    """Log the last change as failed if it did not take effect."""
    if (failed := _failed()) is not None:
        name = failed.change.name
        log.record_failure(name, _current(name, history()), failed.place)
    _delete(_begun_file())


def _failed() -> _Begun | None:
    """Return the last change begun, if it did not take effect; needs the history's lock."""
    begun = _begun()
    return begun if begun is not None and begun.change not in history()[-1:] else None


def _begun() -> _Begun | None:
    """Return the last change that was begun, if its file is still there and whole."""
    try:
        return record_from(_Begun, load_json(_begun_file()), _BEGUN_NAME)
    except (OSError, ValueError):
        return None


def _begun_file() -> Path:
    return data_folder() / _BEGUN_NAME


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(f"cannot delete {path}: {error.strerror}. Check the folder's permissions", error) from error


@contextmanager
def _locked_history(log: ChangeLog) -> Iterator[list[Change]]:
    """Yield the history with other processes locked out; a failed change is logged first."""
    with one_writer(promoted_file()):
        _settle(log)
        yield history()
