"""The layout of sessions on disk: where folders are, how they are named, and which files they hold."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from typing import Final

from mien.documents import load_json, record_from
from mien.errors import DeviceError, UsageError
from mien.files import close_to_others, is_file_name, private_folder
from mien.locks import is_in_use
from mien.privacy.chain import STATE_NAME

SESSIONS: Final = Path("results/sessions")
"""Default folder of the folders of live sessions."""
ANALYSES: Final = Path("results/analyses")
"""Default folder of the folders of analysed recordings."""

OBSERVATIONS_NAME: Final = "observations.csv"
PARTIAL_NAME: Final = "observations.partial.csv"
"""The observations of a session that is running or was killed."""
PARQUET_NAME: Final = "observations.parquet"
EVENTS_NAME: Final = "events.jsonl"
FACTS_NAME: Final = "session.partial.json"
"""The record of a session that is running or was killed; replaced by ``summary.json``."""
SUMMARY_NAME: Final = "summary.json"
PAGE_NAME: Final = "summary.html"
PICTURE_NAME: Final = "summary.png"
MARK_NAME: Final = "privacy.json"
"""The policy under which the session was recorded, its participant and its database."""
ANALYSIS_NAME: Final = "analysis.json"
"""The file and the options of a finished analysis."""
ANNOTATED_NAME: Final = "annotated.mp4"
"""The annotated copy of a recording, written only with ``--annotate``."""
SEGMENTS_NAME: Final = "segments"
"""Folder of the finished segments of an analysis that is not finished."""
RUNNING_NAME: Final = "running.lock"
"""Lock file of a running analysis, in the folder of its segments."""
ALL_NAMES: Final = (
    OBSERVATIONS_NAME,
    PARTIAL_NAME,
    PARQUET_NAME,
    EVENTS_NAME,
    FACTS_NAME,
    SUMMARY_NAME,
    PAGE_NAME,
    PICTURE_NAME,
    MARK_NAME,
    ANALYSIS_NAME,
    ANNOTATED_NAME,
    *("drift.html", "drift.json", "retrain_request.json"),
)
IDENTIFYING_NAMES: Final = (MARK_NAME, FACTS_NAME, SUMMARY_NAME)
"""Files that say which session a folder holds, and whose it is. An erasure deletes them last, so that it can be repeated."""
SCREENSHOTS: Final = "screenshot-*.png"
"""Pattern of the names of screenshots."""
EARLIER: Final = "earlier-*"
"""Pattern of the names of folders that hold an earlier session of the folder they are in."""
_MOVING: Final = ".earlier"
"""Folder of an earlier session while its files are being moved there."""
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def new_session_id(start: datetime) -> str:
    """Return a new session id: its start and four random letters, for sessions that start in the same second.

    >>> new_session_id(datetime(2026, 3, 4, 9, 30))[:-4]
    '2026-03-04_09-30-00-'
    """
    random = SystemRandom()
    return f"{start:%Y-%m-%d_%H-%M-%S}-{''.join(random.choice(_LETTERS) for _ in range(4))}"


def session_id_of(folder: Path, start: datetime) -> str:
    """Return the id of a new session in a folder: the folder's name if that is a free session id, else a new one."""
    is_free = start_of(folder.name) is not None and is_file_name(folder.name) and not session_folders(folder)
    return folder.name if is_free else new_session_id(start)


YEARS: Final = range(1970, 3000)
"""Years in which a session can start."""


def start_of(session_id: str) -> datetime | None:
    """Return the start that a session id states, in this computer's time zone; None if it states none.

    >>> start_of("2026-03-04_09-30-00-k3f9").isoformat()[:19], start_of("lesson")
    ('2026-03-04T09:30:00', None)
    """
    try:
        start = datetime.strptime(session_id[:19], "%Y-%m-%d_%H-%M-%S").astimezone()
    except (ValueError, OverflowError):
        return None
    return start if start.year in YEARS else None


INDEX_TITLE: Final = "Sessions and analyses"
"""Title of the page that lists the sessions of a folder."""


def index_path(root: Path) -> Path:
    """Return the path of the page that lists the sessions of a folder, beside it.

    >>> index_path(Path("/results/sessions")).as_posix()
    '/results/sessions.html'
    """
    whole = root.resolve()
    return whole.with_name(f"{whole.name}.html")


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; one that may not be looked at counts as missing."""
    try:
        return path.is_dir()
    except OSError:
        return False


def holds_session(folder: Path) -> bool:
    """Return whether a folder has a file of a session; an interrupted ``set_aside`` is completed first."""
    _complete_move(folder)
    return any((folder / name).is_file() for name in ALL_NAMES)


def earlier_folders(folder: Path) -> list[Path]:
    """Return the folders of the earlier sessions in a session's folder (see ``set_aside``); links are left out.

    An interrupted ``set_aside`` is completed first.
    """
    _complete_move(folder)
    found = []
    # remains if the folder cannot be written
    for path in (*sorted(folder.glob(EARLIER)), folder / _MOVING):
        if path.is_dir() and not path.is_symlink():
            found += [*earlier_folders(path), path]
    return found


def session_folders(folder: Path) -> list[Path]:
    """Return the folders of all sessions in a session's folder: of the earlier ones, then the folder itself if it holds one."""
    return [path for path in (*earlier_folders(folder), folder) if holds_session(path)]


