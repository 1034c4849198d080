"""Lists, reads and erases stored sessions, in folders and in a database.

A session that is stored in both is listed once. Names are looked up in the listing and never used as
paths, so none can refer to files outside the sessions folder. Links are neither followed nor erased.
"""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mien.documents import parse_json
from mien.errors import DataError, DeviceError, MienError, UsageError
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import STATE_NAME, state_folder
from mien.sessions.begun import Begun, BegunErasures
from mien.sessions.database_url import DATABASE_VARIABLE, database_file, open_database
from mien.sessions.document import session_document
from mien.sessions.erasure import count_files, delete_index, erase_folder
from mien.sessions.folder import ViewWriter
from mien.sessions.layout import (
    ANALYSIS_NAME,
    EARLIER,
    database_of,
    earlier_folders,
    holds_session,
    is_finished,
    is_running,
    person_of,
    session_folders,
    start_of,
)
from mien.sessions.other_databases import erase_in, is_lost, is_same, is_server
from mien.sessions.records import KeptSession, SessionRecord
from mien.sessions.recovery import folder_record, load_folder, recover

if TYPE_CHECKING:
    from mien.sessions.database import Database

MessageDropper = Callable[[Sequence[str]], int]
MessageReader = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
LAST: Final = "last"
"""Name of the session that was stored last: the live session that ended last, or a recording analysed since."""
QUEUED: Final = "queued messages"
"""Name under which the queued messages of a session are exported."""
_MAX_CONTENT_BYTES: Final = 1 << 30
_SAVED_LATELY: Final = timedelta(minutes=1)
"""A database row of a running session ends about now: it is saved every few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session and where it is stored.

    Attributes:
        name: its folder below the sessions folder, or its id if it is listed by the database only.
        record: its record, from small files or one row.
        folder: its folder; None if it has none.
        in_database: whether the database holds it.
        ended_in_database: whether the database holds it from its beginning to its end.
        ended: when it ended, or a little earlier, with a time zone.
        person: the consent ledger's random name of the participant, or "".
        size_bytes: size of its files; rows of a database count as 0.
        parts: relative paths of its files, and the database's place.
        running: whether it is still being written.
        begun: whether its erasure was begun and is not finished.
    """

    name: str
    record: SessionRecord
    folder: Path | None
    in_database: bool
    ended_in_database: bool
    ended: datetime
    person: str
    size_bytes: int
    parts: tuple[str, ...]
    running: bool
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Erased:
    """Sessions that were erased.

    Attributes:
        sessions: their names.
        files: number of files, database rows and queued messages.
        left: paths that were kept because they are not Mien's.
        not_found: folders that the database names, and databases that folders name, that are not here and were not erased.
        unfinished: names of sessions that were not erased, or not completely; they stay listed.
        running: names of sessions that run here and erase themselves.
        faults: why other sessions, or messages, were not erased.
        audit_error: why the erasure could not be written to the audit log, or "".
    """

    sessions: tuple[str, ...] = ()
    files: int = 0
    left: tuple[Path, ...] = ()
    not_found: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    faults: tuple[MienError, ...] = ()
    audit_error: str = ""

    def joined(self, other: Erased) -> Erased:
        """Return what both of two erasures erased."""
        pairs = {each.name: (getattr(self, each.name), getattr(other, each.name)) for each in fields(self)}
        return Erased(**{name: one or two if name == "audit_error" else one + two for name, (one, two) in pairs.items()})


@dataclass(slots=True)
class _Attempt:
    """An attempt to erase a session.

    Attributes:
        item: the session.
        begun: what is to be erased, as written down.
        state: "planned", "begun" or "done".
        others: number of rows and messages erased.
        left: as in ``Erased``.
        not_found: as in ``Erased``.
    """

    item: StoredSession
    begun: Begun
    state: str = "planned"
    others: int = 0
    left: Sequence[Path] = ()
    not_found: list[str] = field(default_factory=list)

    @property
    def files_left(self) -> int:
        """Number of files that are still in its folder."""
        return 0 if self.item.folder is None else count_files(self.item.folder, self.begun.earlier)

    @property
    def erased(self) -> int:
        """Number of files, rows and messages that were erased and not logged before, perhaps by an attempt that was killed."""
        return 0 if self.state == "planned" else max(0, self.begun.files - self.files_left) + self.others


