"""A stored session: its record and where it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mien.sessions.layout import ANALYSIS_NAME, is_folder, session_folders
from mien.sessions.records import SessionRecord
from mien.sessions.recovery import folder_record


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session and where it is stored.

    Attributes:
        name: its folder below the sessions folder, or its id if it is listed by the database only.
        record: its record, from small files or one row.
        folder: its folder; None if it has none.
        in_database: whether the database holds it.
        ended_in_database: whether the database holds it from its beginning to its end.
        ended: when it ended, or a little earlier, with a time zone.
        person: the consent ledger's random name of the participant, or "".
        size_bytes: size of its files; rows of a database count as 0.
        parts: relative paths of its files, and the database's place.
        running: whether it is still being written.
        begun: whether its erasure was begun and is not finished.
    """

    name: str
    record: SessionRecord
    folder: Path | None
    in_database: bool
    ended_in_database: bool
    ended: datetime
    person: str
    size_bytes: int
    parts: tuple[str, ...]
    running: bool
    begun: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """Its id, and those of the earlier sessions in its folder."""
        folders = [] if self.folder is None else session_folders(self.folder)
        return tuple(dict.fromkeys([self.record.session_id, *(folder_record(folder).session_id for folder in folders)]))

    @property
    def analysed_at(self) -> datetime | None:
        """When the analysis of a recording ended; ``record`` has the start of the recording. None for a live session."""
        if self.folder is not None:
            with suppress(OSError):
                return datetime.fromtimestamp((self.folder / ANALYSIS_NAME).stat().st_mtime, UTC)
        return None

    @property
    def is_lost(self) -> bool:
        """Whether the database names a folder of it that is not here."""
        return self.folder is None and self.record.folder != "" and not is_folder(Path(self.record.folder))
