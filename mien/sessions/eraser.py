"""The eraser: erases sessions wherever they are stored, logs it, and finishes what was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DeviceError, MienError
from mien.privacy.audit_log import AuditLog
from mien.sessions.begun import Begun, BegunErasures
from mien.sessions.erasure import count_files, delete_index, erase_folder
from mien.sessions.layout import EARLIER, database_of, session_folders
from mien.sessions.other_databases import erase_in, is_lost, is_same, is_server
from mien.sessions.recovery import folder_record
from mien.sessions.stored import StoredSession

if TYPE_CHECKING:
    from mien.sessions.database import Database

MessageDropper = Callable[[Sequence[str]], int]


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


class Eraser:
    """Erases sessions below some sessions folders, and their rows and queued messages.

    Args:
        roots: the sessions folders; the first one is that of the audit log.
        database: a database of sessions, or None.
        database_error: why a database that was named is not used, or None.
        drop_messages: deletes the queued messages of sessions, by their ids, and returns their number.
        log: the audit log.
        begun: the erasures that were begun.
    """

    def __init__(
        self,
        *,
        roots: Sequence[Path],
        database: Database | None,
        database_error: MienError | None,
        drop_messages: MessageDropper,
        log: AuditLog,
        begun: BegunErasures,
    ) -> None:
        self._roots = roots
        self._database, self._database_error = database, database_error
        self._drop_messages = drop_messages
        self._log, self._begun = log, begun

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
        lacking = self._database_error
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
            ids=item.ids if earlier else (item.record.session_id,),
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
            if item.is_lost:
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
        attempt.left = erase_folder(item.folder, self._roots[0], whole=whole, earlier=begun.earlier, before_last=erase_elsewhere)[
            1
        ]
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
            fault = self._log.try_record(event, sessions=len(some), files=sum(each.erased for each in some), cause=cause)
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
