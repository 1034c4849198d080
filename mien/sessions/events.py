"""``events.jsonl``: the events of a session, one JSON object per line, in the order they happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mien.documents import parse_json, read_limited, record_from
from mien.errors import DataError
from mien.sessions.append_file import AppendFile
from mien.sessions.layout import EVENTS_NAME
from mien.sessions.records import EventRecord

_MAX_BYTES: Final = 256 << 20


class EventsFile:
    """The events of a running session. The file is created with the first event.

    Args:
        folder: the session's folder.

    Attributes:
        file: the file that lines are appended to; None before the first event.

    Raises:
        DeviceError: later, if the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS_NAME
        self.file: AppendFile | None = None

    def add(self, event: EventRecord) -> None:
        """Append an event; a kill after this call does not lose it."""
        if self.file is None:
            self.file = AppendFile(self._path)
        self.file.append(json.dumps(event_document(event), ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


def event_document(event: EventRecord) -> dict[str, Any]:
    """Return an event as plain JSON values."""
    whose = {"track_id": event.track_id} if event.track_id else {}
    more = {"details": dict(event.details)} if event.details else {}
    return {"t_s": round(event.t_s, 4), "kind": event.kind, **whose, **more}


def read_events(path: Path) -> Iterator[EventRecord]:
    """Yield the events of a file; none if there is no file. An incomplete last line is skipped.

    Raises:
        DataError: the file cannot be read, or a complete line is not an event.
    """
    try:
        lines = read_limited(path, _MAX_BYTES).split(b"\n") if path.exists() else [b""]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is not an events file: {error}") from error
    for number, line in enumerate(lines[:-1], 1):  # after the last newline there is at most an incomplete line
        try:
            yield record_from(EventRecord, parse_json(line), "the event")
        except ValueError as error:
            raise DataError(f"{path}, line {number} is not an event: {line[:60]!r}") from error
