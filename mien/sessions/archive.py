"""Lists and reads stored sessions, in folders and in a database.

A session that is stored in both is listed once. Names are looked up in the listing and never used as
paths, so none can refer to files outside the sessions folder. Links are neither followed nor erased.
"""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from os import environ
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mien.documents import parse_json
from mien.errors import DataError, DeviceError, MienError, UsageError
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import STATE_NAME, state_folder
from mien.sessions.begun import Begun, BegunErasures
from mien.sessions.database_url import DATABASE_VARIABLE, database_file, open_database
from mien.sessions.document import session_document
from mien.sessions.eraser import Eraser, MessageDropper
from mien.sessions.folder import ViewWriter
from mien.sessions.layout import (
    earlier_folders,
    holds_session,
    is_finished,
    is_folder,
    is_running,
    person_of,
    session_folders,
    start_of,
)
from mien.sessions.records import KeptSession, SessionRecord
from mien.sessions.recovery import folder_record, load_folder, recover
from mien.sessions.stored import StoredSession

if TYPE_CHECKING:
    from mien.sessions.database import Database

MessageReader = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
LAST: Final = "last"
"""The session stored last: a live session by its end, a recording by its analysis."""
QUEUED: Final = "queued messages"
"""Name under which the queued messages of a session are exported."""
_MAX_CONTENT_BYTES: Final = 1 << 30
_SAVED_LATELY: Final = timedelta(minutes=1)
"""A database row of a running session ends about now: it is saved every few seconds."""