class Archive:
    """The sessions below a sessions folder, and those of a database if there is one.

    Args:
        root: the sessions folder; it need not exist.
        database: an open database, or None.
        more_roots: further sessions folders.
        drop_messages: deletes the queued messages of sessions, by their ids, and returns their number.
        read_messages: returns the queued messages of sessions, by their ids, as plain values.
        database_error: as the attribute.

    Attributes:
        root: as given.
        database_error: why a database that was named is not used, or None.
        log: the audit log of ``root``; holds every erasure and export.
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
        self._drop_messages, self._read_messages = drop_messages, read_messages

    def sessions(self) -> list[StoredSession]:
        """Return all sessions, oldest first. For a session in both places, a finished folder precedes the database.

        Raises:
            DeviceError: a sessions folder or the database cannot be read.
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
        listed_too = [each for each in begun if any(each.concerns(item.record.session_id, item.folder) for item in found)]
        found += [self._from_begun(each) for each in begun if each not in listed_too]
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
            found = self._in_folder(folder)
            in_database = self._database is not None and self._database.has(found.record.session_id)
            return replace(found, in_database=in_database)
        sessions = self.sessions()
        if name == LAST and (stored := [item for item in sessions if not item.begun]):
            return max(stored, key=_stored_at)
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
        if messages := self._read_messages(_ids(stored)):
            found[QUEUED] = [dict(message) for message in messages]
        return found

    def erase(
        self,
        sessions: Sequence[StoredSession],
        cause: str = "asked",
        *,
        earlier: bool = True,
        spare_foreign: bool = False,
        forget_lost: bool = False,
    ) -> Erased:
        """Erase sessions wherever they are stored so that their bytes are gone, and log it.

        What is begun here and not finished, for any reason, is listed until a later call finishes it, with ``begun``.
        Without access to the database that was named, folders are erased and ``Erased.faults`` says so.
        Nothing remains in an SQLite file; PostgreSQL frees the bytes later (VACUUM).
        Folders outside the sessions folders keep the files that are not Mien's.
        A session that cannot be erased does not stop the erasure of the others; ``Erased.faults`` says why.
        A database row stays while the folder that it names is not here, for example on a disk that is not connected.
        A folder that names another database than the one in use stays listed until its rows there are erased, too: they
        are erased here if it is an SQLite file, and otherwise when this is called with that database.

        Args:
            sessions: from ``sessions``, ``earlier`` or ``find``.
            cause: for the audit log: asked, withdrawn or retention.
            earlier: erase the earlier sessions in their folders as well.
            spare_foreign: keep files that are not Mien's in folders whose name is not a session id, too.
            forget_lost: delete rows whose folder is not here, too, and folders whose SQLite file is not here;
                ``Erased.not_found`` names what is not here.

        Raises:
            DeviceError: a session is running and nothing was erased.
            DataError: the list of unfinished erasures is broken and nothing was erased.
            KeyboardInterrupt: with a message that says what was erased.
        """
        for item in sessions:
            if item.running:
                raise DeviceError(f"the session {item.name} is still running. End it first")
        lacking = self.database_error
        faults = [] if lacking is None else [type(lacking)(f"no rows of a database were erased: {lacking}")]
        if not sessions:
            return Erased(faults=tuple(faults))
        begun = self._begun.read()
        attempts = [
            _Attempt(item, self._plan(item, begun, earlier=earlier, foreign=not spare_foreign, lost=forget_lost))
            for item in sessions
        ]
        audit_error = self._begun.try_change((), [each.begun for each in attempts])
        try:
            for attempt in attempts:
                attempt.state = "begun"
                try:
                    self._erase(attempt)
                except MienError as error:
                    faults.append(type(error)(f"{attempt.item.name} was not erased: {error}"))
                else:
                    attempt.state = "done"
        except KeyboardInterrupt as stop:
            done = sum(each.state == "done" for each in attempts)
            raise KeyboardInterrupt(
                f"erased {done} of {len(attempts)} sessions, {sum(each.erased for each in attempts)} files. "
                "Run the command again to finish"
            ) from stop
        finally:
            audit_error = self._settle(attempts, cause) or (audit_error if faults else "")
        return Erased(
            sessions=tuple(each.item.name for each in attempts if each.state == "done"),
            unfinished=tuple(each.item.name for each in attempts if each.state != "done"),
            files=sum(each.erased for each in attempts),
            left=tuple(path for each in attempts for path in each.left),
            not_found=tuple(path for each in attempts for path in each.not_found),
            faults=tuple(faults),
            audit_error=audit_error,
        )

    def _plan(self, item: StoredSession, begun: Sequence[Begun], *, earlier: bool, foreign: bool, lost: bool) -> Begun:
        """Return what is to be erased with a session: all that is asked, and all that an unfinished erasure of it began."""
        before = next((each for each in begun if each.concerns(item.record.session_id, item.folder)), None)
        earlier = earlier or (before is not None and before.earlier)
        databases = [(session_id, place) for session_id, place in self._named_databases(item, earlier)]
        databases += [(item.record.session_id, place) for place in before.databases] if before else []
        others = [place for session_id, place in databases if not self._is_used(place, session_id)]
        plan = Begun(
            ids=tuple(_ids(item) if earlier else [item.record.session_id]),
            name=item.name,
            folder="" if item.folder is None else str(item.folder.resolve()),
            databases=tuple(dict.fromkeys([*others, *([self._database.location] if self._database is not None else [])])),
            person=item.person,
            ended=item.ended.isoformat(),
            files=0 if item.folder is None else count_files(item.folder, earlier),
            earlier=earlier,
            foreign=foreign,
            lost=lost,
        )
        return plan if before is None else plan.joined(before)

    def _erase(self, attempt: _Attempt) -> None:
        """Erase one session.

        First go readings and pictures, then messages, pages that list it and rows, and at last the files that say whose
        session it is, so that a failure leaves enough of it to be found again.
        """
        item, begun = attempt.item, attempt.begun

        def erase_elsewhere() -> None:
            attempt.others += self._drop_messages(begun.ids)
            for root in self._roots:
                delete_index(root)
            if _is_lost(item):
                if not begun.lost:
                    raise DeviceError(
                        f"its folder {item.record.folder} was not found. Connect the disk, or run the command on the session's "
                        f"computer; to delete only its database row: mien sessions delete {item.record.session_id}"
                    )
                attempt.not_found.append(item.record.folder)
            for location in begun.databases:
                if begun.lost and is_lost(location):
                    attempt.not_found.append(location)
                else:
                    attempt.others += sum(self._delete_rows(location, session_id) for session_id in begun.ids)

        if item.folder is None:
            erase_elsewhere()
            return
        whole = begun.foreign and any(item.folder.resolve().parent == root.resolve() for root in self._roots)
        attempt.left = erase_folder(item.folder, self.root, whole=whole, earlier=begun.earlier, before_last=erase_elsewhere)[1]
        if item.folder.match(EARLIER):
            with suppress(OSError):  # other files are there
                item.folder.parent.rmdir()

    def _delete_rows(self, location: str, session_id: str) -> int:
        """Delete the rows of a session from a database, the one in use or another one; return 1 if there were any."""
        used = self._database
        return int(used.delete(session_id)) if used is not None and used.location == location else erase_in(location, session_id)

    def _settle(self, attempts: Sequence[_Attempt], cause: str) -> str:
        """Log what was erased and cross out what is finished; return why that failed, or ""."""
        faults = []
        for event, state in (("erased", "done"), ("not-erased", "begun")):
            some = [each for each in attempts if each.state == state]
            if not some:
                continue
            fault = self.log.try_record(event, sessions=len(some), files=sum(each.erased for each in some), cause=cause)
            if not fault:
                left = [replace(each.begun, files=each.files_left) for each in some if state == "begun"]
                fault = self._begun.try_change([each.begun for each in some], left)
            faults += [fault] if fault else []
        return faults[0] if faults else ""

    def _named_databases(self, item: StoredSession, earlier: bool) -> list[tuple[str, str]]:
        """Return the ids of the sessions in a folder that name a database, and its location."""
        if item.folder is None:
            return []
        folders = session_folders(item.folder) if earlier else [item.folder]
        return [(folder_record(folder).session_id, location) for folder in folders if (location := database_of(folder))]

    def _is_used(self, location: str, session_id: str) -> bool:
        """Return whether a folder's database is the one in use, perhaps under another name or moved to another place."""
        used = self._database
        if used is None:
            return False
        has_moved = is_server(used.location) if is_server(location) else is_lost(location) and not is_server(used.location)
        return is_same(used.location, location) or (has_moved and used.has(session_id))

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
        before = next((each for each in begun if each.concerns(item.record.session_id, item.folder)), None)
        return item if before is None else replace(item, person=item.person or before.person, begun=True)

    def _from_begun(self, begun: Begun) -> StoredSession:
        """Return a session that only an unfinished erasure leads to; its folder may be gone, or hold another session by now."""
        folder, ended = Path(begun.folder), datetime.fromisoformat(begun.ended)
        if begun.folder and holds_session(folder) and folder_record(folder).session_id == begun.ids[0]:
            return self._with_begun(self._in_folder(folder, begun.name), [begun])
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
        database_needed: False to go on without a database that cannot be opened or read; see ``Archive.database_error``.

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
            opened.sessions()  # it may be broken further in
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


def _is_lost(session: StoredSession) -> bool:
    """Return whether the database names a folder of a session that is not here."""
    return session.folder is None and session.record.folder != "" and not Path(session.record.folder).is_dir()


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
    if not record.folder or not folder.is_dir():
        return None
    return next((each for each in session_folders(folder) if folder_record(each).session_id == record.session_id), None)


def _ids(stored: StoredSession) -> list[str]:
    """Return the ids of a session and of the earlier ones in its folder."""
    folders = [] if stored.folder is None else session_folders(stored.folder)
    return list(dict.fromkeys([stored.record.session_id, *(folder_record(folder).session_id for folder in folders)]))


def _stored_at(session: StoredSession) -> datetime:
    """Return when a session was stored; the start of a recording is that of its file and says nothing about it."""
    if session.folder is not None:
        with suppress(OSError):
            return datetime.fromtimestamp((session.folder / ANALYSIS_NAME).stat().st_mtime, UTC)
    return _end_of(session.record)


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
