"""The events of a session as ``events.jsonl``: one JSON document a line, in the order they happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mien.errors import DataError
from mien.store.append_file import AppendFile
from mien.store.names import EVENTS_NAME
from mien.store.session_records import EventRecord


class EventsFile:
    """The events of one session; made with the first event, so a session without events has no file.

    Args:
        folder: the session's folder.

    Attributes:
        file: what the lines are added to; None before the first event.

    Raises:
        DeviceError: later, when the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS_NAME
        self.file: AppendFile | None = None

    def add(self, event: EventRecord) -> None:
        """Add an event; a kill after this call does not lose it."""
        if self.file is None:
            self.file = AppendFile(self._path)
        self.file.append(json.dumps(event_document(event), ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()


def event_document(event: EventRecord) -> dict[str, Any]:
    """Return an event as plain values."""
    whose = {"track_id": event.track_id} if event.track_id else {}
    more = {"details": dict(event.details)} if event.details else {}
    return {"t_s": round(event.t_s, 4), "kind": event.kind, **whose, **more}


def read_events(path: Path) -> Iterator[EventRecord]:
    """Yield the events of a file, none where there is no file; a last line that a kill cut off is passed over.

    Raises:
        DataError: the file cannot be read, or a whole line of it is no event.
    """
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line's end is a line cut off
        try:
            found = json.loads(line)
            yield EventRecord(float(found["t_s"]), str(found["kind"]), found.get("track_id", ""), found.get("details", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number} is no event: {line[:60]!r}") from error
