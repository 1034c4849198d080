"""The eraser: erases sessions wherever they are stored, logs it, and finishes what was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DeviceError, MienError
from mien.privacy.audit_log import AuditLog
from mien.sessions.begun import Begun, BegunErasures, Lost
from mien.sessions.erasure import count_files, delete_index, erase_folder
from mien.sessions.layout import EARLIER, database_of, session_folders
from mien.sessions.other_databases import erase_in, is_lost, is_same, is_server
from mien.sessions.recovery import folder_record
from mien.sessions.stored import StoredSession
from mien.words import counted

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
        """Return what both of two erasures erased; a fault of both is in it once."""
        pairs = {each.name: (getattr(self, each.name), getattr(other, each.name)) for each in fields(self)}
        whole = Erased(**{name: one or two if name == "audit_error" else one + two for name, (one, two) in pairs.items()})
        return replace(whole, faults=tuple({str(fault): fault for fault in whole.faults}.values()))


@dataclass(slots=True)
class _Attempt:
    """An attempt to erase a session.

    Attributes:
        item: the session.
        begun: what is to be erased, as listed in ``erasing.json``.
        before: the unfinished erasures that it repeats.
        state: "planned", "begun" or "done".
        others: number of rows and messages erased.
        left: as in ``Erased``.
        not_found: as in ``Erased``.
    """

    item: StoredSession
    begun: Begun
    before: Sequence[Begun]
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
        """Number of files, rows and messages erased but not logged yet, also by killed attempts."""
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
        lost: Lost = "nothing",
    ) -> Erased:
        """Erase sessions wherever they are stored so that their bytes are gone, and log it.

        An erasure that is not finished, for whatever reason, stays in ``begun`` until a later call
        finishes it. If the database that was named cannot be used, folders are erased and
        ``Erased.faults`` says why.
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
            lost: what may be missing: "files" also deletes rows whose folder is not here, and folders whose SQLite file is
                not here; "all" also folders that name another server's database. ``Erased.not_found`` names these.

        Raises:
            DeviceError: a session is running and nothing was erased.
            DataError: the list of unfinished erasures is broken and nothing was erased.
            KeyboardInterrupt: with a message that says what was erased.
        """
        for item in sessions:
            if item.running:
                raise DeviceError(f"the session {item.name} is still running. End it first")
        lacking = self._database_error
        faults = []
        if lacking is not None and lost != "all":
            faults.append(type(lacking)(f"no database rows were erased: {lacking}"))
        if not sessions:
            return Erased(faults=tuple(faults))
        begun, attempts = self._begun.read(), []
        for item in sessions:
            before = [each for each in begun if each.concerns(item)]
            plan = self._plan(item, before, cause, earlier=earlier, foreign=not spare_foreign, lost=lost)
            attempts.append(_Attempt(item, plan, before))
        audit_error = ""
        try:
            audit_error = self._begun.try_change(
                [each for one in attempts for each in one.before], [one.begun for one in attempts]
            )
            for attempt in attempts:
                attempt.state = "begun"
                try:
                    self._erase(attempt)
                except MienError as error:
                    message = f"{attempt.item.name} was not erased completely: {error}"
                    faults.append(type(error)(message))
                else:
                    attempt.state = "done"
        except KeyboardInterrupt as stop:
            done = sum(each.state == "done" for each in attempts)
            raise KeyboardInterrupt(
                f"erased {done} of {counted(len(attempts), 'session')}, "
                f"{counted(sum(each.erased for each in attempts), 'file')}. Run the command again "
                "to finish"
            ) from stop
        finally:
            audit_error = self._settle(attempts) or (audit_error if faults else "")
        return Erased(
            sessions=tuple(each.item.name for each in attempts if each.state == "done"),
            unfinished=tuple(each.item.name for each in attempts if each.state != "done"),
            files=sum(each.erased for each in attempts),
            left=tuple(path for each in attempts for path in each.left),
            not_found=tuple(path for each in attempts for path in each.not_found),
            faults=tuple(faults),
            audit_error=audit_error,
        )

    def _plan(
        self, item: StoredSession, before: Sequence[Begun], cause: str, *, earlier: bool, foreign: bool, lost: Lost
    ) -> Begun:
        """Return what to erase: what the caller asks for, and what unfinished erasures left."""
        earlier = earlier or any(each.earlier for each in before)
        # an unfinished erasure knows where its rows were, also if a file was moved and its row there is already deleted
        known = {session_id for each in before for session_id in each.ids}
        databases = [(session_id, place) for session_id, place in self._named_databases(item, earlier) if session_id not in known]
        databases += [(item.record.session_id, place) for each in before for place in each.databases]
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
            cause=cause,
            analysed_at="" if item.analysed_at is None else str(item.analysed_at),
        )
        for each in before:
            plan = plan.joined(each)
        return plan

    def _erase(self, attempt: _Attempt) -> None:
        """Erase one session.

        Readings and pictures are deleted first, then messages, list pages and rows, and last the
        files that say whose session it is. A failure thus leaves enough for the session to be found
        again.
        """
        item, begun = attempt.item, attempt.begun

        def erase_elsewhere() -> None:
            attempt.others += self._drop_messages(begun.ids)
            for root in self._roots:
                delete_index(root)
            if item.is_lost:
                if begun.lost == "nothing":
                    raise DeviceError(
                        f"its folder {item.record.folder} was not found. Connect the disk, or run "
                        "the command on the computer that recorded the session. To delete only "
                        f"its database row: mien sessions delete {item.record.session_id}"
                    )
                attempt.not_found.append(item.record.folder)
            for location in begun.databases:
                if self._may_be_missing(location, begun.lost):
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

    def _may_be_missing(self, location: str, lost: Lost) -> bool:
        """Return whether a database is not here and its rows may remain there."""
        is_used = self._database is not None and self._database.location == location
        return (lost != "nothing" and is_lost(location)) or (lost == "all" and is_server(location) and not is_used)

    def _delete_rows(self, location: str, session_id: str) -> int:
        """Delete the rows of a session from a database, the one in use or another one; return 1 if there were any."""
        used = self._database
        return int(used.delete(session_id)) if used is not None and used.location == location else erase_in(location, session_id)

    def _settle(self, attempts: Sequence[_Attempt]) -> str:
        """Log what was erased and update the list of erasures; return why that failed, or ""."""
        faults = []
        if untouched := [each for each in attempts if each.state == "planned"]:  # stopped by Ctrl-C before their turn
            fault = self._begun.try_change([each.begun for each in untouched], [old for each in untouched for old in each.before])
            faults += [fault] if fault else []
        causes = sorted({each.begun.cause for each in attempts})
        for event, state, cause in ((*pair, cause) for pair in (("erased", "done"), ("not-erased", "begun")) for cause in causes):
            some = [each for each in attempts if each.state == state and each.begun.cause == cause]
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
