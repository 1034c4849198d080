"""A session's folder opened again: as it was finished, or put together from what a kill left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.errors import DataError, DeviceError
from mien.locks import is_in_use
from mien.store.append_file import end_of_last_line
from mien.store.events import read_events
from mien.store.names import ALL_NAMES, EVENTS_NAME, FACTS_NAME, MARK_NAME, OBSERVATIONS_NAME, PARTIAL_NAME, SUMMARY_NAME
from mien.store.observations_reader import read_observations
from mien.store.session_folder import finish_folder, write_facts
from mien.store.session_records import KeptSession, SessionRecord
from mien.store.summary_document import read_summary, session_of
from mien.store.tally import Tally


def find_sessions(root: Path) -> list[SessionRecord]:
    """Return the sessions that have a folder below ``root``, the oldest first; only small files are read."""
    try:
        folders = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    except OSError as error:
        raise DeviceError(f"cannot read {root}: {error.strerror}") from error
    found = [folder_session(path) for path in folders if holds_session(path)]
    return sorted(found, key=lambda session: (session.started_at, session.session_id))


def load_folder(folder: Path) -> KeptSession:
    """Return all that is kept of a session, and write nothing; a session that runs is returned as far as it is.

    Raises:
        DataError: the folder holds no session, or its files are broken.
    """
    summary, readings = folder / SUMMARY_NAME, _readings(folder)
    events = tuple(read_events(folder / EVENTS_NAME))
    if is_finished(folder):
        kept = read_summary(summary, events)
        if kept.tracks or readings is None:
            return kept
        return replace(_replayed(readings, kept.session), events=events)  # an older Mien kept no tracks
    if readings is None:
        raise DataError(f"{folder} holds no session: neither {SUMMARY_NAME} nor {OBSERVATIONS_NAME} is there")
    return replace(_replayed(readings, folder_session(folder)), events=events)


def recover(folder: Path) -> KeptSession:
    """Finish the folder of a session that was killed, and return the session; a finished one is left as it is.

    May itself be killed at any moment, and be run again.

    Raises:
        DeviceError: the session is still running, or the disk refuses.
        DataError: the folder holds no session, or its files are broken.
    """
    if is_finished(folder):
        return load_folder(folder)
    partial = folder / PARTIAL_NAME
    if is_in_use(partial):
        raise DeviceError(f"the session in {folder} is still running. End it first")
    kept = load_folder(folder)
    write_facts(folder, kept)  # from here to the end of this function the folder says that it is unfinished
    try:
        for path in (partial, folder / EVENTS_NAME):
            if path.is_file():
                with path.open("r+b") as handle:
                    handle.truncate(end_of_last_line(path))
        if partial.is_file():
            partial.replace(folder / OBSERVATIONS_NAME)
    except OSError as error:
        raise DeviceError(f"cannot write to {folder}: {error.strerror}") from error
    finish_folder(folder, kept)
    return kept


def holds_session(folder: Path) -> bool:
    """Return whether a folder has files of a session."""
    return any((folder / name).is_file() for name in ALL_NAMES if name != MARK_NAME)


def is_finished(folder: Path) -> bool:
    """Return whether a session came to its end; one that was asked for an export has a summary and goes on."""
    return (folder / SUMMARY_NAME).is_file() and not any((folder / name).is_file() for name in (PARTIAL_NAME, FACTS_NAME))


def _readings(folder: Path) -> Path | None:
    """Return the file of readings, None where there is none."""
    return next((folder / name for name in (PARTIAL_NAME, OBSERVATIONS_NAME) if (folder / name).is_file()), None)


def folder_session(folder: Path) -> SessionRecord:
    """Return what the small files of a session's folder say of it."""
    finished = is_finished(folder)
    document = _document(folder / (SUMMARY_NAME if finished else FACTS_NAME))
    try:
        session = session_of(document, folder)
    except (ValueError, TypeError):  # a broken file must not hide the other sessions
        session = session_of({}, folder)
    if finished:
        return session
    return replace(session, state="running" if is_in_use(folder / PARTIAL_NAME) else "recovered")


def _document(path: Path) -> Mapping[str, Any]:
    """Return a JSON document, an empty one where it is missing or broken."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _replayed(readings: Path, session: SessionRecord) -> KeptSession:
    """Return a session with its sums made anew from its readings; frames without a face are known from its facts alone."""
    tally = Tally()
    for result in read_observations(readings):
        tally.update(result)
    kept = tally.kept(session)
    counted = replace(
        kept.session,
        frames=max(session.frames, kept.session.frames),
        duration_s=max(session.duration_s, kept.session.duration_s),
    )
    return replace(kept, session=counted)
