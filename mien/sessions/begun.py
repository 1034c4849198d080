"""The list of unfinished erasures.

An erasure is listed before anything is deleted, and removed from the list once everything is
deleted and logged. If a kill, a database in use or a folder without write permission interrupts it,
it stays listed, with its participant, and the next erasure of that session finishes and logs it. No
other file keeps the names of erased sessions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from os.path import realpath
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from mien.documents import MAX_BYTES, conform, read_limited
from mien.errors import DataError, MienError, UsageError
from mien.files import half_written, write_text
from mien.locks import one_writer
from mien.privacy.chain import state_folder
from mien.sessions.stored import StoredSession

BEGUN_NAME: Final = "erasing.json"
Lost = Literal["nothing", "files", "all"]
"""What may be missing: nothing, folders and SQLite files, or databases of servers as well."""
_LOST: Final[tuple[Lost, ...]] = get_args(Lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An erasure that was begun.

    Attributes:
        ids: id of the session, and of the earlier ones in its folder if they are erased with it.
        name: its name in the listing.
        folder: absolute path of its folder, or "".
        databases: databases that may hold rows of it (``Database.location``).
        person: the consent ledger's random name of the participant, or "".
        ended: when it ended, as ISO 8601 with a time zone.
        files: number of the files in its folder that are not yet logged as erased.
        earlier: whether the earlier sessions in its folder are erased as well.
        foreign: whether files that are not Mien's are erased as well.
        lost: what may be missing when it is erased.
        cause: for the audit log: asked, withdrawn or retention.
        analysed_at: when the analysis of a recording ended, as ISO 8601 with a time zone; "" for a live session, None if unknown.
    """

    ids: tuple[str, ...]
    name: str
    folder: str
    databases: tuple[str, ...]
    person: str
    ended: str
    files: int
    earlier: bool
    foreign: bool
    lost: Lost
    cause: str = "asked"
    analysed_at: str | None = None

    def concerns(self, session: StoredSession) -> bool:
        """Return whether this is the erasure of a session.

        Copies in several folders may have the same id, and so have all analyses of a recording. A session may have been moved
        into a folder below its own.
        """
        if session.record.session_id != self.ids[0]:
            return False
        if None not in (session.analysed_at, self.analysed_at) and str(session.analysed_at) != self.analysed_at:
            return False
        return session.folder is None or not self.folder or session.folder.resolve().is_relative_to(self.folder)

    def joined(self, earlier: Self) -> Self:
        """Return this erasure, which repeats an ``earlier`` one: it erases all that either of them erases."""
        return replace(
            self,
            ids=tuple(dict.fromkeys((*self.ids, *earlier.ids))),
            folder=self.folder or earlier.folder,
            person=self.person or earlier.person,
            analysed_at=self.analysed_at or earlier.analysed_at,
            files=max(self.files, earlier.files),
            earlier=self.earlier or earlier.earlier,
            foreign=self.foreign or earlier.foreign,
            lost=max(self.lost, earlier.lost, key=_LOST.index),
            cause=earlier.cause,
        )


class BegunErasures:
    """The erasures that were begun, in ``erasing.json``.

    Args:
        folder: folder of the file, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / BEGUN_NAME

    def read(self) -> list[Begun]:
        """Return the erasures that were begun.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            # not load_json, which refuses the names of folders that are not valid Unicode
            rows = conform(json.loads(read_limited(self._path, MAX_BYTES)), list[dict[str, Any]], BEGUN_NAME)
            for row in rows:
                if isinstance(row.get("lost"), bool):  # written by an earlier version
                    row["lost"] = "files" if row["lost"] else "nothing"
            found: list[Begun] = conform(rows, list[Begun], BEGUN_NAME)
            for each in found:
                if not each.ids or datetime.fromisoformat(each.ended).tzinfo is None:
                    raise ValueError("not an erasure")
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"cannot read {self._path} ({error}). It lists unfinished erasures. Restore a copy of it, "
                "or delete it and repeat the erasures that were interrupted"
            ) from error
        return found

    def try_change(self, remove: Iterable[Begun], add: Iterable[Begun]) -> str:
        """Remove erasures from the list and add others; return why that failed, or ""."""
        removed, added = list(remove), list(add)
        try:
            with one_writer(self._path):
                kept = [each for each in self.read() if each not in removed]
                for path in half_written(self._path):
                    path.unlink(missing_ok=True)
                if kept or added:
                    # ASCII, so that folders whose names are not valid Unicode are found again
                    write_text(self._path, json.dumps([asdict(each) for each in (*kept, *added)], indent=2) + "\n", private=True)
                else:
                    self._path.unlink(missing_ok=True)
        except MienError as error:
            return str(error)
        except OSError as error:
            return f"cannot delete {error.filename} ({error.strerror}). Check its permissions"
        return ""


def check_erasures(folder: Path, state: Path) -> None:
    """Check that a new session may be written to a folder: not while the erasure of one there is unfinished.

    Args:
        folder: folder of the session.
        state: folder of the consent ledger; that of the sessions folder in which ``folder`` may be is looked at as well.

    Raises:
        UsageError: it may not.
        DataError: a list of erasures cannot be read.
    """
    for each in {state, state_folder(folder.parent)}:
        if any(begun.folder == realpath(folder) for begun in BegunErasures(each).read()):
            raise UsageError(
                f"the erasure of a session in {folder} is not finished. Finish it with mien privacy retention, or choose another "
                "folder with --out"
            )
