"""xAPI 1.0.3 statements about a session: periodic summaries and interventions.

The actor is an anonymous account drawn at random for each session, so that sessions of one person cannot
be linked. Statements summarise minutes, never single frames or faces. The vocabulary is defined in
``docs/reference/mien.jsonld``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from mien.emotions import EMOTIONS
from mien.sessions.records import EventRecord, KeptSession, SessionRecord

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
"""IRI and display name by short name; ADL's verbs are used where they exist."""
MIN_FACE_S: Final = 10.0
"""Shortest face time for shares of expressions, in seconds."""
Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class XapiSession:
    """Statements of one session, with random identifiers.

    Attributes:
        registration: groups the statements of the session.
        account: anonymous account of the learner.
        started_at: start of the session, with time zone.
        version: version of Mien.
    """

    registration: UUID
    account: str
    started_at: datetime
    version: str

    @classmethod
    def new(cls, session: SessionRecord) -> XapiSession:
        """Return an instance with identifiers drawn for this session."""
        return cls(uuid4(), str(uuid4()), session.started_at, session.version)

    def initialized(self) -> Statement:
        """Return the statement about the start of the session."""
        return self._statement("initialized", "initialized", 0.0, self._activity())

    def terminated(self, kept: KeptSession) -> Statement:
        """Return the statement about the end of the session, with its totals."""
        result = {"duration": duration(kept.session.duration_s), "extensions": sums(kept)}
        return self._statement("terminated", "terminated", kept.session.duration_s, self._activity(), result)

    def showed(self, number: int, from_s: float, part: KeptSession) -> Statement:
        """Return the statement about one period.

        Args:
            number: number of the period, from 0.
            from_s: its start, in seconds since the start of the session.
            part: the session data of that period alone.
        """
        result = {"duration": duration(part.session.duration_s), "extensions": sums(part)}
        return self._statement(f"showed-{number}", "showed", from_s + part.session.duration_s, self._activity(), result)

    def was_offered(self, number: int, event: EventRecord, since_start_s: float) -> Statement:
        """Return the statement about an intervention; of the event's details only the rule is included.

        Args:
            number: number of the intervention, from 0.
            event: the intervention.
            since_start_s: its time, in seconds since the start of the session.
        """
        rule = str(event.details.get("rule", event.kind))
        activity = {
            "objectType": "Activity",
            "id": f"{BASE}/activities/interventions/{_slug(rule)}",
            "definition": {"type": INTERVENTION_TYPE, "name": {"en": rule}},
        }
        return self._statement(f"was-offered-{number}", "was-offered", since_start_s, activity, parent=self._activity())

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
        activity: dict[str, Any],
        result: dict[str, Any] | None = None,
        parent: dict[str, Any] | None = None,
    ) -> Statement:
        """Return a statement; its id is derived from the session and ``name``."""
        activities: dict[str, Any] = {"category": [{"objectType": "Activity", "id": PROFILE}]}
        if parent is not None:
            activities["parent"] = [parent]
        iri, display = VERBS[verb]
        at = self.started_at + timedelta(seconds=since_start_s)
        statement: Statement = {
            "id": str(uuid5(self.registration, name)),
            "actor": {"objectType": "Agent", "account": {"homePage": ACCOUNTS, "name": self.account}},
            "verb": {"id": iri, "display": {"en": display}},
            "object": activity,
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
    """Return totals as result extensions: face time, and shares of expressions, uncertain readings and facing."""
    face_s, session = part.face_s, part.session
    facing, away = (sum(getattr(row, name) for row in part.intervals) for name in ("facing_s", "away_s"))
    present_s = face_s if session.has_expressions else part.seen_s
    found: dict[str, Any] = {f"{EXTENSIONS}/face-seconds": round(present_s, 1)}
    if face_s >= MIN_FACE_S:
        found[f"{EXTENSIONS}/expression-shares"] = {
            name: round(seconds / face_s, 3) for name, seconds in zip(EMOTIONS, part.label_s, strict=True)
        }
        found[f"{EXTENSIONS}/uncertain-share"] = round(session.uncertain / max(1, session.readings), 3)
    if facing + away >= MIN_FACE_S:
        found[f"{EXTENSIONS}/facing-share"] = round(facing / (facing + away), 3)
    return found


def duration(seconds: float) -> str:
    """Return an ISO 8601 duration, rounded to hundredths of a second.

    >>> duration(0), duration(75.5)
    ('PT0S', 'PT75.5S')
    """
    return f"PT{round(max(0.0, seconds), 2):.15g}S"


def encoded(statement: Statement) -> str:
    """Return a statement as JSON."""
    return json.dumps(statement, ensure_ascii=False, allow_nan=False)


def _slug(text: str) -> str:
    """Return text in a form that is valid in an IRI.

    >>> _slug("Away for long!")
    'away-for-long'
    """
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in text.lower()).split()
    return "-".join(words) or "unnamed"
