"""The list of unfinished erasures.

An erasure is listed before anything is deleted, and removed from the list once everything is
deleted and logged. If a kill, a database in use or a folder without write permission interrupts it,
it stays listed, with its participant, and the next erasure of that session finishes and logs it. No
other file keeps the names of erased sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Self, get_args

from mien.documents import conform, load_json
from mien.errors import DataError, MienError, UsageError
from mien.files import half_written, write_json
from mien.locks import one_writer
from mien.sessions.stored import StoredSession

BEGUN_NAME: Final = "erasing.json"
Lost = Literal["kept", "files", "all"]
"""What is left alone if it is not here: nothing, folders and SQLite files, or also servers' databases."""
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
        lost: what may be missing.
        cause: for the audit log: asked, withdrawn or retention.
        at: when it was begun, as ISO 8601 with a time zone.
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
    cause: str
    at: str

    def concerns(self, session: StoredSession) -> bool:
        """Return whether this is the erasure of a session.

        Copies in several folders may have the same id, and so has a recording that was analysed again afterwards. An
        earlier session may have been moved into a folder below its own.
        """
        if session.record.session_id != self.ids[0]:
            return False
        if session.analysed_at is not None and session.analysed_at > datetime.fromisoformat(self.at):
            return False
        return session.folder is None or not self.folder or session.folder.resolve().is_relative_to(self.folder)

    def joined(self, earlier: Self) -> Self:
        """Return this erasure, which repeats an ``earlier`` one: it erases all that either of them erases."""
        return replace(
            self,
            ids=tuple(dict.fromkeys((*self.ids, *earlier.ids))),
            folder=self.folder or earlier.folder,
            person=self.person or earlier.person,
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
            found: list[Begun] = conform(load_json(self._path), list[Begun], BEGUN_NAME)
            for each in found:
                times = [datetime.fromisoformat(text) for text in (each.ended, each.at)]
                if not each.ids or not each.name.isprintable() or any(time.tzinfo is None for time in times):
                    raise ValueError("not an erasure")
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise DataError(
                f"cannot read {self._path} ({error}). It lists unfinished erasures. Restore a copy of it, "
                "or delete it and repeat the erasures that were interrupted"
            ) from error
        return found

    def check_folder(self, folder: Path) -> None:
        """Check that a new session may be written to a folder: not while the erasure of one there is unfinished.

        Raises:
            UsageError: it may not.
            DataError: the file cannot be read.
        """
        if any(each.folder == str(folder.resolve()) for each in self.read()):
            raise UsageError(
                f"the erasure of a session in {folder} is not finished. Finish it with mien privacy retention, or choose another "
                "folder with --out"
            )

    def try_change(self, remove: Iterable[Begun], add: Iterable[Begun]) -> str:
        """Remove erasures from the list and add others; return why that failed, or ""."""
        removed, added = list(remove), list(add)
        try:
            with one_writer(self._path):
                kept = [each for each in self.read() if each not in removed]
                for path in half_written(self._path):
                    path.unlink(missing_ok=True)
                if kept or added:
                    write_json(self._path, [asdict(each) for each in (*kept, *added)], private=True)
                else:
                    self._path.unlink(missing_ok=True)
        except MienError as error:
            return str(error)
        except OSError as error:
            return f"cannot delete {error.filename} ({error.strerror}). Check its permissions"
        return ""