class Archive:
    """The sessions below a sessions folder, and those of a database if there is one.

    Args:
        root: the sessions folder; it need not exist.
        database: an open database, or None.
        more_roots: further sessions folders.
        drop_messages: deletes the queued messages of sessions, by their ids, and returns their number.
        read_messages: returns the queued messages of sessions, by their ids, as plain values.
        database_error: why a database that was named is not used, or None.

    Attributes:
        root: as given.
        database_error: why a database that was named is not used, or None.
        log: the audit log of ``root``; holds every erasure and export.
        eraser: erases what is listed here.
    """

    def __init__(
        self,
        root: Path,
        database: Database | None = None,
        more_roots: Sequence[Path] = (),
        drop_messages: MessageDropper = lambda session_ids: 0,
        read_messages: MessageReader = lambda session_ids: (),
        database_error: MienError | None = None,
    ) -> None:
        self.root = root
        self.database_error = database_error
        self.log = AuditLog(state_folder(root))
        self._begun = BegunErasures(state_folder(root))
        self._roots = (root, *more_roots)
        self._database = database
        self._read_messages = read_messages
        self.eraser = Eraser(
            roots=self._roots,
            database=database,
            database_error=database_error,
            drop_messages=drop_messages,
            log=self.log,
            begun=self._begun,
        )

    def sessions(self) -> list[StoredSession]:
        """Return all sessions, oldest first. For a session in both places, a finished folder precedes the database.

        Raises:
            DeviceError: a sessions folder or the database cannot be read.
            DataError: the list of unfinished erasures is broken.
        """
        rows = {record.session_id: record for record in self._database.sessions()} if self._database is not None else {}
        try:
            found = [
                self._in_folder(folder, folder.relative_to(root).as_posix())
                for root in self._roots
                for folder in _session_folders(root)
            ]
        except OSError as error:
            raise DeviceError(f"cannot read {error.filename} ({error.strerror}). Check its permissions") from error
        found = [self._with_row(item, rows.get(item.record.session_id)) for item in found]
        listed = {item.record.session_id for item in found}
        found += [self._from_row(record) for session_id, record in rows.items() if session_id not in listed]
        begun = self._begun.read()
        found = [self._with_begun(item, begun) for item in found]
        listed_too = [each for each in begun if any(each.concerns(item) for item in found)]
        try:
            found += [self._from_begun(each) for each in begun if each not in listed_too]
        except OSError as error:
            raise DeviceError(f"cannot read {error.filename} ({error.strerror}). Check its permissions") from error
        return sorted(found, key=lambda item: (item.record.started_at, item.record.session_id))

    @property
    def places(self) -> tuple[str, ...]:
        """Where sessions are looked for: the sessions folder, further ones that exist, and the database."""
        folders = [self.root, *(root for root in self._roots[1:] if root.is_dir())]
        return (*map(str, folders), *([f"the database {self._database.place}"] if self._database is not None else []))

    def earlier(self, session: StoredSession) -> list[StoredSession]:
        """Return the earlier sessions in a session's folder. ``sessions`` lists those that have a database row only."""
        folder = session.folder
        if folder is None:
            return []
        return [
            self._in_folder(each, f"{session.name}/{each.relative_to(folder).as_posix()}")
            for each in earlier_folders(folder)
            if holds_session(each)
        ]

    def strangers(self) -> list[str]:
        """Return the names of files and folders in ``root`` that are not sessions. They are never touched."""
        known = {folder.relative_to(self.root).parts[0] for folder in _session_folders(self.root)} | {STATE_NAME}
        return sorted(entry.name for entry in _entries(self.root) if entry.name not in known)

    def find(self, name: str) -> StoredSession:
        """Return the session with this id, the beginning of its id, the name or path of its folder, or ``last``.

        Raises:
            DataError: there is none.
            UsageError: several ids begin with ``name``, or it is a link.
        """
        folder = Path(name)
        there: list[Path] = []
        with suppress(OSError):  # a name may be too long for a path
            there = session_folders(folder) if folder.is_dir() else []
        if there and folder.is_symlink():
            raise UsageError(f"{name} is a link, and links are not followed. Name the folder itself: {folder.resolve()}")
        if there and there[-1] != folder:
            raise UsageError(f"{name} holds earlier sessions only. Name one of them: {', '.join(map(str, there))}")
        if there:
            found = self._in_folder(folder, name)
            in_database = self._database is not None and self._database.has(found.record.session_id)
            return replace(found, in_database=in_database)
        sessions = self.sessions()
        being_erased = [each.ids[0] for each in self._begun.read() if each.folder == realpath(folder)]
        name = being_erased[0] if being_erased else name
        if name == LAST and (stored := [item for item in sessions if not item.begun]):
            return max(stored, key=lambda item: item.analysed_at or _end_of(item.record))
        same = [item for item in sessions if name in (item.record.session_id, item.name, item.folder.name if item.folder else "")]
        matching = same or [item for item in sessions if item.record.session_id.startswith(name)]
        if not matching:
            raise DataError(f"no session {name!r}. List them with: mien sessions list")
        if len(matching) > 1:
            names = ", ".join(item.record.session_id for item in matching[:3])
            more = ", …" if len(matching) > 3 else ""
            raise UsageError(f"{len(matching)} sessions begin with {name!r} ({names}{more}). Name one of them")
        return matching[0]

    def load(self, stored: StoredSession, write_views: ViewWriter) -> KeptSession:
        """Return a complete session. A session whose program was killed is recovered first.

        Args:
            stored: from ``sessions`` or ``find``.
            write_views: writes the views of a recovered session.

        Raises:
            DataError: the session's files or rows are broken.
        """
        folder = stored.folder
        if folder is None:
            return self._load_rows(stored)
        kept = load_folder(folder)
        if not is_finished(folder) and not is_running(folder):
            with suppress(DeviceError):  # a folder that cannot be written can still be read
                recover(folder, write_views)
                if self._database is not None and stored.in_database and not stored.ended_in_database:
                    self._database.save(kept, must_exist=True)
        is_truncated = kept.session.state == "recovered" and stored.ended_in_database
        return self._load_rows(stored) if is_truncated else kept

    def content(self, stored: StoredSession) -> dict[str, Any]:
        """Return everything stored of a session, by file and database: tables as rows, JSON as is, anything else as Base64.

        Messages that wait to be sent, or were rejected, are under ``QUEUED``.

        Raises:
            DataError: a file cannot be read, or the folder is larger than 1 GiB.
        """
        found: dict[str, Any] = {}
        if stored.folder is not None:
            if stored.size_bytes > _MAX_CONTENT_BYTES:
                raise DataError(f"{stored.folder} is larger than {_MAX_CONTENT_BYTES} bytes. Copy the folder itself")
            found = {path.relative_to(stored.folder).as_posix(): _content(path) for path in _files(stored.folder)}
        if self._database is not None and stored.in_database:
            found[self._database.place] = json.loads(json.dumps(session_document(self._load_rows(stored))))
        if messages := self._read_messages(stored.ids):
            found[QUEUED] = [dict(message) for message in messages]
        return found

    def _in_folder(self, folder: Path, name: str = "") -> StoredSession:
        files = list(_files(folder))
        facts = []
        for path in files:
            with suppress(FileNotFoundError):  # of a running session
                facts.append(path.stat())
        record, named = folder_record(folder), start_of(folder.name)
        newest = datetime.fromtimestamp(max((fact.st_mtime for fact in facts), default=0.0), UTC)
        return StoredSession(
            name=name or folder.name,
            record=record,
            folder=folder,
            in_database=False,
            ended_in_database=False,
            ended=min(named, newest) if named else newest,  # copied files are newer than the session
            person=person_of(folder) or record.person,
            size_bytes=sum(fact.st_size for fact in facts),
            parts=tuple(path.relative_to(folder).as_posix() for path in files),
            running=is_running(folder),
        )

    def _with_row(self, item: StoredSession, row: SessionRecord | None) -> StoredSession:
        """Return a session of a folder, completed with its database row."""
        if row is None or self._database is None:
            return item
        is_ended = row.state in ("ended", "interrupted")
        return replace(
            item,
            record=row if is_ended and item.record.state == "recovered" else item.record,  # its folder is incomplete
            in_database=True,
            ended_in_database=is_ended,
            ended=max(item.ended, _end_of(row)),
            person=item.person or row.person,
            parts=(*item.parts, self._database.place),
        )

    def _from_row(self, row: SessionRecord) -> StoredSession:
        """Return a session that only the database lists."""
        assert self._database is not None
        folder = _folder_of(row)
        if folder is not None:
            return replace(self._with_row(self._in_folder(folder), row), name=row.session_id, record=row)
        return StoredSession(
            name=row.session_id,
            record=row,
            folder=None,
            in_database=True,
            ended_in_database=row.state in ("ended", "interrupted"),
            ended=_end_of(row),
            person=row.person,
            size_bytes=0,
            parts=(self._database.place,),
            running=row.state == "running" and abs(datetime.now(UTC) - _end_of(row)) < _SAVED_LATELY,
        )

    def _with_begun(self, item: StoredSession, begun: Sequence[Begun]) -> StoredSession:
        """Return a session, with its participant if an unfinished erasure deleted the file that names them."""
        before = next((each for each in begun if each.concerns(item)), None)
        return item if before is None else replace(item, person=item.person or before.person, begun=True)

    def _from_begun(self, begun: Begun) -> StoredSession:
        """Return a session known only from an unfinished erasure; its folder may be gone."""
        folder, ended = Path(begun.folder), datetime.fromisoformat(begun.ended)
        there = [self._in_folder(each, begun.name) for each in (session_folders(folder) if begun.folder else ())]
        if its := [item for item in there if begun.concerns(item)]:
            return self._with_begun(its[0], [begun])
        return StoredSession(
            name=begun.name,
            record=SessionRecord(begun.ids[0], ended, state="interrupted", source="(being erased)", person=begun.person),
            folder=folder if begun.folder and folder.is_dir() and not holds_session(folder) else None,
            in_database=False,
            ended_in_database=False,
            ended=ended,
            person=begun.person,
            size_bytes=0,
            parts=(),
            running=False,
            begun=True,
        )

    def _load_rows(self, stored: StoredSession) -> KeptSession:
        kept = self._database.load(stored.record.session_id) if self._database is not None else None
        if kept is None:
            raise DataError(f"the session {stored.record.session_id} has just been deleted")
        return kept


