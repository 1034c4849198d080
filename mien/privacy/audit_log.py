"""The audit log: what was decided, read, exported and erased, and when; never about whom.

Every event has a fixed set of fields, and every field takes a whole number, one of a few
words, or a hash. There is nowhere to write a name, a path or a free sentence, so no personal
data can get in, and the log outlives the data that it speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mien.privacy import consent
from mien.privacy.chain import Chain, Head, Verdict
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
    "model-promoted": {"model": HASH, "before": HASH},
    "model-rolled-back": {"model": HASH, "before": HASH},
    "group-published": {"groups": NUMBER, "bins": NUMBER, "suppressed": NUMBER, "k": NUMBER},
}
"""Every event by name, with its fields: ``NUMBER``, ``HASH``, or the words that it takes."""


class AuditLog:
    """The log below a folder.

    Args:
        folder: where ``audit.jsonl`` stands, or will.
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
            at: when; now if not given. It is kept to the second, in UTC.
            **fields: all of the event's fields.

        Raises:
            ValueError: another event, other fields, or a value that a field does not take.
            DataError: the log does not end where its head says.
            DeviceError: the disk refuses.
        """
        wanted = EVENTS.get(event)
        if wanted is None or set(wanted) != set(fields):
            raise ValueError(
                f"event {event!r} with {sorted(fields)}; {event!r} takes {sorted(wanted or ())}, events are {list(EVENTS)}"
            )
        for name, value in fields.items():
            if not _fits(value, wanted[name]):
                raise ValueError(f"{event}: {name} is {value!r}; it takes {wanted[name]}")
        when = (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._chain.append({"at": when, "event": event, **{name: fields[name] for name in wanted}})

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events, oldest first, as ``n``, ``at``, ``event`` and the event's fields.

        Raises:
            DataError: the log is broken; what stands before the fault was yielded.
        """
        return self._chain.rows()

    def verify(self, kept: Head | None = None) -> Verdict:
        """Return whether the log is whole; see ``Chain.verify``.

        Raises:
            DataError: it cannot be read.
        """
        return self._chain.verify(kept)


def _fits(value: object, kind: object) -> bool:
    if kind is NUMBER:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15
    if kind is HASH:
        return isinstance(value, str) and _SHA256.fullmatch(value) is not None
    return isinstance(kind, tuple) and isinstance(value, str) and value in kind
