"""The folder of a running session: readings and events during the session, the summary at the end.

Readings and events are written at once and synced to disk once a second by a separate thread,
so a slow disk never delays a frame.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from mien.errors import DeviceError, MienError, StorageError
from mien.files import copy_file, write_json
from mien.locks import is_in_use
from mien.privacy.policy import Policy
from mien.privacy.release import ReleasedResult
from mien.sessions.document import summary_document
from mien.sessions.erasure import delete_half_written, erase_folder
from mien.sessions.events import EventsFile
from mien.sessions.layout import (
    EVENTS_NAME,
    FACTS_NAME,
    MARK_NAME,
    OBSERVATIONS_NAME,
    PAGE_NAME,
    PARQUET_NAME,
    PARTIAL_NAME,
    PICTURE_NAME,
    SCREENSHOTS,
    SUMMARY_NAME,
    set_aside,
)
from mien.sessions.observations import ObservationsFile
from mien.sessions.recorder import Sink
from mien.sessions.records import EventRecord, KeptSession

ViewWriter = Callable[[Path, KeptSession], None]
"""Writes views of a session, such as a page, into its folder. Passed in, since sessions do not depend on views."""
_SYNC_EVERY_S: Final = 1.0


class SessionFolder(Sink):
    """The folder of a running session. An earlier session in the folder is moved into ``earlier-N``.

    The views are written before the folder counts as finished. A session that is killed in
    between is recovered with its views.

    Args:
        folder: created if missing.
        kept: the session at its start.
        write_views: writes the views when the session is exported or ends.

    Raises:
        DeviceError: here or later, if the folder cannot be written or is in use by another session.
    """

    def __init__(self, folder: Path, kept: KeptSession, write_views: ViewWriter) -> None:
        self.name = str(folder)
        self._folder = folder
        self._write_views = write_views
        if is_in_use(folder / PARTIAL_NAME):
            raise DeviceError(f"{folder} is being written by another session. Choose another folder with --out")
        set_aside(folder)
        delete_half_written(folder)
        self._observations = ObservationsFile(folder, kept.session.has_expressions)
        self._events = EventsFile(folder)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_on_disk, name="mien-disk", daemon=True)
        self._thread.start()
        try:
            self.tick(kept)
        except BaseException:
            self.abandon()
            raise

    def update(self, result: ReleasedResult) -> None:
        self._observations.update(result)

    def add(self, event: EventRecord) -> None:
        self._events.add(event)

    def tick(self, kept: KeptSession) -> None:
        self._check()
        write_facts(self._folder, kept)

    def export(self, kept: KeptSession) -> Sequence[str]:
        self._check()
        copy_file(self._folder / PARTIAL_NAME, self._folder / OBSERVATIONS_NAME, private=True)
        return write_results(self._folder, kept, self._write_views)

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self._end_thread()
        self._check()
        self._events.close()
        self._observations.close()
        return finish_folder(self._folder, kept, self._write_views)

    def erase(self, *, findable: bool = False) -> int:
        self.abandon()
        return erase_folder(self._folder, earlier=False, findable=findable)[0]

    def abandon(self) -> None:
        self._end_thread()
        with suppress(MienError):  # already reported
            self._events.close()
        with suppress(MienError):
            self._observations.abandon()

    def _check(self) -> None:
        """Raise the error that the thread met, if any."""
        self._observations.file.check()
        if self._events.file is not None:
            self._events.file.check()

    def _keep_on_disk(self) -> None:
        """Sync both files once a second."""
        while not self._stop.wait(_SYNC_EVERY_S):
            self._observations.file.sync()
            if self._events.file is not None:
                self._events.file.sync()

    def _end_thread(self) -> None:
        self._stop.set()
        self._thread.join()


def mark_session(folder: Path, policy: Policy, person: str = "", notice: str = "", database: str = "") -> None:
    """Write ``privacy.json``: the policy, the participant and the database of the session.

    Args:
        folder: the session's folder.
        policy: the policy that releases its results.
        person: the consent ledger's random name of the participant, or "".
        notice: version of the notice that was shown.
        database: location of the database that holds the session too (``Database.location``), or "".
    """
    mark = {"level": policy.level.value, "rule": policy.rule.name, "person": person, "notice": notice, "database": database}
    write_json(folder / MARK_NAME, mark, private=True)


def write_facts(folder: Path, kept: KeptSession) -> None:
    """Write the data of a running session that recovery needs.

    Raises:
        DeviceError: the folder was removed or cannot be written.
    """
    if not folder.is_dir():
        raise StorageError(f"{folder} was removed while the session ran")
    write_json(folder / FACTS_NAME, summary_document(KeptSession(kept.session), str(folder)), private=True)


def finish_folder(folder: Path, kept: KeptSession, write_views: ViewWriter) -> list[str]:
    """Write the results and mark the folder as finished; return the names of its files.

    Raises:
        DeviceError: a file cannot be written.
    """
    names = write_results(folder, kept, write_views)
    with suppress(OSError):  # superseded by the summary
        (folder / FACTS_NAME).unlink(missing_ok=True)
    return names


def write_results(folder: Path, kept: KeptSession, write_views: ViewWriter) -> list[str]:
    """Write the summary and the views; return the names of all result files.

    Raises:
        DeviceError: a file cannot be written.
    """
    write_json(folder / SUMMARY_NAME, summary_document(kept, str(folder)), private=True)
    write_views(folder, kept)
    names = (OBSERVATIONS_NAME, PARQUET_NAME, EVENTS_NAME, SUMMARY_NAME, PAGE_NAME, PICTURE_NAME)
    screenshots = sorted(path.name for path in folder.glob(SCREENSHOTS))
    return [*(name for name in names if (folder / name).is_file()), *screenshots]
