"""What a session says to a learning record store: statements (xAPI 1.0.3) of sums and interventions.

Who was watched is an anonymous account that is drawn for each session, so two sessions of one
person cannot be brought together. No statement is about a frame or a face: they sum up minutes.
The words are defined in ``docs/xapi/mien.jsonld``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from mien.emotions import EMOTIONS
from mien.store.session_records import EventRecord, KeptSession, SessionRecord

BASE: Final = "https://w3id.org/mien/xapi"
PROFILE: Final = f"{BASE}/v1.0"
ACCOUNTS: Final = f"{BASE}/anonymous"
SESSION_TYPE: Final = f"{BASE}/activity-types/watched-session"
INTERVENTION_TYPE: Final = f"{BASE}/activity-types/intervention"
EXTENSIONS: Final = f"{BASE}/extensions"
VERBS: Final[Mapping[str, tuple[str, str]]] = {
    "initialized": ("http://adlnet.gov/expapi/verbs/initialized", "initialized"),
    "terminated": ("http://adlnet.gov/expapi/verbs/terminated", "terminated"),
    "showed": (f"{BASE}/verbs/showed", "showed"),
    "was-offered": (f"{BASE}/verbs/was-offered", "was offered"),
}
"""Verbs by their short names: IRI, and the word for people. Those of ADL are used where they fit."""
LEAST_FACE_S: Final = 10.0
"""With less face time than this nothing is said of expressions."""
Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class XapiSession:
    """Names under which one session is known to a store, and to nobody else.

    Attributes:
        registration: groups the session's statements.
        account: the anonymous learner.
        started_at: when the session began, with a time zone.
        version: of Mien.
    """

    registration: UUID
    account: str
    started_at: datetime
    version: str

    @classmethod
    def new(cls, session: SessionRecord) -> XapiSession:
        """Return names drawn for this session."""
        return cls(uuid4(), str(uuid4()), session.started_at, session.version)

    def began(self) -> Statement:
        """Return the statement that the session began."""
        return self._statement("initialized", "initialized", 0.0, self._activity())

    def ended(self, kept: KeptSession) -> Statement:
        """Return the statement that the session is over, with its sums."""
        result = {"duration": duration(kept.session.duration_s), "extensions": sums(kept)}
        return self._statement("terminated", "terminated", kept.session.duration_s, self._activity(), result)

    def showed(self, number: int, from_s: float, part: KeptSession) -> Statement:
        """Return the statement about one period.

        Args:
            number: of the period, from 0.
            from_s: its start, in seconds since the session's start.
            part: the sums of that period alone.
        """
        result = {"duration": duration(part.session.duration_s), "extensions": sums(part)}
        return self._statement(f"showed-{number}", "showed", from_s + part.session.duration_s, self._activity(), result)

    def was_offered(self, number: int, event: EventRecord, since_start_s: float) -> Statement:
        """Return the statement about an intervention; of the event's details only its rule is told.

        Args:
            number: of the intervention, from 0.
            event: the intervention.
            since_start_s: when it came.
        """
        rule = str(event.details.get("rule", event.kind))
        thing = {
            "objectType": "Activity",
            "id": f"{BASE}/activities/interventions/{_slug(rule)}",
            "definition": {"type": INTERVENTION_TYPE, "name": {"en": rule}},
        }
        return self._statement(f"was-offered-{number}", "was-offered", since_start_s, thing, parent=self._activity())

    def _activity(self) -> dict[str, Any]:
        return {
            "objectType": "Activity",
            "id": f"{BASE}/activities/sessions/{self.registration}",
            "definition": {"type": SESSION_TYPE, "name": {"en": "A session watched by Mien"}},
        }

    def _statement(
        self,
        name: str,
        verb: str,
        since_start_s: float,
        thing: dict[str, Any],
        result: dict[str, Any] | None = None,
        parent: dict[str, Any] | None = None,
    ) -> Statement:
        """Return a whole statement; its id follows from the session and ``name``, so it is fixed before it is sent."""
        activities: dict[str, Any] = {"category": [{"objectType": "Activity", "id": PROFILE}]}
        if parent is not None:
            activities["parent"] = [parent]
        iri, word = VERBS[verb]
        at = self.started_at + timedelta(seconds=since_start_s)
        statement: Statement = {
            "id": str(uuid5(self.registration, name)),
            "actor": {"objectType": "Agent", "account": {"homePage": ACCOUNTS, "name": self.account}},
            "verb": {"id": iri, "display": {"en": word}},
            "object": thing,
            "context": {
                "registration": str(self.registration),
                "platform": f"Mien {self.version}".strip(),
                "contextActivities": activities,
            },
            "timestamp": at.isoformat(timespec="milliseconds"),
            "version": "1.0.0",
        }
        return statement | ({"result": result} if result is not None else {})


def sums(part: KeptSession) -> dict[str, Any]:
    """Return sums as extensions of a result: shares of face time by expression, time with faces, facing, guesses."""
    face_s, session = part.face_s, part.session
    facing, away = (sum(getattr(row, name) for row in part.intervals) for name in ("facing_s", "away_s"))
    found: dict[str, Any] = {f"{EXTENSIONS}/face-seconds": round(face_s, 1)}
    if face_s >= LEAST_FACE_S:
        found[f"{EXTENSIONS}/expression-shares"] = {
            name: round(seconds / face_s, 3) for name, seconds in zip(EMOTIONS, part.label_s, strict=True)
        }
        found[f"{EXTENSIONS}/uncertain-share"] = round(session.uncertain / max(1, session.readings), 3)
    if facing + away >= LEAST_FACE_S:
        found[f"{EXTENSIONS}/facing-share"] = round(facing / (facing + away), 3)
    return found


def duration(seconds: float) -> str:
    """Return a length of time as ISO 8601 has it, to the hundredth of a second.

    >>> duration(0), duration(75.5)
    ('PT0S', 'PT75.5S')
    """
    return f"PT{round(max(0.0, seconds), 2):.15g}S"


def encoded(statement: Statement) -> str:
    """Return a statement as it is sent."""
    return json.dumps(statement, ensure_ascii=False, allow_nan=False)


def _slug(text: str) -> str:
    """Return text as it may stand in an IRI.

    >>> _slug("Away for long!")
    'away-for-long'
    """
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in text.lower()).split()
    return "-".join(words) or "unnamed"
