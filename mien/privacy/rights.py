"""What a person can ask for, carried out over everything that keeps sessions: access, copies, erasure, an end.

Each deed is written into the audit log, without saying whose data it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from mien.errors import UsageError
from mien.privacy.audit_log import AuditLog
from mien.privacy.consent import ConsentLedger, Consequences
from mien.privacy.notice import Notice
from mien.privacy.sessions import PersonalStore, SessionFolders, StoredSession, state_folder

EXPORT_FORMAT: Final = "mien-personal-data-1"


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased.

    Attributes:
        sessions: names of the sessions.
        files: how many files or tables that were.
    """

    sessions: tuple[str, ...] = ()
    files: int = 0


class Rights:
    """The rights of the people whose sessions stand below a root.

    Args:
        root: the folder with the sessions.
        stores: everything that keeps sessions; the folders below ``root`` if not given.
    """

    def __init__(self, root: Path, stores: Sequence[PersonalStore] | None = None) -> None:
        self._stores: Sequence[PersonalStore] = [SessionFolders(root)] if stores is None else stores
        self.ledger = ConsentLedger(state_folder(root))
        self.log = AuditLog(state_folder(root))

    def sessions(self, person: str = "") -> list[StoredSession]:
        """Return the sessions that are kept, oldest first, each once; those of a person where one is named.

        Raises:
            UsageError: nobody of that name is known.
        """
        name = self._known(person) if person else ""
        by_name: dict[str, StoredSession] = {}
        for session in (s for store in self._stores for s in store.sessions()):
            other = by_name.get(session.name)
            by_name[session.name] = session if other is None else other.together_with(session)
        found = sorted(by_name.values(), key=lambda session: session.ended)
        return [session for session in found if session.person == name or not person]

    def export(self, names: Sequence[str] = (), person: str = "") -> dict[str, Any]:
        """Return all that is kept as plain values for JSON: of a person, of some sessions, or of everybody.

        Raises:
            UsageError: no such session or person.
        """
        wanted = [session.name for session in self.sessions(person)] if not names else list(names)
        document: dict[str, Any] = {
            "format": EXPORT_FORMAT,
            "made_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sessions": {name: self._export(name) for name in wanted},
        }
        if person:
            document |= {"person": person, "consents": self.ledger.history(person)}
        self.log.record("exported", sessions=len(wanted))
        return document

    def erase(self, names: Sequence[str], cause: str = "asked") -> Erased:
        """Erase sessions so that their bytes are gone from the stores.

        Args:
            names: of the sessions; all of them must be there.
            cause: asked, withdrawn or retention.

        Raises:
            UsageError: no such session; nothing was erased.
            DeviceError: something refuses; what was erased before is written into the log.
        """
        stores = [(name, self._stores_of(name)) for name in dict.fromkeys(names)]
        erased, files = [], 0
        try:
            for name, places in stores:
                for store in places:
                    files += store.erase(name)
                erased.append(name)
        finally:
            if erased:
                self.log.record("erased", sessions=len(erased), files=files, cause=cause)
        return Erased(tuple(erased), files)

    def erase_person(self, person: str) -> Erased:
        """Erase all sessions of a person, and who is behind the ledger's lines about them.

        Raises:
            UsageError: nobody of that name is known.
        """
        erased = self.erase([session.name for session in self.sessions(person)])
        self.ledger.forget(person)
        return erased

    def say(self, person: str, purpose: str, state: str, notice: Notice) -> tuple[Consequences, Erased]:
        """Write into the ledger what a person said; where they took a yes back, erase what must be erased.

        Returns:
            what must stop, and what was erased. A session that runs reads the ledger, and erases itself.
        """
        consequences = self.ledger.record(person, purpose, state, notice)
        self.log.record("consent", purpose=purpose, state=state, notice=notice.hash)
        kept = self.sessions(person) if consequences.erase_sessions else []
        names = [session.name for session in kept if not session.running]
        return consequences, self.erase(names, "withdrawn")

    def expired(self, days: int, now: datetime | None = None) -> list[StoredSession]:
        """Return the sessions that ended more than ``days`` days ago.

        Raises:
            UsageError: days is negative.
        """
        if days < 0:
            raise UsageError(f"days is {days}; it must be 0 (all that ended) or more")
        limit = (now or datetime.now(UTC)) - timedelta(days=days)
        return [session for session in self.sessions() if session.ended < limit and not session.running]

    def _known(self, person: str) -> str:
        name = self.ledger.random_name(person)
        if not name:
            raise UsageError(
                f"nobody called {person!r} is known here. Sessions can be named with --session; see mien privacy status"
            )
        return name

    def _export(self, name: str) -> dict[str, Any]:
        """Return what every place keeps of a session, by file or table."""
        return {part: content for store in self._stores_of(name) for part, content in store.export(name).items()}

    def _stores_of(self, name: str) -> list[PersonalStore]:
        found = [store for store in self._stores if any(session.name == name for session in store.sessions())]
        if not found:
            raise UsageError(f"no session called {name!r} is kept here. The sessions are listed by: mien privacy status")
        return found
