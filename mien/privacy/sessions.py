"""The sessions that are kept, whoever keeps them: listed, handed out, erased.

``PersonalStore`` is all that the rights of a person need; a folder of sessions is one, a
database can be another. Names come from the listing and never become paths, so none leads
out of the root; links are neither followed nor emptied.
"""

from __future__ import annotations

import base64
import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from mien.errors import DataError, DeviceError, UsageError
from mien.files import write_json
from mien.locks import is_in_use
from mien.privacy.policy import Policy

STATE_NAME: Final = "privacy"
MARK_NAME: Final = "privacy.json"
MARKS: Final = frozenset({"summary.json", "observations.csv", "observations.partial.csv", MARK_NAME})
"""A folder with one of these files is a session."""
_PARTIAL_NAME: Final = "observations.partial.csv"
_NAME_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d-\d\d-\d\d)")
_MAX_EXPORT_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it is kept.

    Attributes:
        name: what it is called, unique in its store.
        ended: when it ended, as well as can be known.
        person: the ledger's random name of the person, "" where nobody noted one.
        size_bytes: how much is kept.
        parts: names of its files or tables.
        running: whether it is still being written.
    """

    name: str
    ended: datetime
    person: str
    size_bytes: int
    parts: tuple[str, ...]
    running: bool = False

    def together_with(self, other: StoredSession) -> StoredSession:
        """Return the same session as two places keep it."""
        return StoredSession(
            self.name,
            max(self.ended, other.ended),
            self.person or other.person,
            self.size_bytes + other.size_bytes,
            (*self.parts, *other.parts),
            self.running or other.running,
        )


class PersonalStore(Protocol):
    """Something that keeps sessions of people."""

    def sessions(self) -> Sequence[StoredSession]:
        """Return what is kept, oldest first."""

    def export(self, name: str) -> dict[str, Any]:
        """Return everything that is kept of a session as plain values for JSON."""

    def erase(self, name: str) -> int:
        """Erase a session so that its bytes are gone, and return how many files or tables that were."""


def state_folder(root: Path) -> Path:
    """Return the folder below the sessions' root that holds consents and the audit log."""
    return root / STATE_NAME


def mark_session(folder: Path, policy: Policy, person: str = "", notice: str = "") -> None:
    """Write into a session's folder what it was recorded under.

    Args:
        folder: the session's folder.
        policy: the policy that released its results.
        person: the ledger's random name of the person.
        notice: version of the notice that the person read.
    """
    write_json(folder / MARK_NAME, {"level": policy.level.value, "rule": policy.rule.name, "person": person, "notice": notice})


class SessionFolders:
    """The folders of sessions below a root, as ``mien live`` leaves them.

    Args:
        root: their folder; it need not be there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def sessions(self) -> list[StoredSession]:
        """Return the sessions, oldest first.

        Raises:
            DeviceError: the root cannot be read.
        """
        found = [_stored(folder) for folder in self._folders()]
        return sorted(found, key=lambda session: (session.ended, session.name))

    def strangers(self) -> list[str]:
        """Return the names of folders and files in the root that are no sessions: nothing here touches them."""
        known = {folder.name for folder in self._folders()} | {STATE_NAME}
        return sorted(entry.name for entry in self._entries() if entry.name not in known)

    def export(self, name: str) -> dict[str, Any]:
        """Return every file of a session: tables as rows, JSON as it is, all else as Base64.

        Raises:
            UsageError: no such session.
            DataError: a file cannot be read, or the session is larger than 1 GiB.
        """
        folder = self._folder(name)
        if _stored(folder).size_bytes > _MAX_EXPORT_BYTES:
            raise DataError(f"{folder} is larger than {_MAX_EXPORT_BYTES} bytes. Copy the folder itself")
        return {path.relative_to(folder).as_posix(): _content(path) for path in _files(folder)}

    def erase(self, name: str) -> int:
        """Unlink every file of a session and its folders, and return how many files that were.

        Raises:
            UsageError: no such session, or it is still running.
            DeviceError: something cannot be removed; it is named.
        """
        folder = self._folder(name)
        if _stored(folder).running:
            raise UsageError(f"the session {name} is still running. Stop it first")
        files = 0
        try:
            for path in sorted(folder.rglob("*"), reverse=True):  # what is inside a folder comes before it
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink()
                    files += 1
            folder.rmdir()
        except OSError as error:
            raise DeviceError(
                f"cannot erase {error.filename} ({error.strerror}). Check its permissions, and run it again"
            ) from error
        return files

    def _folder(self, name: str) -> Path:
        folders = {folder.name: folder for folder in self._folders()}
        if name not in folders:
            there = ", ".join(sorted(folders)[:5]) or "none"
            raise UsageError(f"no session called {name!r} in {self._root}; there are {len(folders)}: {there}")
        return folders[name]

    def _folders(self) -> Iterator[Path]:
        for entry in self._entries():
            if (
                entry.name != STATE_NAME
                and entry.is_dir()
                and not entry.is_symlink()
                and any((entry / m).is_file() for m in MARKS)
            ):
                yield entry

    def _entries(self) -> list[Path]:
        try:
            return sorted(self._root.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DeviceError(f"cannot read {self._root} ({error.strerror}). Name the sessions' folder with --root") from error


def _stored(folder: Path) -> StoredSession:
    files = list(_files(folder))
    facts = [path.stat() for path in files]
    dated = _NAME_DATE.match(folder.name)
    try:
        named = datetime.strptime("_".join(dated.groups()), "%Y-%m-%d_%H-%M-%S").astimezone(UTC) if dated else None
    except ValueError:
        named = None
    newest = datetime.fromtimestamp(max((fact.st_mtime for fact in facts), default=0.0), UTC)
    return StoredSession(
        folder.name,
        min(named, newest) if named else newest,  # a copy is not younger than what it is a copy of
        _person(folder / MARK_NAME),
        sum(fact.st_size for fact in facts),
        tuple(path.relative_to(folder).as_posix() for path in files),
        is_in_use(folder / _PARTIAL_NAME),
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below, in order; links are left out."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _person(mark: Path) -> str:
    try:
        return str(json.loads(mark.read_text(encoding="utf-8")).get("person", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _content(path: Path) -> Any:
    """Return a file's content as plain values."""
    try:
        data = path.read_bytes()
        if path.suffix == ".json":
            return json.loads(data)
        if path.suffix == ".csv":
            return list(csv.DictReader(data.decode().splitlines()))
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}). Check its permissions") from error
    except (ValueError, csv.Error):
        pass  # broken or cut short: handed out as it is
    return {"base64": base64.b64encode(data).decode()}