def is_running(folder: Path) -> bool:
    """Return whether a live session or an analysis is being written to a folder."""
    return is_in_use(folder / PARTIAL_NAME) or is_in_use(folder / SEGMENTS_NAME / RUNNING_NAME)


def is_finished(folder: Path) -> bool:
    """Return whether a session has ended; a running session that was exported also has a summary."""
    return (folder / SUMMARY_NAME).is_file() and not any((folder / name).is_file() for name in (PARTIAL_NAME, FACTS_NAME))


def observations_path(folder: Path) -> Path | None:
    """Return the file of a session's observations; None if there is none."""
    return next((folder / name for name in (PARTIAL_NAME, OBSERVATIONS_NAME) if (folder / name).is_file()), None)


@dataclass(frozen=True, slots=True)
class _Mark:
    """The participant in ``privacy.json``."""

    person: str = ""


def person_of(folder: Path) -> str:
    """Return the consent ledger's random name of the participant whose session a folder holds, or ""."""
    try:
        return record_from(_Mark, load_json(folder / MARK_NAME), MARK_NAME).person
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class _DatabaseMark:
    """The database in ``privacy.json``; read alone, so that a bad value hides no participant."""

    database: str = ""


def database_of(folder: Path) -> str:
    """Return the location of the database that also holds a folder's session (``Database.location``), or "".

    Folders of earlier versions do not name it.
    """
    try:
        return record_from(_DatabaseMark, load_json(folder / MARK_NAME), MARK_NAME).database
    except (OSError, ValueError):
        return ""


def check_folder(folder: Path, person: str) -> None:
    """Check that a new session may be written to a folder: not to one that holds a session of another participant.

    Earlier sessions stay below the folder and are listed, exported and erased with it.

    Args:
        folder: the folder of a new session.
        person: the consent ledger's random name of its participant, or "".

    Raises:
        UsageError: it may not.
    """
    if folder.name.casefold() == STATE_NAME:
        raise UsageError(f"{folder} is where consent ledger and audit log are kept. Choose another folder with --out")
    if any(person_of(each) != person for each in session_folders(folder)):
        raise UsageError(f"{folder} holds a session of another participant. Choose another folder with --out")


def refuse_own_file(target: Path) -> None:
    """Check that the output file of an export is not a file of a session, of the consent ledger or of the audit log.

    Raises:
        UsageError: it is.
    """
    folder = target.resolve().parent
    if (target.name in ALL_NAMES and holds_session(folder)) or folder.name == STATE_NAME:
        raise UsageError(f"{target} is among the files that Mien keeps. Choose another file with --out")


def set_aside(folder: Path) -> Path | None:
    """Move the files and screenshots of a session in ``folder`` into a new folder ``earlier-N`` below it.

    If the process is killed meanwhile, the next process that uses the folder completes the move.

    Returns:
        the new folder; None if there was no session.

    Raises:
        DeviceError: the files cannot be moved.
    """
    if not holds_session(folder):
        return None
    try:
        private_folder(folder / _MOVING)
        return _move(folder)
    except OSError as error:
        raise DeviceError(f"cannot move an earlier session out of {folder}: {error.strerror}. Choose another folder") from error


def _move(folder: Path) -> Path:
    """Move the files of a session into ``_MOVING`` and give that its final name; another process may do the same."""
    moving, number = folder / _MOVING, 1
    for path in (*(folder / name for name in ALL_NAMES), *folder.glob(SCREENSHOTS)):
        if path.is_file():
            try:
                close_to_others(path.rename(moving / path.name))
            except FileNotFoundError:
                if path.exists():
                    raise
    while (target := folder / f"earlier-{number}").exists():
        number += 1
    with suppress(FileNotFoundError):  # the other process was faster
        moving.rename(target)
    return target


def _complete_move(folder: Path) -> None:
    """Complete an interrupted ``set_aside``, unless no file was moved yet.

    This never moves files of a new session: they are created only after ``_MOVING`` was renamed.
    """
    moving = folder / _MOVING
    if moving.is_dir() and not moving.is_symlink():
        with suppress(OSError):  # the folder cannot be written, or another process was faster
            if any(moving.iterdir()):
                _move(folder)
