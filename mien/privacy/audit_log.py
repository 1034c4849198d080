"""The audit log: which decisions, sessions, exports and erasures happened when, but not whom they concern.

Every event has a fixed set of fields, and every field takes an integer, one of a few words, or a
hash. No field takes a name, a path or free text, so the log contains no personal data and may be
kept longer than the data that it refers to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mien.errors import MienError
from mien.privacy import consent
from mien.privacy.chain import Chain, ChainReport, Head
from mien.privacy.deployment import CONTEXTS, EXCLUDED_PURPOSES, JURISDICTIONS, PURPOSES
from mien.privacy.level import Level
from mien.privacy.rules import RULES

FILE_NAME: Final = "audit.jsonl"

NUMBER: Final = "a whole number, 0 or more"
HASH: Final = "a SHA-256 in hexadecimal digits"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LEVELS: Final = tuple(level.value for level in Level)
_CAUSES: Final = ("asked", "withdrawn", "retention")

EVENTS: Final[Mapping[str, Mapping[str, object]]] = {
    "policy-decided": {
        "level": _LEVELS,
        "rule": tuple(rule.name for rule in RULES),
        "context": tuple(CONTEXTS),
        "jurisdiction": tuple(JURISDICTIONS),
        "purpose": (*PURPOSES, *EXCLUDED_PURPOSES),
    },
    "session-started": {"level": _LEVELS, "model": HASH},
    "session-ended": {"seconds": NUMBER, "frames": NUMBER},
    "notice-shown": {"notice": HASH},
    "consent": {"purpose": tuple(consent.PURPOSES), "state": consent.STATES, "notice": HASH},
    "exported": {"sessions": NUMBER},
    "erased": {"sessions": NUMBER, "files": NUMBER, "cause": _CAUSES},
    "not-erased": {"sessions": NUMBER, "files": NUMBER, "cause": _CAUSES},
    "model-promoted": {"model": HASH, "before": HASH},
    "model-rolled-back": {"model": HASH, "before": HASH},
    "model-unchanged": {"model": HASH},
    "group-published": {"groups": NUMBER, "bins": NUMBER, "suppressed": NUMBER, "k": NUMBER},
}
"""The fields of every event: ``NUMBER``, ``HASH``, or a tuple of allowed words."""


class AuditLog:
    """The audit log in a folder.

    Args:
        folder: folder of ``audit.jsonl``; the file need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._chain = Chain(folder / FILE_NAME)

    @property
    def path(self) -> Path:
        """The log's file."""
        return self._chain.path

    def record(self, event: str, at: datetime | None = None, **fields: int | str) -> Head:
        """Add an event and return the log's new head.

        Args:
            event: one of ``EVENTS``.
            at: time of the event, default now; stored in UTC with a resolution of one second.
            **fields: values of all fields of the event.

        Raises:
            ValueError: unknown event, missing or unknown fields, or an invalid value.
            DataError: the log does not match its head.
            DeviceError: the log cannot be written.
        """
        wanted = EVENTS.get(event)
        if wanted is None or set(wanted) != set(fields):
            raise ValueError(
                f"event {event!r} with fields {sorted(fields)}; it takes {sorted(wanted or ())}, the events are {list(EVENTS)}"
            )
        for name, value in fields.items():
            if not _fits(value, wanted[name]):
                raise ValueError(f"{event}: {name} is {value!r}; it takes {wanted[name]}")
        when = (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._chain.append({"at": when, "event": event, **{name: fields[name] for name in wanted}})

    def try_record(self, event: str, **fields: int | str) -> str:
        """Add an event as ``record`` does; if the log is broken or cannot be written, return the error message, else "".

        For events that have happened already, such as an erasure.
        """
        try:
            self.record(event, None, **fields)
        except MienError as error:
            return str(error)
        return ""

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events, oldest first, with the keys ``n``, ``at``, ``event`` and the event's fields.

        Raises:
            DataError: the log is broken; the events before the fault were yielded.
        """
        return self._chain.rows()

    def verify(self, kept: Head | None = None) -> ChainReport:
        """Return whether the log is intact; see ``Chain.verify``.

        Raises:
            DataError: the log cannot be read.
        """
        return self._chain.verify(kept)


def _fits(value: object, kind: object) -> bool:
    if kind is NUMBER:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15
    if kind is HASH:
        return isinstance(value, str) and _SHA256.fullmatch(value) is not None
    return isinstance(kind, tuple) and isinstance(value, str) and value in kind
