"""Drift for a session: what is watched under a policy, or why nothing can be."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError
from mien.files import file_hash
from mien.monitoring.live_drift import LiveDrift, LiveDriftSettings, Status
from mien.monitoring.reference_file import read_reference, reference_path
from mien.monitoring.trigger import DriftEvent
from mien.privacy.level import Level


class NoDrift:
    """Stands in where nothing can be watched, and says why.

    Args:
        reason: what is missing, and what to do.
    """

    status: Final[Status] = "unavailable"

    def __init__(self, reason: str) -> None:
        self.sentence = f"drift is not watched: {reason}"

    def new_events(self) -> tuple[DriftEvent, ...]:
        """Return no events."""
        return ()

    def observe(self, *_: object) -> None:
        """Take in nothing."""

    def facts(self) -> dict[str, Any]:
        """Return what a session's summary says of drift."""
        return {"status": self.status, "in_words": self.sentence}

    def write(self, folder: Path, name: str) -> tuple[str, ...]:
        """Write nothing."""
        return ()


def open_live_drift(
    bundle: Path, level: Level, settings: LiveDriftSettings | None = None, start: Path | None = None
) -> LiveDrift | NoDrift:
    """Return what watches a session for drift; never an error, since a session goes on without.

    Args:
        bundle: the model's file, whose reference stands beside it.
        level: what may be read. Where expressions may not be, only the picture is watched: no model runs.
        settings: what is promised.
        start: a file with what an earlier session learnt; None learns this session's start.
    """
    if level is Level.REFUSED:
        return NoDrift("nothing may be read here")
    if find_spec("scipy") is None:
        return NoDrift("scipy is not installed. Install it with: pip install 'mien[monitor]'")
    path = reference_path(bundle)
    if not path.is_file():
        return NoDrift(f"{bundle.name} has no reference. Make one with: mien monitor reference --model {bundle}")
    try:
        owner = file_hash(bundle)
        reference = read_reference(path, owner)
        known = read_reference(start, owner) if start is not None else None
        return LiveDrift(reference, "all" if level is Level.FULL else "picture", settings, known)
    except DataError as error:
        return NoDrift(str(error))
