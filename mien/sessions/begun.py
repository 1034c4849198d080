"""Erasures that were begun and are not finished.

An erasure is written down before anything is deleted, and crossed out once everything is gone and the audit log says so.
What a kill, a database in use or a folder without write permission interrupts therefore stays listed, with its participant,
and the next erasure of it finishes and logs it. The names of sessions are in no other file that outlives them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from mien.documents import conform, load_json
from mien.errors import DataError, MienError
from mien.files import half_written, write_json
from mien.locks import one_writer

BEGUN_NAME: Final = "erasing.json"


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
        lost: whether rows are deleted although the folder is not here.
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
    lost: bool

    def concerns(self, session_id: str, folder: Path | None) -> bool:
        """Return whether this is the erasure of a session; copies in several folders may have the same id."""
        return self.ids[0] == session_id and (folder is None or self.folder in ("", str(folder.resolve())))

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
            lost=self.lost or earlier.lost,
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
                if not each.ids or not each.name.isprintable() or datetime.fromisoformat(each.ended).tzinfo is None:
                    raise ValueError("not an erasure")
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise DataError(
                f"cannot read {self._path} ({error}). It names erasures that are not finished; restore a copy of it"
            ) from error
        return found

    def try_change(self, remove: Iterable[Begun], add: Iterable[Begun]) -> str:
        """Cross out erasures and write down others; return why that failed, or ""."""
        added = list(add)
        removed = {(each.ids[0], each.folder) for each in (*remove, *added)}
        try:
            with one_writer(self._path):
                kept = [each for each in self.read() if (each.ids[0], each.folder) not in removed]
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
