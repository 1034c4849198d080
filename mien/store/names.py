"""The files of a session's folder by name, and making room for a new session where an older one lies."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from random import SystemRandom
from typing import Final

from mien.errors import DeviceError

OBSERVATIONS_NAME: Final = "observations.csv"
PARTIAL_NAME: Final = "observations.partial.csv"
PARQUET_NAME: Final = "observations.parquet"
EVENTS_NAME: Final = "events.jsonl"
FACTS_NAME: Final = "session.partial.json"
"""What is known of a session while it runs; ``summary.json`` takes its place."""
SUMMARY_NAME: Final = "summary.json"
PAGE_NAME: Final = "summary.html"
PICTURE_NAME: Final = "summary.png"
MARK_NAME: Final = "privacy.json"
"""What a session was recorded under."""
ANALYSIS_NAME: Final = "analysis.json"
"""What a recording was analysed with; a folder that has it is finished."""
ANNOTATED_NAME: Final = "annotated.mp4"
"""The recording with what was read drawn into it; made only where somebody asks."""
SEGMENTS_NAME: Final = "segments"
"""The folder in which the finished parts of a recording wait until all are there."""
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
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def new_session_id(start: datetime) -> str:
    """Return a session's name: its start, and four random letters for those that start in the same second.

    >>> new_session_id(datetime(2026, 3, 4, 9, 30))[:-4]
    '2026-03-04_09-30-00-'
    """
    random = SystemRandom()
    return f"{start:%Y-%m-%d_%H-%M-%S}-{''.join(random.choice(_LETTERS) for _ in range(4))}"


def start_of(session_id: str) -> datetime | None:
    """Return when a session of that name began, in this computer's time zone; None for a name that does not say.

    >>> start_of("2026-03-04_09-30-00-k3f9").isoformat()[:19], start_of("lesson")
    ('2026-03-04T09:30:00', None)
    """
    try:
        return datetime.strptime(session_id[:19], "%Y-%m-%d_%H-%M-%S").astimezone()
    except ValueError:
        return None


def set_aside(folder: Path) -> Path | None:
    """Move the files of a session that lies in ``folder`` into ``earlier-N`` below it, and return that; None for no session.

    Raises:
        DeviceError: the disk refuses.
    """
    there = [folder / name for name in ALL_NAMES if (folder / name).is_file()]
    if not there:
        return None
    number = 1
    while (target := folder / f"earlier-{number}").exists():
        number += 1
    try:
        target.mkdir()
        for path in there:
            path.rename(target / path.name)
    except OSError as error:
        raise DeviceError(f"cannot move an earlier session out of {folder}: {error.strerror}. Choose another folder") from error
    return target
