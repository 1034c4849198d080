"""Reads a session back from its folder, and recovers the session of a killed program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.documents import conform, load_json
from mien.errors import DataError, DeviceError
from mien.files import close_to_others
from mien.locks import is_in_use
from mien.sessions.append_file import end_of_last_line
from mien.sessions.document import MAX_SUMMARY_BYTES, read_summary, session_of
from mien.sessions.erasure import delete_half_written
from mien.sessions.events import read_events
from mien.sessions.folder import ViewWriter, finish_folder, write_facts
from mien.sessions.layout import (
    ALL_NAMES,
    EVENTS_NAME,
    FACTS_NAME,
    OBSERVATIONS_NAME,
    PARTIAL_NAME,
    SUMMARY_NAME,
    is_finished,
    observations_path,
)
from mien.sessions.observations import read_observations
from mien.sessions.records import KeptSession, SessionRecord
from mien.sessions.tally import Tally


def load_folder(folder: Path) -> KeptSession:
    """Return a session from its folder without changing anything; a running session as recorded so far.

    Raises:
        DataError: the folder holds no session, or its files are broken.
    """
    _refuse_links(folder)
    observations = observations_path(folder)
    events = tuple(read_events(folder / EVENTS_NAME))
    if is_finished(folder):
        kept = read_summary(folder / SUMMARY_NAME, events)
        if kept.tracks or observations is None:
            return kept
        recounted = _recounted(observations, kept.session)  # older versions stored no tracks
        return replace(recounted, events=events, more={**recounted.more, **kept.more})
    if observations is None:
        raise DataError(f"{folder} holds no session: neither {SUMMARY_NAME} nor {OBSERVATIONS_NAME} is there")
    return replace(_recounted(observations, folder_record(folder)), events=events)


def recover(folder: Path, write_views: ViewWriter) -> KeptSession:
    """Finish the folder of a session whose program was killed, and return the session; a finished folder is left as it is.

    It can be interrupted at any moment and run again.

    Args:
        folder: the session's folder.
        write_views: writes the views of the recovered session.

    Raises:
        DeviceError: the session is still running, or a file cannot be written.
        DataError: the folder holds no session, or its files are broken.
    """
    if is_finished(folder):
        return load_folder(folder)
    partial = folder / PARTIAL_NAME
    if is_in_use(partial):
        raise DeviceError(f"the session in {folder} is still running. End it first")
    kept = load_folder(folder)
    write_facts(folder, kept)  # until this function ends, the folder counts as unfinished
    try:
        for path in (partial, folder / EVENTS_NAME):
            if path.is_file():
                with path.open("r+b") as handle:
                    handle.truncate(end_of_last_line(path))
                close_to_others(path)
        if partial.is_file():
            close_to_others(partial.replace(folder / OBSERVATIONS_NAME))
    except OSError as error:
        raise DeviceError(f"cannot write to {folder}: {error.strerror}") from error
    delete_half_written(folder)
    finish_folder(folder, kept, write_views)
    return kept


def _refuse_links(folder: Path) -> None:
    """Check that no file of a session is a link: in a folder from somebody else, it could refer to any file of the user.

    Raises:
        DataError: there is one.
    """
    for path in (folder / name for name in ALL_NAMES):
        if path.is_symlink():
            raise DataError(f"{path} is a link; links in a session's folder are not followed. Replace it with the file itself")


def folder_record(folder: Path) -> SessionRecord:
    """Return the record of a session from the small files of its folder; broken files count as missing."""
    finished = is_finished(folder)
    document = _document(folder / (SUMMARY_NAME if finished else FACTS_NAME))
    try:
        session = session_of(document, folder)
    except ValueError:  # a broken file must not hide other sessions
        session = session_of({}, folder)
    if finished:
        return session
    return replace(session, state="running" if is_in_use(folder / PARTIAL_NAME) else "recovered")


def _document(path: Path) -> Mapping[str, Any]:
    """Return a JSON object; an empty one if it is missing or broken."""
    try:
        found: Mapping[str, Any] = conform(load_json(path, MAX_SUMMARY_BYTES), dict[str, Any], path.name)
    except (OSError, ValueError):
        return {}
    return found


def _recounted(observations: Path, session: SessionRecord) -> KeptSession:
    """Return a session with counts recomputed from its observations; frames without a face are only in the record."""
    tally = Tally()
    for frame in read_observations(observations):
        tally.update(frame)
    tally.add_absence_until(session.duration_s)
    kept = tally.kept(session)
    return replace(kept, session=replace(kept.session, frames=max(session.frames, kept.session.frames)))
