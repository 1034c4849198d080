"""A session's folder while the session runs: readings, events, and in the end the summary.

Every reading and every event is handed to the operating system as it comes, and brought to
the disk once a second by a thread of its own, so that a slow disk never holds up a frame.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from mien.errors import DeviceError, MienError
from mien.files import copy_file, write_json, write_text
from mien.locks import is_in_use
from mien.privacy.release import ReleasedResult
from mien.store.deletion import delete_folder
from mien.store.events import EventsFile
from mien.store.names import (
    EVENTS_NAME,
    FACTS_NAME,
    OBSERVATIONS_NAME,
    PAGE_NAME,
    PARQUET_NAME,
    PARTIAL_NAME,
    PICTURE_NAME,
    SUMMARY_NAME,
    set_aside,
)
from mien.store.observations import ObservationsFile
from mien.store.session_records import EventRecord, KeptSession
from mien.store.sinks import Sink
from mien.store.summary_document import summary_document
from mien.store.summary_page import summary_page
from mien.store.summary_picture import session_picture

_SYNC_EVERY_S: Final = 1.0


class SessionFolder(Sink):
    """The folder of a running session; a session that lay there before is moved into ``earlier-N``.

    Args:
        folder: made if missing.
        kept: the session at its start.

    Raises:
        DeviceError: here or later, when the disk refuses.
    """

    def __init__(self, folder: Path, kept: KeptSession) -> None:
        self.name = str(folder)
        self._folder = folder
        if is_in_use(folder / PARTIAL_NAME):
            raise DeviceError(f"{folder} is being written by another session. Choose another folder with --out")
        set_aside(folder)
        self._observations = ObservationsFile(folder)
        self._events = EventsFile(folder)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_on_disk, name="mien-disk", daemon=True)
        self._thread.start()
        self.tick(kept)

    def update(self, result: ReleasedResult) -> None:
        self._observations.update(result)

    def add(self, event: EventRecord) -> None:
        self._events.add(event)

    def tick(self, kept: KeptSession) -> None:
        self._check()
        write_facts(self._folder, kept)

    def export(self, kept: KeptSession) -> Sequence[str]:
        self._check()
        copy_file(self._folder / PARTIAL_NAME, self._folder / OBSERVATIONS_NAME)
        return write_results(self._folder, kept)

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self._end_thread()
        self._check()
        self._events.close()
        self._observations.close()
        return finish_folder(self._folder, kept)

    def erase(self) -> int:
        self.abandon()
        there = [path for path in self._folder.rglob("*") if path.is_file()]
        left = delete_folder(self._folder)
        return len(there) - len(left)

    def abandon(self) -> None:
        self._end_thread()
        with suppress(MienError):  # said already: it is why this is called
            self._events.close()
        with suppress(MienError):
            self._observations.abandon()

    def _check(self) -> None:
        """Raise what the thread met."""
        self._observations.file.check()
        if self._events.file is not None:
            self._events.file.check()

    def _keep_on_disk(self) -> None:
        """Bring both files to the disk once a second."""
        while not self._stop.wait(_SYNC_EVERY_S):
            self._observations.file.sync()
            if self._events.file is not None:
                self._events.file.sync()

    def _end_thread(self) -> None:
        self._stop.set()
        self._thread.join()


def write_facts(folder: Path, kept: KeptSession) -> None:
    """Write down what is known of a running session, for the case that it is killed."""
    if not folder.is_dir():
        raise DeviceError(f"{folder} was removed while the session ran")
    write_json(folder / FACTS_NAME, summary_document(KeptSession(kept.session), str(folder)))


def finish_folder(folder: Path, kept: KeptSession) -> list[str]:
    """Write what a finished session leaves and remove what a running one needs; return the names of its files.

    Raises:
        DeviceError: the disk refuses.
    """
    names = write_results(folder, kept)
    with suppress(OSError):  # superseded, and in nobody's way
        (folder / FACTS_NAME).unlink(missing_ok=True)
    return names


def write_results(folder: Path, kept: KeptSession) -> list[str]:
    """Write the summary as a document, a page and a picture, and the readings as Parquet where pyarrow is; return all names.

    Raises:
        DeviceError: the disk refuses.
    """
    write_json(folder / SUMMARY_NAME, summary_document(kept, str(folder)))
    write_text(folder / PAGE_NAME, summary_page(kept))
    session_picture(folder / PICTURE_NAME, kept)
    if find_spec("pyarrow") is not None and (folder / OBSERVATIONS_NAME).is_file():
        from mien.store.parquet import write_parquet

        write_parquet(folder / OBSERVATIONS_NAME, folder / PARQUET_NAME)
    names = (OBSERVATIONS_NAME, PARQUET_NAME, EVENTS_NAME, SUMMARY_NAME, PAGE_NAME, PICTURE_NAME)
    return [name for name in names if (folder / name).is_file()]
