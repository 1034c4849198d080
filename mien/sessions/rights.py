"""The rights of participants over stored sessions: access, portable copies, erasure, withdrawal, retention.

Each operation is written to the audit log, without the participant's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mien.errors import DeviceError, MienError, UsageError
from mien.privacy.chain import state_folder
from mien.privacy.consent import ConsentLedger, Consequences
from mien.privacy.group_ledger import GroupLedger
from mien.privacy.notice import Notice
from mien.sessions.archive import Archive
from mien.sessions.eraser import Erased
from mien.sessions.stored import StoredSession

EXPORT_FORMAT: Final = "mien-personal-data-1"


class Rights:
    """The rights of the participants in an archive.

    Args:
        archive: their sessions; the consent ledger is beside its audit log.

    Attributes:
        ledger: the consent ledger.
    """

    def __init__(self, archive: Archive) -> None:
        state = state_folder(archive.root)
        self.ledger = ConsentLedger(state)
        self._archive = archive
        self._groups = GroupLedger(state)

    @property
    def places(self) -> tuple[str, ...]:
        """Where sessions are looked for; see ``Archive.places``."""
        return self._archive.places

    @property
    def database_error(self) -> MienError | None:
        """Why a database that was named is not used; see ``Archive.database_error``."""
        return self._archive.database_error

    def sessions(self, person: str = "") -> list[StoredSession]:
        """Return all sessions, or those of one participant, sorted by their end; see ``Archive.sessions``.

        Raises:
            UsageError: no such participant.
        """
        name = self._known(person) if person else ""
        found = sorted(self._archive.sessions(), key=lambda session: (session.ended, session.name))
        return [session for session in found if session.person == name or not person]

    def named(self, names: Sequence[str]) -> list[StoredSession]:
        """Return the sessions with these names, or ids if no session has that name.

        Two sessions folders may each hold a session of the same name.

        Raises:
            UsageError: no such session.
        """
        sessions = self.sessions()
        sessions += self._earlier(sessions, sessions)
        meant: list[StoredSession] = []
        for name in names:
            found = [session for session in sessions if session.name == name]
            found = found or [session for session in sessions if name and session.record.session_id == name]
            if not found:
                if self.database_error is not None:  # which may hold it
                    raise self.database_error
                raise UsageError(f"no session {name!r}. List sessions with: mien privacy status")
            meant += found
        return [session for session in sessions if session in meant]

    def earlier(self, sessions: Sequence[StoredSession]) -> list[StoredSession]:
        """Return the earlier sessions in the folders of ``sessions`` that are not listed by themselves."""
        return self._earlier(sessions, self.sessions())

    def export(self, names: Sequence[str] = (), person: str = "") -> dict[str, Any]:
        """Return everything that is stored as plain JSON values: of a participant, of some sessions, or of all.

        Raises:
            UsageError: no such session or participant.
        """
        sessions = self.named(names) if names else self.sessions(person)
        content: dict[str, Any] = {}
        for session in sessions:
            content[session.name if session.name not in content else str(session.folder)] = self._archive.content(session)
        document: dict[str, Any] = {
            "format": EXPORT_FORMAT,
            "made_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sessions": content,
        }
        if person:
            document |= {"person": person, "consents": self.ledger.history(person)}
        self._archive.log.record("exported", sessions=len(sessions))
        return document

    def erase(self, names: Sequence[str]) -> Erased:
        """Erase sessions wherever they are stored, but not the earlier ones in their folders; see ``Eraser.erase``.

        Args:
            names: names of the sessions.

        Raises:
            UsageError: no such session; nothing was erased.
            DeviceError: a session is running; nothing was erased.
        """
        return self._archive.eraser.erase(self.named(names), earlier=False)

    def erase_all(self) -> Erased:
        """Erase all sessions.

        Raises:
            DeviceError: as for ``erase``.
        """
        return self._archive.eraser.erase(self.sessions())

    def erase_person(self, person: str) -> Erased:
        """Erase all sessions of a participant, and the participant's name from the ledger.

        The name stays if a session was not erased, so that the erasure can be repeated. An error after the erasure of the
        sessions is in ``Erased.faults``.

        Raises:
            UsageError: no such participant.
            DeviceError: as for ``erase``.
        """
        erased = self._archive.eraser.erase(self.sessions(person))
        if erased.faults:
            return erased
        try:
            self._groups.drop_names()
            self.ledger.forget(person)
        except MienError as error:
            return replace(erased, faults=(error,))
        return erased

    def record_consent(self, person: str, purpose: str, state: str, notice: Notice) -> tuple[Consequences, Erased]:
        """Record a participant's decision. If consent was withdrawn, erase the sessions that may no longer be stored.

        A session that runs here reads the ledger and erases itself. One that runs on another computer may not.
        The decision is recorded even if the archive has no access to its database.

        Returns:
            the consequences of the decision, and what was erased. Once the decision is recorded, errors are in ``Erased``.

        Raises:
            UsageError: the decision is invalid, or an unknown participant withdraws.
            MienError: the ledger is broken or cannot be written.
        """
        consequences = self.ledger.record(person, purpose, state, notice)
        audit_error = self._archive.log.try_record("consent", purpose=purpose, state=state, notice=notice.hash)
        erased = self._erase_withdrawn(person) if consequences.erase_sessions else Erased()
        return consequences, replace(erased, audit_error=audit_error or erased.audit_error)

    def _erase_withdrawn(self, person: str) -> Erased:
        """Erase the sessions of a participant that have ended, and the earlier ones in the folders of running ones."""
        try:
            sessions = self.sessions(person)
            running = [each for each in sessions if each.running]
            ended = [each for each in sessions if not each.running]
            erased = self._archive.eraser.erase(ended + self._earlier(running, sessions), "withdrawn")
        except MienError as error:
            return Erased(faults=(error,))
        here = tuple(each.name for each in running if each.folder is not None)
        elsewhere = tuple(
            DeviceError(f"{each.name} runs on another computer and was not erased. End it there, then erase it")
            for each in running
            if each.folder is None
        )
        return replace(erased, running=here, faults=(*erased.faults, *elsewhere))

    def expired(self, days: int, now: datetime | None = None) -> list[StoredSession]:
        """Return the sessions that ended more than ``days`` days ago, and the earlier ones in the folders of others.

        Raises:
            UsageError: days is negative.
        """
        if days < 0:
            raise UsageError(f"days is {days}; it must be 0 (all that ended) or more")
        limit = (now or datetime.now(UTC)) - timedelta(days=days)
        sessions = self.sessions()
        due = [session for session in sessions if session.ended < limit and not session.running]
        others = [session for session in sessions if session not in due]
        return due + [each for each in self._earlier(others, sessions) if each.ended < limit]

    def withdrawn(self) -> list[StoredSession]:
        """Return sessions that started before consent to store them was refused or withdrawn.

        They were running then and were killed before they could erase themselves, or their erasure
        failed.
        """
        ended = self.ledger.withdrawals()
        sessions = [each for each in self.sessions() if not each.running]
        sessions += self._earlier(sessions, sessions)
        second = timedelta(seconds=1)  # the resolution of the ledger
        return [
            each
            for each in sessions
            if each.person in ended and (each.analysed_at or each.record.started_at) < ended[each.person] + second
        ]

    def erase_expired(self, days: int) -> tuple[Erased, Erased]:
        """Erase the sessions that ``expired`` and ``withdrawn`` return, and finish erasures that were begun.

        Returns:
            what was erased because of its age, and what else was erased. If the consent ledger cannot be read, it is a fault.

        Raises:
            UsageError: days is negative.
            DeviceError: as for ``erase``.
        """
        expired = self.expired(days)
        others = Erased()
        try:
            withdrawn = [each for each in self.withdrawn() if each not in expired]
        except MienError as error:
            others, withdrawn = Erased(faults=(error,)), []
        begun = [each for each in self.sessions() if each.begun and not each.running and each not in (*expired, *withdrawn)]
        old = self._archive.eraser.erase(expired, "retention")
        others = others.joined(self._archive.eraser.erase(withdrawn, "withdrawn"))
        return old, others.joined(self._archive.eraser.erase(begun, "asked", earlier=False, spare_foreign=True))

    def _known(self, person: str) -> str:
        name = self.ledger.random_name(person)
        if not name:
            raise UsageError(
                f"no participant {person!r} in the consent ledger {self.ledger.path.absolute()}. "
                "List all with: mien privacy status"
            )
        return name

    def _earlier(self, sessions: Sequence[StoredSession], listed: Sequence[StoredSession]) -> list[StoredSession]:
        """Return the earlier sessions in the folders of ``sessions``; those with a database row may be in ``listed`` already."""
        places = {each.folder.resolve() for each in listed if each.folder is not None}
        earlier = [each for session in sessions for each in self._archive.earlier(session)]
        return [each for each in earlier if each.folder is not None and each.folder.resolve() not in places]