@contextmanager
def open_archive(
    root: Path,
    database: str = "",
    more_roots: Sequence[Path] = (),
    drop_messages: MessageDropper = lambda session_ids: 0,
    read_messages: MessageReader = lambda session_ids: (),
    database_needed: bool = True,
) -> Iterator[Archive]:
    """Yield the archive of a sessions folder, with the database that was named or else the user's own if it exists.

    Args:
        root: the sessions folder.
        database: path or URL as the user gave it, or "".
        more_roots: further sessions folders.
        drop_messages: see ``Archive``.
        read_messages: see ``Archive``.
        database_needed: whether a database that cannot be opened or read is an error; if False, see
            ``Archive.database_error``.

    Raises:
        DataError: the database that was named does not exist; none is created.
        MienError: it cannot be opened.
    """
    named = bool(database or environ.get(DATABASE_VARIABLE))
    if not named and not (database_file().is_file() and find_spec("sqlalchemy")):
        yield Archive(root, None, more_roots, drop_messages, read_messages)
        return
    opened = None
    try:
        opened = open_database(database, create=False)
        if not database_needed:
            opened.sessions()  # reading finds damage that opening does not
    except (DataError, DeviceError) as error:
        if opened is not None:
            opened.close()
        if database_needed:
            raise
        yield Archive(root, None, more_roots, drop_messages, read_messages, error)
        return
    try:
        yield Archive(root, opened, more_roots, drop_messages, read_messages)
    finally:
        opened.close()


def _session_folders(root: Path) -> Iterator[Path]:
    """Yield the session folders below a folder. Earlier sessions belong to the later one in their folder, if there is one."""
    for entry in _entries(root):
        if entry.name != STATE_NAME and entry.is_dir() and not entry.is_symlink():
            yield from [entry] if holds_session(entry) else session_folders(entry)


def _entries(root: Path) -> list[Path]:
    try:
        return sorted(root.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DeviceError(f"cannot read {root} ({error.strerror}). Name another with --sessions") from error


def _folder_of(record: SessionRecord) -> Path | None:
    """Return the folder of a session that a database row names; None if it is not there: the path may be from another computer.

    A later session in the folder has moved its files into one for earlier sessions.
    """
    folder = Path(record.folder)
    if not record.folder or not is_folder(folder):
        return None
    return next((each for each in session_folders(folder) if folder_record(each).session_id == record.session_id), None)


def _end_of(record: SessionRecord) -> datetime:
    return record.started_at + timedelta(seconds=record.duration_s)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below, in order, without links."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _content(path: Path) -> Any:
    """Return the content of a file as plain values."""
    try:
        data = path.read_bytes()
        if path.suffix == ".json":
            return parse_json(data)
        if path.suffix == ".csv":
            return list(csv.DictReader(data.decode().splitlines()))
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}). Check its permissions") from error
    except (ValueError, csv.Error):
        pass  # broken or truncated: returned as Base64
    return {"base64": base64.b64encode(data).decode()}
